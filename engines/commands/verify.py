"""`python -m engines verify MODEL`: a converted model against the official files it came from."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.backends import open_backend
from engines.commands.say import add_checkpoint_arguments, checkpoint_files
from engines.errors import EngineError
from engines.model_folder import ModelFolder
from engines.verify import RELATIVE_BOUND, compare

T2S = ("t2s_prefill", "t2s_decode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, help="folder that `convert` wrote")
    add_checkpoint_arguments(parser.add_argument_group("official files, the reference"))
    parser.add_argument(
        "--backend", default="onnxruntime", help="who runs the model (default: onnxruntime)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="GRAPH", help="compare these graphs, e.g. t2s_decode"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each output; returns 1 if one is beyond the bound."""
    folder = ModelFolder.read(arguments.model)
    folder.check_hashes()
    names = tuple(arguments.only or folder.graphs)
    if unknown := sorted(set(names) - set(folder.graphs)):
        raise EngineError(f"--only: the model has no graph {unknown[0]!r}")
    reference = open_backend("torch", checkpoint_files(arguments))
    other = open_backend(arguments.backend, arguments.model)
    if reference.model != other.model:
        raise EngineError(
            f"{arguments.model} was made from other files: model {other.model.identity}, "
            f"these are {reference.model.identity}"
        )
    print(f"{'graph':<14} {'output':<14} {'absolute':>10} {'relative':>10}")
    failed = 0
    for worst in compare(reference, other, names):
        # The matrices of int8 are other numbers on purpose; `convert` has bounded what they cost.
        bounded = folder.precision == "fp32" or worst.graph not in T2S
        beyond = bounded and worst.relative > RELATIVE_BOUND
        failed += beyond
        note = "  beyond the bound" if beyond else "" if bounded else f"  {folder.precision}"
        print(
            f"{worst.graph:<14} {worst.output:<14} {worst.absolute:10.1e} "
            f"{worst.relative:10.1e}{note}",
            flush=True,
        )
    print(f"bound {RELATIVE_BOUND:.0e} relative: {failed} beyond it")
    return 1 if failed else 0
