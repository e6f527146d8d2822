"""The process that downloads or converts a model, so that the service goes on speaking.

It gives way to everything else on the machine, ends with the service that started it, tells its
progress as JSON lines `{"done", "total", "what"}` on standard output, and what went wrong as
`error (CODE): MESSAGE` on standard error. Only here torch comes into memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path

from engines.errors import EngineError

_PR_SET_PDEATHSIG = 1
NICENESS = 19
OUT_OF_MEMORY_FIRST = "800"  # of 1000: rather this process than the one that speaks


def main(arguments: list[str]) -> int:
    """Do one task; returns the process's exit status.

    Args:
        arguments: process id of the service, name of a task, the task's arguments.
    """
    parent, task, *rest = arguments
    _give_way(int(parent))
    try:
        if task == "download":
            return int(importlib.import_module("service.model_hub").main(rest))
        return int(importlib.import_module("engines.__main__").main([task, *rest]))
    except EngineError as error:
        return _refuse(error.code, str(error))
    except ImportError as error:
        message = (
            f"{error.name} is not installed here; `script/setup` brings it, in the app or a "
            "container the option `converter` or `python -m service add-converter`"
        )
        return _refuse("converter_missing", message)
    except MemoryError:
        return _refuse("out_of_memory", f"there is not enough memory to {task} this model")
    except OSError as error:
        return _refuse("storage_failed", f"{error.filename or task}: {error.strerror or error}")


def _give_way(parent: int) -> None:
    os.nice(NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        # Without it a service that is killed would leave this behind, working for nobody.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_FIRST)
    if os.getppid() != parent:
        sys.exit(1)  # it was killed before it could be watched


def _refuse(code: str, message: str) -> int:
    sys.stderr.write(f"error ({code}): {message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
