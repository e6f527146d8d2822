"""Packages of npm's registry that the laboratory runs, installed once."""

import json
from pathlib import Path

from tests.lab.ground import lab_folder, run, say


def installed(name: str, **packages: str) -> Path:
    """The `node_modules` of some packages, installed once."""
    folder = lab_folder() / name
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != json.dumps(packages):
        wanted = [f"{package}@{version}" for package, version in packages.items()]
        say(f"installing {' and '.join(wanted)} (half a minute, once)")
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *wanted, cwd=folder)
        stamp.write_text(json.dumps(packages))
    return folder / "node_modules"
