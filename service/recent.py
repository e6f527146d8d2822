"""What the house has said lately, and what it does now: for the page, kept in memory only.

The page asks for it again and again. A stream of events would be told sooner, but Home Assistant's
ingress compresses what flows and so holds events back until there are enough of them, and a browser
cannot send the token with an event stream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from service.health import Health

MOST = 50
UNHEARD = ("self-test", "prerender")  # doors whose speech nobody listens to


@dataclass(frozen=True, slots=True)
class RecentAnswer:
    """One request that has ended.

    Attributes:
        id: the request's.
        time: when it came, ISO 8601 in UTC.
        door: who asked: http, tts, websocket, wyoming or mqtt.
        outcome: `done`, `cancelled` or an error's code.
        voice: id of the voice that was asked for, None where there is none of that name.
        rung: who spoke last of it, None where nobody did.
        model: the model that spoke, None where none did.
        first_audio: milliseconds to its first sound, None where there was none.
        seconds: audio handed out.
        text: what was said; only where the settings let texts be logged.
    """

    id: str
    time: str
    door: str
    outcome: str
    voice: str | None
    rung: str | None
    model: str | None
    first_audio: int | None
    seconds: float
    text: str | None = None


class Recent:
    """The latest answers.

    Args:
        keep_text: also keep what was said.

    Attributes:
        count: answers since the start; it changes whenever there is a new one.
    """

    def __init__(self, *, keep_text: bool = False) -> None:
        self.count = 0
        self._keep_text = keep_text
        self._answers: deque[RecentAnswer] = deque(maxlen=MOST)

    def add(self, answer: RecentAnswer) -> None:
        """Remember an answer, unless nobody was meant to hear it."""
        if answer.door not in UNHEARD:
            self.count += 1
            self._answers.appendleft(answer)

    def as_dict(self) -> dict[str, Any]:
        """The answer of GET /v1/recent, the latest first."""
        listed = [asdict(answer) for answer in self._answers]
        if not self._keep_text:
            for answer in listed:
                del answer["text"]
        return {"count": self.count, "limit": MOST, "answers": listed}


class RecentApi:
    """The two routes of the page's live part.

    Args:
        recent, health: the parts that answer.
    """

    def __init__(self, recent: Recent, health: Health) -> None:
        self._recent = recent
        self._health = health

    def routes(self) -> list[web.RouteDef]:
        """Its routes."""
        return [web.get("/v1/recent", self._get_recent), web.get("/v1/live", self._get_live)]

    async def _get_recent(self, request: web.Request) -> web.Response:
        return web.json_response(self._recent.as_dict())

    async def _get_live(self, request: web.Request) -> web.Response:
        now = self._health.snapshot()
        told = {name: now[name] for name in ("status", "rung", "reason", "rungs")}
        queue = {**now["queue"], "speaking": self._health.queue.speaking}
        return web.json_response({**told, "queue": queue, "answers": self._recent.count})
