"""One installation of a model: what it is about and how far it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger(__name__)
LOGGED_EVERY = 25  # percent
ENDED = ("done", "failed", "cancelled")


@dataclass(slots=True)
class InstallJob:
    """One installation.

    Attributes:
        id: what requests call it.
        source: upload, folder or hub.
        name: of the model to be.
        work: its hidden folder; gone when it has ended.
        state: receiving, waiting, running, done, failed or cancelled.
        stage: what is being done: receive, fetch, download, copy, convert, install.
        percent: of the stage.
        message: what is being done, for a person.
        error: code and message of what went wrong.
        model: id of the installed model, once it is.
    """

    id: str
    source: str
    name: str
    work: Path
    state: str = "waiting"
    stage: str = ""
    percent: float = 0.0
    message: str = ""
    error: dict[str, str] | None = None
    model: str | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def at(self, stage: str, percent: float, message: str) -> None:
        """Note how far it is."""
        if stage != self.stage or percent // LOGGED_EVERY != self.percent // LOGGED_EVERY:
            _LOGGER.info("model %r: %s, %.0f %%: %s", self.name, stage, percent, message)
        self.stage, self.percent, self.message = stage, round(percent, 1), message

    def as_dict(self) -> dict[str, Any]:
        """What the API tells of it."""
        names = ("id", "source", "name", "state", "stage", "percent", "message", "error")
        return {name: getattr(self, name) for name in (*names, "model", "created")}
