"""`python -m engines bench MODEL`: how fast the model is here, backends side by side in one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from engines.backends import Backend, CheckpointFiles
from engines.bench import Figures, measure, peak_memory
from engines.commands.say import add_checkpoint_arguments, checkpoint_files
from engines.errors import EngineError
from engines.model_folder import PRECISIONS
from engines.progress import ProgressBar

ROWS = {
    "first_audio_ms": "first audio (25 tokens), ms",
    "prefill_ms": "  of it: reading the sentence, ms",
    "token_ms": "a token, batch 1, ms",
    "batch_step_ms": "a step of 8 sentences, ms",
    "sovits_ms": "SoVITS, 100 tokens, ms",
    "sentence_ms": "sentence of 4.0 s, ms",
    "rtf": "real-time factor",
    "memory_mib": "process at its peak, MiB",
    "gpu_mib": "card in use, MiB",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, nargs="?", help="folder that `convert` wrote, in fp32")
    parser.add_argument("--int8", type=Path, metavar="MODEL", help="the same model in int8")
    parser.add_argument(
        "--random",
        metavar="VERSION",
        help="a model of random weights at full size, e.g. v2, in place of MODEL and files",
    )
    parser.add_argument("--recipe", type=Path, default=Path("tests/golden"), help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="for --random")
    parser.add_argument("--runs", type=int, default=7, help="medians of so many (default: 7)")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU (default: 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these columns alone")
    parser.add_argument("--lowest", action="store_true", help="the lowest instead of the median")
    parser.add_argument("--json", action="store_true", help="figures for machines")
    files = parser.add_argument_group("official files, for a column of PyTorch")
    add_checkpoint_arguments(files)
    for action in files._group_actions:
        action.required = False


def run(arguments: argparse.Namespace) -> int:
    """Measure, print one table; returns 0."""
    makers = _columns(arguments)
    if not makers:
        raise EngineError("nothing to measure: give MODEL, official files, or --random VERSION")
    if unknown := sorted(set(arguments.only or ()) - set(makers)):
        raise EngineError(f"--only: {unknown[0]!r} is not among {', '.join(makers)}")
    makers = {name: makers[name] for name in (arguments.only or makers)}
    opened: dict[str, Backend] = {}
    for name, make in makers.items():
        try:
            opened[name] = make()
        except EngineError as error:
            print(f"{name}: not measured: {error}", file=sys.stderr)
    if not opened:
        raise EngineError("nothing could be opened")
    bar = ProgressBar()
    figures = measure(opened, arguments.runs, bar)
    bar.clear()
    for each in figures:
        alone = len(opened) == 1
        each.memory["memory_mib"] = peak_memory() if alone else _alone(each.name, arguments)
    pick: dict[str, Any] = {"pick": min} if arguments.lowest else {}
    table = {each.name: each.summary(**pick) for each in figures}
    if arguments.json:
        print(json.dumps(table, indent=1))
    else:
        _show(table, figures, arguments)
    return 0


def _show(
    table: dict[str, dict[str, Any]], figures: list[Figures], arguments: argparse.Namespace
) -> None:
    first = figures[0].name
    kind = "lowest" if arguments.lowest else "median"
    what = arguments.random or arguments.model
    print(f"{what}: {kind} of {arguments.runs}, {arguments.threads} CPU threads")
    print(f"{'':<36}" + "".join(f"{name:>16}" for name in table))
    for key, label in ROWS.items():
        if any(key in column for column in table.values()):
            cells = (
                f"{column[key]:16.2f}" if key in column else f"{'':16}" for column in table.values()
            )
            print(f"{label:<36}" + "".join(cells))
    base = table[first]["sentence_ms"]
    cells = (f"{base / column['sentence_ms']:15.2f}x" for column in table.values())
    print(f"{f'sentence, against {first}':<36}" + "".join(cells))


def _columns(arguments: argparse.Namespace) -> dict[str, Callable[[], Backend]]:
    """Column → what opens its backend."""
    files: CheckpointFiles | None
    if arguments.random:
        files, model, small = _random(arguments)
    else:
        given = all(getattr(arguments, name, None) for name in ("t2s", "sovits"))
        files = checkpoint_files(arguments) if given else None
        model, small = arguments.model, arguments.int8
    columns: dict[str, Callable[[], Backend]] = {}
    threads = arguments.threads
    if files is not None:
        for name, device in (("torch", "cpu"), ("torch-cuda", "cuda"))[: 1 + _has_cuda()]:
            columns[name] = partial(_torch, files, device, threads)
    if model is not None:
        columns["onnx-fp32"] = partial(_onnx, model, threads)
    if small is not None:
        columns["onnx-int8"] = partial(_onnx, small, threads)
    if model is not None and _has_cuda():
        for precision in ("fp32", "fp16", "int8"):
            columns[f"trt-{precision}"] = partial(_tensorrt, model, precision)
    return columns


def _random(arguments: argparse.Namespace) -> tuple[CheckpointFiles, Path, Path]:
    from engines.export import convert
    from engines.golden import Folder

    if not arguments.recipe.is_dir():
        raise EngineError(f"--random: {arguments.recipe} is not here; run it in the project's root")
    folder = Folder(arguments.recipe, arguments.cache / "golden")
    models = arguments.cache / "bench-models"
    for name, stored in (("chinese-hubert-base", "full_hubert"), ("sv", "full_sv")):
        link = models / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder.checkpoint(stored).parent.resolve())
    files = CheckpointFiles(
        folder.checkpoint("full_s1"), folder.checkpoint(f"full_s2_{arguments.random}"), models
    )
    made = []
    for precision in PRECISIONS:
        target = arguments.cache / "bench" / f"{arguments.random}-{precision}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            print(f"converting to {target}", file=sys.stderr)
            convert(files, target, precision)
        made.append(target)
    return files, made[0], made[1]


def _torch(files: CheckpointFiles, device: str, threads: int) -> Backend:
    import torch

    from engines.backends.torch_backend import TorchBackend

    torch.set_num_threads(threads)
    return TorchBackend(files, device)


def _onnx(model: Path, threads: int) -> Backend:
    from engines.backends.onnxruntime_backend import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model, threads)


def _tensorrt(model: Path, precision: Any) -> Backend:
    from engines.backends.tensorrt_backend import TensorRTBackend

    return TensorRTBackend(model, precision)


def _has_cuda() -> bool:
    from engines.backends.cuda_device import load_cuda

    try:
        load_cuda()
    except EngineError:
        return False
    return True


def _alone(name: str, arguments: argparse.Namespace) -> float:
    """Peak memory of a process that does one column's job once."""
    command = [sys.executable, "-m", "engines", "bench", "--only", name, "--runs", "1", "--json"]
    command += ["--threads", str(arguments.threads), "--cache", str(arguments.cache)]
    command += ["--recipe", str(arguments.recipe)]
    given = {"--random": arguments.random, "--int8": arguments.int8, "--t2s": arguments.t2s}
    given.update({"--sovits": arguments.sovits, "--models": arguments.models})
    for option, value in given.items():
        command += [option, str(value)] if value else []
    command += [str(arguments.model)] if arguments.model else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{name} alone: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout)[name]["memory_mib"])
