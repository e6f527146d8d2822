"""Every engine of the measurement by processes side by side: `tensorrt_build.py ROOT`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from engines.backends.tensorrt_module import find_tensorrt
from engines.build import ENGINES, engine_key
from engines.engine_store import EngineStore
from engines.model_folder import ModelFolder

SOUND = ("vits_generate", "vits_encode", "vits_flow")
TOKENS = ("t2s_prefill", "t2s_decode")
SIDE_BY_SIDE = 12
WAIT = 30  # seconds for PyTorch's figures
LIMIT = 900  # seconds


def main(root: Path) -> int:
    """Build what is wanted most first."""
    # Both models have the same network of tokens: it is built once, and copied below.
    jobs = [("v2", precision, name) for precision in ("fp16", "fp32") for name in (*SOUND, *TOKENS)]
    jobs += [("v2ProPlus", precision, name) for precision in ("fp16", "fp32") for name in SOUND]
    # Our kernels draw the product's tokens; the half-precision step is for comparison alone.
    jobs.append(jobs.pop(jobs.index(("v2", "fp16", "t2s_decode"))))
    running: list[tuple[tuple[str, str, str], float, subprocess.Popen[str]]] = []
    began = time.monotonic()
    # PyTorch is measured alone.
    while not (root / "prepared-v2").exists() and time.monotonic() - began < WAIT:
        time.sleep(0.5)
    conformance = _conformance(root)
    while (jobs or running) and time.monotonic() - began < LIMIT:
        while len(running) < SIDE_BY_SIDE and (job := _next(jobs, root)):
            running.append((job, time.monotonic(), _start(root, *job)))
        for each in list(running):
            job, since, process = each
            if process.poll() is not None:
                running.remove(each)
                said = (process.stdout.read() if process.stdout else "").strip().splitlines()[-2:]
                took = time.monotonic() - since
                print(f"{' '.join(job):<32} {took:6.1f} s  {' | '.join(said)}", flush=True)
                if job[2] in TOKENS and (root / "models" / "v2ProPlus" / "model.json").is_file():
                    print(job[2], job[1], "shared:", _share(root, job[2], job[1]), flush=True)
        time.sleep(0.5)
    for job, _, process in running:
        process.kill()
        print(f"{' '.join(job)}: out of time", flush=True)
    try:
        print("conformance:", "passed" if conformance.wait(120) == 0 else "FAILED", flush=True)
    except subprocess.TimeoutExpired:
        print("conformance: not finished yet", flush=True)
    return 0


def _next(jobs: list[tuple[str, str, str]], root: Path) -> tuple[str, str, str] | None:
    """The first job whose model is there."""
    for job in jobs:
        if (root / "models" / job[0] / "model.json").is_file():
            jobs.remove(job)
            return job
    return None


def _start(root: Path, model: str, precision: str, graph: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engines", "build", str(root / "models" / model)]
    return subprocess.Popen(
        [*command, "--precision", precision, "--only", graph],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _conformance(root: Path) -> subprocess.Popen[bytes]:
    """The test module of all backends, with engines of the tiny model on this card."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "script/gpu/pytest.ini",
        "--rootdir",
        ".",
    ]
    return subprocess.Popen(
        [*command, "-m", "gpu", "tests/engines/backends/test_conformance.py"],
        env={**os.environ, "TINY_MODEL": str(root / "models" / "tiny")},
        stdout=(root / "logs" / "conformance").open("wb"),
        stderr=subprocess.STDOUT,
    )


def _share(root: Path, graph: str, precision: str) -> bool:
    from engines.backends.cuda_device import architecture

    trt, gpu = find_tensorrt(), architecture()
    have, want = (ModelFolder.read(root / "models" / name) for name in ("v2", "v2ProPlus"))
    keys = [engine_key(folder, graph, precision, trt) for folder in (have, want)]  # type: ignore[arg-type]
    content = EngineStore(have.root / ENGINES).read(keys[0], gpu)
    if content is not None:
        EngineStore(want.root / ENGINES).write(keys[1], [gpu], content)
    return content is not None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
