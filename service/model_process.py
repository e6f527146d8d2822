"""Runs a task of `service.model_child` and reads what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from service.model_errors import ChildKilled, InstallFailed

STALLED_AFTER = 3600.0  # seconds without a word after which a task counts as hung
LONGEST_LINE = 1 << 16
_LAST_WORDS = 4000  # characters
_ERROR = re.compile(r"^error \((\w+)\): (.+)$", re.MULTILINE)
_ROOT = Path(__file__).parents[1]

Tell = Callable[[int, int, str], None]


async def run_child(
    task: str,
    *arguments: str | Path,
    tell: Tell,
    hear: Callable[[dict[str, Any]], None] = lambda told: None,
    good: Collection[int] = (0,),
) -> None:
    """Run a task to its end; cancelling ends the process.

    Args:
        task: `download`, or a command of `python -m engines`.
        arguments: the task's.
        tell: told its progress: done, of how many, what comes next.
        hear: given every other object that it writes.
        good: the statuses that are no failure.

    Raises:
        ChildKilled: somebody killed it, or it crashed.
        InstallFailed: with the code and the message of what went wrong.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.model_child", str(os.getpid()), task),
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        limit=LONGEST_LINE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    words = asyncio.create_task(_last_words(child.stderr))
    try:
        while line := await asyncio.wait_for(child.stdout.readline(), STALLED_AFTER):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                if "what" in told:
                    tell(int(told["done"]), int(told["total"]), str(told["what"]))
                else:
                    hear(told)
        status = await child.wait()
        said = await words
    except TimeoutError as error:
        message = f"{task}: nothing has happened for {STALLED_AFTER:g} s"
        raise InstallFailed(message) from error
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        words.cancel()
    if status not in good:
        raise _failure(task, status, said)


def _failure(task: str, status: int, said: str) -> InstallFailed:
    reasons = _ERROR.findall(said)
    if reasons:
        code, message = reasons[-1]
        failed = InstallFailed(message)
        failed.code = code
        return failed
    last = (said.strip().splitlines() or ["it said nothing"])[-1][:300]
    how = f"was killed (signal {-status})" if status < 0 else f"ended with {status}"
    kind = ChildKilled if status < 0 else InstallFailed
    return kind(f"{task}: the process {how}: {last}")


async def _last_words(stream: asyncio.StreamReader) -> str:
    text = ""
    while data := await stream.read(4096):
        text = (text + data.decode("utf-8", "replace"))[-_LAST_WORDS:]
    return text
