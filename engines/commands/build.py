"""`python -m engines build MODEL`: a converted model to TensorRT engines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.backends.tensorrt_module import TensorRT, architecture_of, find_tensorrt
from engines.engine_store import EngineStore
from engines.errors import BackendUnavailableError, EngineError
from engines.model_folder import ModelFolder
from engines.progress import ProgressBar

if TYPE_CHECKING:
    from engines.build import Built


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, help="folder that `convert` wrote, in fp32")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp16",
        help="fp16 is right for every card; fp32 compares with the CPU; int8 needs `calibrate` "
        "(default: fp16)",
    )
    parser.add_argument(
        "--for",
        nargs="+",
        dest="architectures",
        metavar="SM",
        help="GPU architectures such as sm_86; TensorRT-RTX builds for cards that are not in this "
        "machine (default: this machine's card)",
    )
    parser.add_argument("--only", nargs="+", metavar="GRAPH", help="these graphs alone")
    parser.add_argument(
        "--engines", type=Path, help="folder for the engines (default: MODEL/engines)"
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json"),
        default="bar",
        help="json: lines {done, total, what} on the output, and {graph, state, seconds, reason} "
        "for every engine, for programs",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build; returns 1 if an engine failed."""
    # Here and not above: it needs onnx, and `--help` does not.
    from engines.build import ENGINES, build, speaking

    folder = ModelFolder.read(arguments.model)
    if unknown := sorted(set(arguments.only or ()) - set(folder.graphs)):
        raise EngineError(f"--only: the model has no graph {unknown[0]!r}")
    trt = find_tensorrt()
    gpus = _targets(trt, arguments.architectures)
    store = EngineStore(arguments.engines or arguments.model / ENGINES)
    names = tuple(arguments.only or speaking(folder))
    precision = arguments.precision
    if arguments.progress == "json":
        return _tell(names, lambda watch: build(folder, trt, precision, gpus, store, names, watch))
    print(f"{trt.label}, {precision}, for {', '.join(gpus)}: {len(names)} engines")
    bar, failed, ready = ProgressBar(), 0, 0

    def watch(graph: str, done: int, total: int) -> None:
        bar(done, total, f"{graph} ({ready + 1} of {len(names)})")

    for built in build(folder, trt, precision, gpus, store, names, watch):
        bar.clear()
        ready += 1
        if built.file is None:
            failed += 1
            print(f"{built.graph:<14} FAILED after {built.seconds:.0f} s: {built.reason}")
            continue
        size = built.file.stat().st_size / 2**20
        took = "was there" if built.state == "kept" else f"built in {built.seconds:.1f} s"
        print(f"{built.graph:<14} {took}, {size:.0f} MiB", flush=True)
    if failed:
        print(
            f"{failed} of {len(names)} engines failed, the others are ready. What failed runs on "
            "the CPU; try another --precision, or report the lines above"
        )
        return 1
    print(f"{store.folder}: ready; speak with backend: tensorrt, measure with `bench`")
    return 0


def _tell(
    names: Sequence[str], build: Callable[[Callable[[str, int, int], None]], Iterator[Built]]
) -> int:
    # `done` counts engines in hundredths, so that one number tells all of it.
    ready, last = 0, -1

    def watch(graph: str, done: int, total: int) -> None:
        nonlocal last
        at = 100 * ready + min(99, 100 * done // max(1, total))
        if at != last:
            last = at
            _say(done=at, total=100 * len(names), what=f"{graph} ({ready + 1} of {len(names)})")

    watch(names[0] if names else "", 0, 1)
    failed = 0
    for built in build(watch):
        ready += 1
        failed += built.file is None
        _say(graph=built.graph, state=built.state, seconds=built.seconds, reason=built.reason)
        if ready < len(names):
            watch(names[ready], 0, 1)
    return 1 if failed else 0


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _targets(trt: TensorRT, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        return (_own_gpu(trt),)
    if not trt.ahead_of_time:
        raise EngineError(
            f"--for: {trt.label} builds for the card of this machine only; TensorRT-RTX builds "
            "for others (pip install 'gptsovits-home[rtx]')"
        )
    try:
        gpus = tuple(dict.fromkeys(architecture_of(word) for word in wanted))
    except ValueError as error:
        raise EngineError(f"--for: {error}") from error
    if strange := [gpu for gpu in gpus if gpu not in trt.architectures]:
        raise EngineError(f"--for: {strange[0]} is not among {', '.join(trt.architectures)}")
    return gpus


def _own_gpu(trt: TensorRT) -> str:
    from engines.backends.cuda_device import architecture

    try:
        return architecture()
    except BackendUnavailableError as error:
        advice = f"; with --for {trt.architectures[-1]} it is built for another machine's card"
        raise BackendUnavailableError(f"{error}{advice if trt.ahead_of_time else ''}") from error
