"""One snapshot of how the service is, for every door and page."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from service import __version__
from service.durable import write_file
from service.jobs import JobQueue
from service.ladder import Ladder
from service.metrics import LastAnswer
from service.model_fleet import ModelFleet

_LOGGER = logging.getLogger(__name__)


@dataclass
class Health:
    """What is running and how well.

    Attributes:
        server_id: stays the same for the life of the data folder.
        models: the models that clone.
        ready: the self-test has been spoken.
        failure: why the service is not ready, for a person.
        last: tells the latest answer that was spoken.
        mqtt: tells how the line to the broker is, None without one.
    """

    server_id: str
    queue: JobQueue
    ladder: Ladder
    models: ModelFleet
    ready: bool = False
    failure: str | None = None
    started: float = field(default_factory=monotonic)
    last: Callable[[], LastAnswer | None] = lambda: None
    mqtt: Callable[[], dict[str, Any] | None] = lambda: None

    @property
    def rung(self) -> str:
        """The rung that would speak now; a model that cannot leaves it to the next one."""
        counting = self._counting()
        return str(next((rung["name"] for rung in counting if rung["up"]), counting[-1]["name"]))

    def _counting(self) -> list[dict[str, Any]]:
        """The rungs of now without the models that are loading, broken or without traffic."""
        return [
            rung
            for rung in self.ladder.snapshot()
            if rung["model"] is None or self.models.serving(rung["model"])
        ]

    def snapshot(self) -> dict[str, Any]:
        """The answer of GET /health."""
        model = self.models.main
        lost = self.models.store.failure or (model["reason"] if model is not None else None)
        reason = self.failure or self._counting()[0]["reason"] or lost
        if not self.ready:
            status = "unavailable" if self.failure else "loading"
        else:
            status = "ok" if reason is None else "degraded"
        return {
            "id": self.server_id,
            "status": status,
            "version": __version__,
            "rung": self.rung,
            "reason": reason,
            "rungs": self.ladder.snapshot(),
            "model": model,
            "queue": {"depth": self.queue.depth, "limit": self.queue.limit},
            "mqtt": self.mqtt(),
            "last": last.as_dict() if (last := self.last()) is not None else None,
            "uptime": round(monotonic() - self.started, 1),
        }


def read_server_id(data: Path) -> str:
    """The id kept in the data folder; made on the first start.

    Where the folder cannot be written the id is one for this start only: a house with a broken disk
    still has a voice.
    """
    path = data / "server_id"
    fresh = uuid.uuid4().hex
    try:
        data.mkdir(parents=True, exist_ok=True)
        if path.is_file() and (kept := path.read_text(encoding="ascii").strip()):
            return kept
        write_file(path, f"{fresh}\n".encode("ascii"))
    except OSError as error:
        _LOGGER.error("the data folder cannot be written, nothing will be kept: %s", error)
    return fresh
