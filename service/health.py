"""One snapshot of how the service is, for every door and page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from service import __version__
from service.jobs import JobQueue
from service.ladder import Ladder
from service.model_fleet import ModelFleet


@dataclass
class Health:
    """What is running and how well.

    Attributes:
        server_id: stays the same for the life of the data folder.
        models: the models that clone.
        ready: the self-test has been spoken.
        failure: why the service is not ready, for a person.
    """

    server_id: str
    queue: JobQueue
    ladder: Ladder
    models: ModelFleet
    ready: bool = False
    failure: str | None = None
    started: float = field(default_factory=monotonic)

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
        lost = model["reason"] if model is not None else None
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
            "uptime": round(monotonic() - self.started, 1),
        }


def read_server_id(data: Path) -> str:
    """The id kept in the data folder; made on the first start.

    Raises:
        OSError: the folder cannot be written.
    """
    data.mkdir(parents=True, exist_ok=True)
    path = data / "server_id"
    if path.is_file() and (kept := path.read_text(encoding="ascii").strip()):
        return kept
    fresh = uuid.uuid4().hex
    part = path.with_suffix(".part")
    part.write_text(fresh + "\n", encoding="ascii")
    part.replace(path)
    return fresh
