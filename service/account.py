"""What a request has come to: its one line in the log, and how it is counted."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from service.logs import FACTS
from service.metrics import Metrics
from service.speaking import Speaking

_LOGGER = logging.getLogger(__name__)
CANCELLED = "cancelled"
# Outcomes of requests that were taken back before they were spoken, and why.
_REASONS = {CANCELLED: "left", "expired": "expired", "not_ready": "stopped"}


class Account:
    """One request from its door to its end.

    Attributes:
        outcome: `done`, `cancelled` or an error's code.
        speaking: the answer, once there is one.
    """

    def __init__(self, door: str) -> None:
        self.outcome = CANCELLED
        self.speaking: Speaking | None = None
        self._door = door
        self._begun = monotonic()

    def close(self, metrics: Metrics) -> None:
        """Count it and write its line."""
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
