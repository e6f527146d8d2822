"""`python -m engines convert`: official checkpoints to a model that speaks without PyTorch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engines.commands.say import add_checkpoint_arguments, checkpoint_files
from engines.model_folder import PRECISIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_checkpoint_arguments(parser.add_argument_group("official files"))
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of the T2S matrices; int8 takes less than half the time a token, and is refused "
        "where it costs too much",
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json"),
        default="bar",
        help="json: a line {done, total, what} on the output for every graph, for programs",
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert; returns 0."""
    # Here and not above: it needs torch and onnx, and `--help` does not.
    from engines.export import convert

    show = _tell if arguments.progress == "json" else _show
    drift = convert(checkpoint_files(arguments), arguments.out, arguments.precision, show)
    if arguments.progress == "json":
        return 0
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{arguments.out}: {size / 2**20:.0f} MiB")
    if drift is not None:
        print(
            f"int8, over {drift.tokens} tokens: {drift.variation:.1%} would be drawn differently, "
            f"the likeliest stays in {drift.agreement:.1%}"
        )
    return 0


def _tell(done: int, total: int, what: str) -> None:
    print(json.dumps({"done": done, "total": total, "what": what}), flush=True)


def _show(done: int, total: int, what: str) -> None:
    """One line on the error stream, drawn over where it is a terminal."""
    bar = "#" * done + "." * (total - done)
    line = f"[{bar}] {done}/{total} {what}"
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)
