"""The service with nothing but its own packages, and with what a fresh `script/demo` has."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.lab.process import free_port

ROOT = Path(__file__).resolve().parents[2]

# Whatever this environment has beyond them is hidden from the process.
HIDE = """
import runpy, sys
hidden = set(sys.argv.pop(1).split(","))
class Finder:
    def __init__(self, real):
        self.real = real
    def __getattr__(self, name):
        return getattr(self.real, name)
    def find_spec(self, name, path=None, target=None):
        gone = name.partition(".")[0] in hidden
        return None if gone else self.real.find_spec(name, path, target)
sys.meta_path[:] = map(Finder, sys.meta_path)
runpy.run_module("service", run_name="__main__", alter_sys=True)
"""


def installed_by(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """A package and all that pip installs with it."""
    found: set[str] = set()
    todo = [(name, extras)]
    while todo:
        package, wanted = todo.pop()
        if package in found:
            continue
        found.add(package)
        for line in metadata.requires(package) or []:
            needs = Requirement(line)
            marker = needs.marker
            if marker is None or any(marker.evaluate({"extra": each}) for each in ("", *wanted)):
                todo.append((canonical(needs.name), frozenset(needs.extras)))
    return found


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def hidden(extras: frozenset[str] = frozenset()) -> list[str]:
    """The modules that only other packages of this environment bring."""
    ours = installed_by("gptsovits-home", extras)
    brought = metadata.packages_distributions().items()
    return sorted(
        module
        for module, packages in brought
        if module not in sys.stdlib_module_names and ours.isdisjoint(map(canonical, packages))
    )


def test_it_starts_and_speaks(tmp_path: Path) -> None:
    modules = hidden()
    assert {"torch", "onnx", "tokenizers", "wordsegment", "jieba"} <= set(modules)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["--port", str(port), "--data", str(tmp_path / "data"), "--token", "secret"]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-c", HIDE, ",".join(modules), *arguments], stdout=log, stderr=log
        )
    try:
        assert spoken(url, service, 60.0) == "plain", (tmp_path / "log").read_text()
        with urllib.request.urlopen(url + "/", timeout=60) as page:
            assert page.status == 200
    finally:
        service.terminate()
        service.wait(60)


def test_the_first_command_clones_a_voice(tmp_path: Path) -> None:
    setup = (ROOT / "script" / "setup").read_text(encoding="utf-8")
    run = re.search(r"\n  run\).*?-e '\.\[([a-z,0-9]+)\]'", setup, re.DOTALL)
    assert run is not None
    modules = hidden(frozenset(run[1].split(",")))
    assert {"torch", "onnx", "jieba"} <= set(modules)
    assert "wordsegment" not in modules
    demo = runpy.run_path(str(ROOT / "script" / "demo.py"))
    port = free_port()
    arguments = ["--port", str(port), "--data", str(tmp_path / "data")]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-c", HIDE, ",".join(modules), *arguments], stdout=log, stderr=log
        )
    try:
        demo["wait_until_ready"](service, port)
        demo["unbox"](port)
        said = {"input": "Dinner is ready.", **demo["CLONED"]}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/audio/speech", json.dumps(said).encode()
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.headers["X-Speech-Rung"] == "onnxruntime", (tmp_path / "log").read_text()
    finally:
        service.terminate()
        service.wait(60)


def spoken(url: str, service: subprocess.Popen[bytes], seconds: float) -> str:
    """Who spoke, once somebody has; nobody where the process ends before."""
    deadline = time.monotonic() + seconds
    while service.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/ready", timeout=seconds) as answer:
                return str(json.load(answer)["rung"])
        except OSError:
            time.sleep(0.1)
    return ""
