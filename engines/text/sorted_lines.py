"""A big read-only table as one sorted block of bytes: little memory, ready once it is read."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from importlib import resources


class SortedLines:
    """A table of `key TAB value` lines, looked up by binary search.

    A Python dictionary of the same 126,000 pronunciations takes ten times the memory and a tenth
    of a second to fill, for the few hundred words that a home ever says.
    """

    def __init__(self, block: bytes) -> None:
        """Take lines in byte order, each closed by a newline."""
        self._block = block

    @classmethod
    def carried(cls, name: str) -> SortedLines:
        """Read a gzip file of `engines/text/data`, whose lines are sorted already."""
        data = resources.files("engines.text.data").joinpath(name).read_bytes()
        return cls(gzip.decompress(data))

    @classmethod
    def sorted_from(cls, lines: Sequence[bytes]) -> SortedLines:
        """Sort lines without newlines; of several with one key the last counts."""
        # Python's sort keeps the order of equals, and a look-up finds the first of them.
        ordered = sorted(reversed(lines), key=lambda line: line[: line.index(b"\t") + 1])
        return cls(b"\n".join([*ordered, b""]))

    def get(self, key: str) -> str | None:
        """Return the value of a key, None where the table has no such key."""
        wanted = key.encode("utf-8", "replace") + b"\t"
        start = self._first_at_or_after(wanted)
        if not self._block.startswith(wanted, start):
            return None
        end = self._block.index(b"\n", start)
        return self._block[start + len(wanted) : end].decode("utf-8")

    def has_prefix(self, prefix: str) -> bool:
        """Say whether any key begins with these characters."""
        wanted = prefix.encode("utf-8", "replace")
        return self._block.startswith(wanted, self._first_at_or_after(wanted))

    def _first_at_or_after(self, wanted: bytes) -> int:
        block = self._block
        low, high = 0, len(block)
        while low < high:
            # rfind gives -1 when the middle lies in the first line, whose start is 0.
            start = block.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if block[start : start + len(wanted)] < wanted:
                low = block.index(b"\n", start) + 1
            else:
                high = start
        return low
