"""Home Assistant's media players, asked by its REST API to play a clip."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any

import aiohttp

from service.errors import ServiceError
from service.volumes import Volumes

PATIENCE = aiohttp.ClientTimeout(total=30)  # some players answer only when they have played
_TO_START = 1.0  # seconds that a player may take to begin


class PlayerNotFound(ServiceError):
    """Home Assistant has no such player, or it is switched off or unreachable."""

    code = "player_not_found"
    status = 404


class PlayerFailed(ServiceError):
    """Home Assistant did not take the request to play."""

    code = "player_failed"
    status = 502


class Players:
    """The media players of one Home Assistant.

    Args:
        url: its address, or the Supervisor's proxy to it.
        token: a long-lived access token, or the Supervisor's.

    Attributes:
        volumes: how loud they were before they announced.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self.volumes = Volumes(self)

    async def play(
        self,
        players: Sequence[str],
        clip: str,
        *,
        seconds: float = 0.0,
        volume: float | None = None,
    ) -> bool:
        """Have the clip announced: what plays is turned down or stopped, and goes on after it.

        Args:
            players: ids of `media_player` entities.
            clip: an address that they can reach.
            seconds: its length.
            volume: 0 to 1 while it is played, None to leave it as it is.

        Returns:
            Whether the players took the volume.

        Raises:
            PlayerNotFound: one is not there; none has been asked then.
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        states = {player: await self._find(player) for player in players}
        turned = volume is not None and await self.volumes.turn(states, volume)
        body = {
            "entity_id": list(players),
            "media_content_id": clip,
            "media_content_type": "music",
            "announce": True,
        }
        begun = monotonic()
        try:
            await self.call("play_media", body)
        finally:
            # Some players answer only when they have played.
            self.volumes.give_back(players, max(0.0, seconds + begun - monotonic()) + _TO_START)
        return turned

    async def state(self, player: str) -> dict[str, Any]:
        """What Home Assistant knows of a player.

        Raises:
            PlayerNotFound: nothing.
            PlayerFailed: it cannot be reached, or refuses.
        """
        async with self._asked("get", f"states/{player}") as answer:
            if answer.status == 404:
                raise PlayerNotFound(f"players: there is no {player}", param="players")
            _refuse(answer, player)
            found: dict[str, Any] = await answer.json()
            return found

    async def call(self, service: str, body: dict[str, Any]) -> None:
        """Call one of the services of `media_player`.

        Raises:
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        async with self._asked("post", f"services/media_player/{service}", body) as answer:
            _refuse(answer, service)

    async def _find(self, player: str) -> dict[str, Any]:
        """Home Assistant takes calls for entities that it has not; nobody would hear anything."""
        found = await self.state(player)
        if found.get("state") == "unavailable":
            raise PlayerNotFound(f"players: {player} is unavailable", param="players")
        return found

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, path: str, body: object = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=PATIENCE) as session,
                session.request(method, f"{self._url}/api/{path}", json=body) as answer,
            ):
                yield answer
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            reason = type(error).__name__
            raise PlayerFailed(f"Home Assistant cannot be reached: {reason}") from error


def _refuse(answer: aiohttp.ClientResponse, what: str) -> None:
    if answer.status == 401:
        raise PlayerFailed("Home Assistant does not know the home_assistant_token")
    if answer.status >= 400:
        raise PlayerFailed(f"Home Assistant answers {answer.status} to {what}")
