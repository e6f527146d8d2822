"""The engines of one model, built side by side: `tensorrt_build.py ROOT MODEL PRECISION GRAPHS`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

if os.environ.get("STAND_IN"):
    import tensorrt_stand_in  # noqa: F401  # before anything asks for a card

from engines.backends.cuda_device import architecture
from engines.backends.tensorrt_module import find_tensorrt
from engines.build import ENGINE_PRECISIONS, ENGINES, engine_key
from engines.engine_store import EngineStore
from engines.model_folder import ModelFolder

TOKENS = ("t2s_prefill", "t2s_decode")
BOTH = ("v2", "v2ProPlus")
"""The same network of tokens: its engines are built once and shared."""


def main() -> int:
    """Build and share; returns how many engines are missing at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("model", choices=BOTH)
    parser.add_argument("precision", choices=ENGINE_PRECISIONS)
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    began = time.monotonic()
    running = {graph: _start(given, graph) for graph in given.graphs}
    missing = 0
    while running:
        late = time.monotonic() - began > given.seconds
        for graph, process in list(running.items()):
            if process.poll() is None and not late:
                continue
            process.kill()
            said = (process.stdout.read() if process.stdout else "").strip().splitlines()[-2:-1]
            right = process.wait() == 0
            missing += not right
            took, word = time.monotonic() - began, "OK" if right else "FAILED"
            print(f"{word} {given.model} {graph:<14} {took:6.1f} s  {' '.join(said)}", flush=True)
            del running[graph]
        time.sleep(0.5)
    _share(given.root)
    return missing


def _start(given: argparse.Namespace, graph: str) -> subprocess.Popen[str]:
    stand_in = ["script/gpu/tensorrt_stand_in.py"]
    engines = stand_in if os.environ.get("STAND_IN") else ["-m", "engines"]
    model = str(given.root / "models" / given.model)
    return subprocess.Popen(
        [sys.executable, *engines, "build", model, "--precision", given.precision, "--only", graph],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _share(root: Path) -> None:
    """Give the other model the engines of tokens that it has not."""
    if not all((root / "models" / model / "model.json").is_file() for model in BOTH):
        return
    trt, gpu = find_tensorrt(), architecture()
    have, want = (ModelFolder.read(root / "models" / name) for name in BOTH)
    store = EngineStore(want.root / ENGINES)
    for precision in ENGINE_PRECISIONS:
        for graph in TOKENS:
            keys = [engine_key(folder, graph, precision, trt) for folder in (have, want)]
            content = EngineStore(have.root / ENGINES).read(keys[0], gpu)
            if content is not None and store.holds(keys[1], [gpu]) is None:
                store.write(keys[1], [gpu], content)
                print(f"OK {BOTH[1]} {precision} {graph}: shared", flush=True)


if __name__ == "__main__":
    sys.exit(main())
