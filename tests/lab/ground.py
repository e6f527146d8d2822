"""Where the laboratory keeps its things, what it says while it works, and how it runs a command."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_STARTED = time.monotonic()


class LabError(Exception):
    """The laboratory cannot go on; the message says what to do about it."""


def lab_folder() -> Path:
    """The folder of everything installed: `$GPTSOVITS_LAB`, else `.cache/lab` in the repository."""
    folder = Path(os.environ.get("GPTSOVITS_LAB") or REPOSITORY / ".cache" / "lab").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(message: str) -> None:
    """Write a progress line with the seconds since start to stderr (stdout is for answers)."""
    sys.stderr.write(f"[lab {time.monotonic() - _STARTED:5.1f} s] {message}\n")
    sys.stderr.flush()


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its stdout.

    Raises:
        LabError: it cannot be started or exits non-zero; carries the end of what it wrote.
    """
    line: Sequence[str] = [str(part) for part in command]
    try:
        done = subprocess.run(
            line, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
        )
    except OSError as error:
        raise LabError(f"cannot run {line[0]}: {error}") from error
    if done.returncode:
        wrote = (done.stderr or done.stdout).strip()[-2000:]
        raise LabError(f"`{' '.join(line)[:200]}` failed with {done.returncode}:\n{wrote}")
    return done.stdout
