"""Command line of the engines: `python -m engines COMMAND --help`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from engines.errors import EngineError

# Imported only when asked for, so that one command never needs another's packages.
COMMANDS = {
    "say": "speak a text in a voice, from official checkpoints to a WAV file",
    "convert": "turn official checkpoints into a model that speaks without PyTorch",
    "build": "turn a converted model into TensorRT engines for an NVIDIA card",
    "calibrate": "find the ranges for int8 engines from sentences that are spoken",
    "verify": "compare a converted model with the official files, number by number",
    "bench": "measure a model on this machine, backends side by side",
    "phonemize": "show what will be said: normalised text and phones",
    "golden": "recompute a folder of golden vectors and report the worst error of each array",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the process's exit status."""
    # ONNX Runtime else sends its maker statistics of this home.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m engines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = importlib.import_module(f"engines.commands.{name}")
            module.add_arguments(command)
    parsed = parser.parse_args(arguments)
    try:
        return int(module.run(parsed))
    except EngineError as error:
        print(f"error ({error.code}): {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
