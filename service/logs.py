"""The log: every line of a request carries its id, and none carries what was announced.

What is said in a house is nobody's business but the house's. So a request's text is taken out of
every line that is written for it, also of other people's messages that quote it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

HIDDEN = "[text]"
FACTS = "facts"  # name of a record's attribute: what a request's own line says, as fields
_SHORTEST = 3  # characters; less could be a part of any word
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Trace:
    """One request.

    Attributes:
        id: what its lines, its answer and its errors are found by.
        texts: what it says, to be kept out of the log.
    """

    id: str
    texts: list[str] = field(default_factory=list)


_NOW: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The request that is being worked on here."""
    return _NOW.get()


def new_trace(asked: str | None = None) -> Trace:
    """A request's trace.

    Args:
        asked: the id that the client gave; one that is too long or holds strange characters is
            not taken.
    """
    good = asked is not None and _SANE_ID.fullmatch(asked)
    return Trace(asked if asked and good else uuid.uuid4().hex[:12])


def hide(text: str) -> None:
    """Keep a text of the current request out of its lines."""
    if (trace := _NOW.get()) is not None:
        trace.texts.append(text)


def without_texts(line: str) -> str:
    """A line for others to read, without what the current request says."""
    return _without(_NOW.get(), line)


@contextlib.contextmanager
def traced(trace: Trace | None) -> Iterator[None]:
    """What is logged inside belongs to this request."""
    token = _NOW.set(trace)
    try:
        yield
    finally:
        # A generator that was left alone is closed from some other context.
        with contextlib.suppress(ValueError):
            _NOW.reset(token)


class _Lines(logging.Formatter):
    """Lines for a person."""

    def __init__(self, show_text: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s%(request)s: %(message)s")
        self._show_text = show_text

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of an exception."""
        trace = _NOW.get()
        record.request = f" [{trace.id}]" if trace else ""
        if not self._show_text:
            return _without(trace, super().format(record))
        said = f" text {' '.join(trace.texts)!r}" if trace and hasattr(record, FACTS) else ""
        return super().format(record) + said


class _Json(logging.Formatter):
    """Lines for a machine: a JSON object each."""

    def __init__(self, show_text: bool) -> None:
        super().__init__()
        self._show_text = show_text

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line."""
        trace = _NOW.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace:
            line["request_id"] = trace.id
        line |= getattr(record, FACTS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if not self._show_text:
            line = {key: _hidden(trace, value) for key, value in line.items()}
        elif trace and hasattr(record, FACTS):
            line["text"] = " ".join(trace.texts)
        return json.dumps(line, ensure_ascii=False)


def set_up(
    level: str, style: str, *, show_text: bool = False, stream: TextIO | None = None
) -> logging.Handler:
    """Log from here on.

    Args:
        level: `debug`, `info`, `warning` or `error`; libraries say no more than `info`.
        style: `text` or `json`.
        show_text: also write what is announced.
        stream: where to; standard error where it is None.

    Returns:
        The handler, for who wants to end it.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json(show_text) if style == "json" else _Lines(show_text))
    root = logging.getLogger()
    root.addHandler(handler)
    wanted = getattr(logging, level.upper())
    root.setLevel(max(wanted, logging.INFO))
    for ours in ("service", "engines"):
        logging.getLogger(ours).setLevel(wanted)
    # A query may hold a text.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    return handler


def _hidden(trace: Trace | None, value: object) -> object:
    return _without(trace, value) if isinstance(value, str) else value


def _without(trace: Trace | None, line: str) -> str:
    """The line without the request's texts, as they are and as Python and JSON quote them."""
    for text in sorted(trace.texts, key=len, reverse=True) if trace else ():
        if len(text.strip()) >= _SHORTEST:
            for form in (text, text.strip(), repr(text)[1:-1], json.dumps(text)[1:-1]):
                line = line.replace(form, HIDDEN)
    return line
