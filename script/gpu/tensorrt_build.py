"""Every engine of the measurement by processes side by side: `tensorrt_build.py ROOT`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

if os.environ.get("STAND_IN"):
    import tensorrt_stand_in  # noqa: F401  # before anything asks for a card

from engines.backends.tensorrt_module import find_tensorrt
from engines.build import ENGINES, EnginePrecision, engine_key
from engines.engine_store import EngineStore
from engines.model_folder import ModelFolder

SOUND = ("vits_generate", "vits_flow", "vits_encode")
TOKENS = ("t2s_prefill", "t2s_decode")
BOTH = ("v2", "v2ProPlus")
PRECISIONS: tuple[EnginePrecision, ...] = ("fp16", "fp32", "int8")
SIDE_BY_SIDE = 12
WAIT = 60  # seconds for PyTorch's figures
LIMIT = float(os.environ.get("LIMIT", "900"))  # seconds

Job = tuple[str, str, str]
"""Model, precision, graph."""


def main(root: Path) -> int:
    """Build what is wanted most first; returns how many engines are missing at the end."""
    # Both models have the same network of tokens: it is built once and shared.
    first, *others = filter(_asked, BOTH)
    jobs: list[Job] = [
        (first, precision, name) for precision in PRECISIONS for name in (*SOUND, *TOKENS)
    ]
    jobs += [
        (name, precision, graph) for name in others for precision in PRECISIONS for graph in SOUND
    ]
    # Our kernels draw the product's tokens; the half-precision step is for comparison alone.
    jobs.append(jobs.pop(jobs.index((first, "fp16", "t2s_decode"))))
    wanted = re.compile(os.environ.get("JOBS", " fp"))  # 8 bits only where they are named
    jobs = [job for job in jobs if wanted.search(" ".join(job))]
    running: list[tuple[Job, float, subprocess.Popen[str]]] = []
    failed, built, began = 0, 0, time.monotonic()
    # PyTorch is measured alone.
    while not _prepared(root) and time.monotonic() - began < WAIT:
        time.sleep(0.5)
    if not _prepared(root):
        print(
            "PyTorch is still being measured, beside these builds: its figures are worse",
            flush=True,
        )
    conformance = None if "JOBS" in os.environ else _conformance(root)
    while (jobs or running) and time.monotonic() - began < LIMIT:
        while len(running) < SIDE_BY_SIDE and (job := _next(jobs, root)):
            running.append((job, time.monotonic(), _start(root, *job)))
        for each in list(running):
            job, since, process = each
            if process.poll() is not None:
                running.remove(each)
                said = (process.stdout.read() if process.stdout else "").strip().splitlines()[-2:]
                right = process.returncode == 0
                failed, built = failed + (not right), built + right
                word, took = "OK" if right else "FAILED", time.monotonic() - since
                print(f"{word} {' '.join(job):<30} {took:6.1f} s  {' | '.join(said)}", flush=True)
        time.sleep(0.5)
    _share(root)
    for job, _, process in running:
        process.kill()
        print(f"FAILED {' '.join(job)}: out of time", flush=True)
    for job in jobs:
        print(f"FAILED {' '.join(job)}: not begun", flush=True)
    missing = failed + len(running) + len(jobs)
    print(f"engines: {built} built, {missing} missing", flush=True)
    if conformance is None:
        return missing
    try:
        passed = conformance.wait(120) == 0
        print("OK conformance" if passed else "FAILED conformance", flush=True)
    except subprocess.TimeoutExpired:
        conformance.kill()
        print("FAILED conformance: not finished after 120 s more", flush=True)
    return missing


def _converted(root: Path, model: str) -> bool:
    return (root / "models" / model / "model.json").is_file()


def _asked(model: str) -> bool:
    """Whether this model is converted at all; `start` can be asked for one alone."""
    return model in os.environ.get("MODELS", " ".join(BOTH)).split()


def _prepared(root: Path) -> bool:
    """Whether PyTorch has been measured on every model."""
    return all((root / f"prepared-{model}").exists() for model in BOTH if _asked(model))


def _next(jobs: list[Job], root: Path) -> Job | None:
    """The first job whose model is there."""
    for job in jobs:
        if _converted(root, job[0]):
            jobs.remove(job)
            return job
    return None


def _start(root: Path, model: str, precision: str, graph: str) -> subprocess.Popen[str]:
    engines = (
        ["script/gpu/tensorrt_stand_in.py"] if os.environ.get("STAND_IN") else ["-m", "engines"]
    )
    command = [sys.executable, *engines, "build", str(root / "models" / model)]
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


def _share(root: Path) -> None:
    """Give the other model the engines of tokens, whose network is the same."""
    from engines.backends.cuda_device import architecture

    if not all(_converted(root, model) for model in BOTH):
        return
    trt, gpu = find_tensorrt(), architecture()
    have, want = (ModelFolder.read(root / "models" / name) for name in BOTH)
    for precision in PRECISIONS:
        for graph in TOKENS:
            keys = [engine_key(folder, graph, precision, trt) for folder in (have, want)]
            content = EngineStore(have.root / ENGINES).read(keys[0], gpu)
            store = EngineStore(want.root / ENGINES)
            if content is not None and store.holds(keys[1], [gpu]) is None:
                store.write(keys[1], [gpu], content)
                print(f"OK {BOTH[1]} {precision} {graph}: shared", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
