"""Home Assistant's media players, asked by its REST API to play a clip."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any

import aiohttp

from service.errors import ServiceError
from service.volumes import Volumes, volume_of

_LOGGER = logging.getLogger(__name__)
PATIENCE = aiohttp.ClientTimeout(total=30)  # some players answer only when they have played
_TO_START = 1.0  # seconds that a player may take to begin
_TO_WAKE = 5.0  # seconds in which one that was off tells how loud it is
_LOOK = 0.2  # seconds between looks at it


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
        known = {player: state for player, state in states.items() if volume_of(state) is not None}
        turned = volume is None or await self.volumes.turn(known, volume)
        body = {
            "entity_id": list(players),
            "media_content_id": clip,
            "media_content_type": "music",
            "announce": True,
        }
        begun = monotonic()
        try:
            await self.call("media_player/play_media", body)
            if volume is not None and len(known) < len(states):
                turned &= await self._turn_awake(
                    [each for each in states if each not in known], volume
                )
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
        """Call a service, such as `media_player/play_media`.

        Raises:
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        async with self._asked("post", f"services/{service}", body) as answer:
            _refuse(answer, service)

    async def look(self, player: str) -> dict[str, Any]:
        """A player as it is now: of many, Home Assistant looks only every ten seconds.

        Raises:
            PlayerNotFound, PlayerFailed: as `state`.
        """
        await self.call("homeassistant/update_entity", {"entity_id": player})
        return await self.state(player)

    async def _turn_awake(self, players: Sequence[str], volume: float) -> bool:
        """Turn players that were off; only now that they play it is known how loud they are."""
        try:
            states = {player: await self._awake(player) for player in players}
        except ServiceError as error:  # they play, so it is no failure
            _LOGGER.warning("the volume of %s is not known: %s", ", ".join(players), error)
            return False
        return await self.volumes.turn(states, volume)

    async def _awake(self, player: str) -> dict[str, Any]:
        patience = monotonic() + _TO_WAKE
        while True:
            state = await self.look(player)
            if volume_of(state) is not None or monotonic() >= patience:
                return state
            await asyncio.sleep(_LOOK)

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
