"""The process that reads a stranger's audio file: `decoding.decode` starts it for every file.

Standard input is the file, standard output its samples, standard error ends with the verdict. It
imports as little as it can.
"""

from __future__ import annotations

import json
import resource
import sys

import numpy as np

from engines.audio import MAX_RATE, MAX_SECONDS, load_recording
from engines.errors import PromptError

MEMORY = 1 << 30  # bytes of address space: numpy and 8 channels of 120 s need about half of it
CPU_SECONDS = 20
MAX_RECORDING = MAX_RATE * (MAX_SECONDS + 1) * 4  # bytes that may be written: float32, one channel
REFUSED = 3  # exit status when the file is at fault and the verdict says how


def main() -> int:
    """Read the file; returns the process's exit status."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, MAX_RECORDING),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    try:
        with open(0, "rb", closefd=False) as file:
            recording = load_recording(file)
    except PromptError as error:
        return _refuse(str(error).removeprefix("recording: "))
    if not np.isfinite(recording.samples).all():
        return _refuse("holds samples that are not numbers")
    with open(1, "wb", closefd=False) as out:
        out.write(recording.samples.tobytes())
    sys.stderr.write(json.dumps({"sample_rate": recording.sample_rate}) + "\n")
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
