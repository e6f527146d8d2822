"""Prints a digest of everything that decides what requirements/*.txt must hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]


def digest(root: Path = ROOT) -> str:
    """Sixteen characters that change when a dependency of an image changes."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Extras that no image installs may change freely.
    extras = {
        name: wanted
        for name, wanted in project["optional-dependencies"].items()
        if name not in ("dev", "listen", "convert")
    }
    inputs = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((root / "requirements").glob("*.in"))
    }
    text = json.dumps([project["dependencies"], extras, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    print(digest())
