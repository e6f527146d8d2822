"""What a request has come to: its one line in the log, and how it is counted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from service.logs import FACTS, current
from service.metrics import Metrics
from service.recent import Recent, RecentAnswer
from service.speaking import Speaking

_LOGGER = logging.getLogger(__name__)
CANCELLED = "cancelled"
# Outcomes of requests that were taken back before they were spoken, and why.
_REASONS = {CANCELLED: "left", "expired": "expired", "not_ready": "stopped"}


class Account:
    """One request from its door to its end.

    Attributes:
        outcome: `done`, `cancelled` or an error's code.
        voice: id of the voice that was asked for, once it is known that there is one.
        speaking: the answer, once there is one.
    """

    def __init__(self, door: str) -> None:
        self.outcome = CANCELLED
        self.voice: str | None = None
        self.speaking: Speaking | None = None
        self._door = door
        self._came = datetime.now(UTC)
        self._begun = monotonic()

    def close(self, metrics: Metrics, recent: Recent) -> None:
        """Count it, remember it and write its line."""
        metrics.requests.labels(self._door, self.outcome).inc()
        if reason := _REASONS.get(self.outcome):
            metrics.cancels.labels(reason).inc()
        facts: dict[str, Any] = {"door": self._door, "outcome": self.outcome}
        if (speaking := self.speaking) is not None:
            first = speaking.first_sound
            facts |= {
                "voice": speaking.voice.id,
                "rung": speaking.rung,
                "first_audio": None if first is None else round(first, 3),
                "seconds": round(speaking.seconds, 3),
            }
        facts["took"] = round(monotonic() - self._begun, 3)
        shown = ", ".join(f"{key} {value}" for key, value in facts.items())
        _LOGGER.info("request: %s", shown, extra={FACTS: facts})
        recent.add(self._remembered())

    def _remembered(self) -> RecentAnswer:
        trace, speaking = current(), self.speaking
        first = None if speaking is None else speaking.first_sound
        return RecentAnswer(
            id=trace.id if trace is not None else "",
            time=self._came.isoformat(timespec="milliseconds"),
            door=self._door,
            outcome=self.outcome,
            voice=self.voice,
            rung=None if speaking is None else speaking.rung,
            model=None if speaking is None else speaking.model,
            first_audio=None if first is None else round(first * 1000),
            seconds=0.0 if speaking is None else round(speaking.seconds, 3),
            # A text that came whole stands before its sentences.
            text=trace.texts[0] if trace is not None and trace.texts else None,
        )
