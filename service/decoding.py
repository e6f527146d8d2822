"""Reading a stranger's audio file: in a process of its own, with little memory, time and rights.

libsndfile and the decoders below it are C and read whatever they are given. Here they run where a
crash, a loop or a flood of samples ends a child process and nothing else.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.audio import MAX_SECONDS, Recording
from service.errors import BadRequest

MEMORY = 1 << 30  # bytes of address space: numpy and 8 channels of 120 s need about half of it
CPU_SECONDS = 20
WALL_SECONDS = 40.0
MAX_RECORDING = (
    96_000 * (MAX_SECONDS + 1) * 4
)  # bytes that the child may write: float32, one channel
_REFUSED = 3  # the child's exit status when the file is at fault and it can say how
_LONGEST_VERDICT = 1000  # bytes
_ROOT = Path(__file__).parents[1]


class BadRecording(BadRequest):
    """A file holds no sound that can be read within the limits."""

    code = "bad_recording"


def decode(file: BinaryIO) -> Recording:
    """Read a WAV, FLAC, OGG or MP3 file that nobody vouches for; blocks.

    Args:
        file: open for reading, with a file descriptor.

    Raises:
        BadRecording: it is not audio, too long, or took more memory or time than it may.
    """
    file.seek(0)
    # Files, as a size limit holds for them: a pipe could fill this process's memory.
    with tempfile.TemporaryFile() as samples, tempfile.TemporaryFile() as verdict:
        try:
            child = subprocess.run(
                [sys.executable, "-m", "service.decoding"],
                stdin=file,
                stdout=samples,
                stderr=verdict,
                cwd=_ROOT,
                # One thread: each one more would reserve address space of its own.
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                timeout=WALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            message = f"file: could not be read within {WALL_SECONDS:g} s"
            raise BadRecording(message, param="file", limit=WALL_SECONDS) from error
        verdict.seek(max(0, verdict.seek(0, 2) - _LONGEST_VERDICT))
        said = verdict.read().decode("utf-8", "replace").strip().splitlines()
        if child.returncode == _REFUSED and said:
            raise BadRecording(f"file: {said[-1]}", param="file")
        if child.returncode or not said:
            message = "file: could not be read within the limits of memory and time"
            raise BadRecording(message, param="file")
        rate = int(json.loads(said[-1])["sample_rate"])
        samples.seek(0)
        return Recording(np.frombuffer(samples.read(MAX_RECORDING), np.float32), rate)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_RECORDING, MAX_RECORDING))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _child() -> int:
    """Standard input is the file, standard output its samples, standard error the verdict."""
    _limit()
    from engines.audio import load_recording
    from engines.errors import PromptError

    try:
        with open(0, "rb", closefd=False) as file:
            recording = load_recording(file)
    except PromptError as error:
        sys.stderr.write(str(error).removeprefix("recording: ") + "\n")
        return _REFUSED
    if not np.isfinite(recording.samples).all():
        sys.stderr.write("holds samples that are not numbers\n")
        return _REFUSED
    with open(1, "wb", closefd=False) as out:
        out.write(recording.samples.tobytes())
    sys.stderr.write(json.dumps({"sample_rate": recording.sample_rate}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_child())
