"""Progress of long work: a bar on a terminal, single lines elsewhere."""

from __future__ import annotations

import sys

_WIDTH = 24


class ProgressBar:
    """One line on the error stream, drawn over where it is a terminal.

    Args:
        every: where it is no terminal, a line for so many percent.
    """

    def __init__(self, every: int = 25) -> None:
        self._every = every
        self._last = ("", -1)

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show that so many steps of so many are done."""
        share = min(done, total) / max(total, 1)
        filled = round(share * _WIDTH)
        line = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{total} {what}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            return
        mark = (what, int(share * 100) // self._every)
        if mark != self._last:
            self._last = mark
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, for others to print."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
