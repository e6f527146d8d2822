"""Starting the whole process anew, where nothing less helps, and never in a loop."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from service.durable import write_file

_LOGGER = logging.getLogger(__name__)
STATUS = 75  # exit status of a process that wants to be started again (EX_TEMPFAIL of sysexits.h)
MOST, WINDOW = 3, 3600.0  # restarts in so many seconds
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Restarts:
    """Remembers the restarts of the last hour, over restarts.

    Times are those since the machine was booted, so that setting its clock changes nothing.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def allowed(self) -> bool:
        """Whether another one may still help."""
        return len(self._recent()) < MOST

    def note(self) -> bool:
        """Remember one that is about to happen; False if that failed and it must not happen."""
        times = [*self._recent(), _now()]
        try:
            write_file(self._file, json.dumps({"boot": _boot(), "times": times}).encode())
        except OSError as error:
            # Without this memory a broken card would make the process start for ever.
            _LOGGER.error("not restarted, since restarts cannot be counted: %s", error)
            return False
        return True

    def _recent(self) -> list[float]:
        try:
            kept = json.loads(self._file.read_bytes())
            times = [float(each) for each in kept["times"]] if kept["boot"] == _boot() else []
        except (OSError, ValueError, KeyError, TypeError):
            return []
        now = _now()
        return [each for each in times if 0 <= now - each < WINDOW]


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
