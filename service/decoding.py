"""Reading a stranger's audio file: in a process of its own, with little memory and time.

libsndfile and the decoders below it are C and read whatever they are given. Here they run where a
crash, a loop or a flood of samples ends a child process and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.audio import Recording
from service.decoding_child import MAX_RECORDING, REFUSED
from service.errors import BadRequest

WALL_SECONDS = 40.0
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
                [sys.executable, "-m", "service.decoding_child"],
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
        if child.returncode == REFUSED and said:
            raise BadRecording(f"file: {said[-1]}", param="file")
        if child.returncode or not said:
            message = "file: could not be read within the limits of memory and time"
            raise BadRecording(message, param="file")
        rate = int(json.loads(said[-1])["sample_rate"])
        samples.seek(0)
        return Recording(np.frombuffer(samples.read(MAX_RECORDING), np.float32), rate)
