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
_PATIENCE = 30.0  # seconds for Home Assistant's answer
_TO_START = 1.0  # seconds that a player may take to begin
_TO_WAKE = 5.0  # seconds in which one that was off tells how loud it is
_LOOK = 0.2  # seconds between looks at it
_TO_TELL = 2.0  # seconds in which players tell how loud they are now
_UPDATE = "homeassistant/update_entity"


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
        if volume is not None:
            await self._refresh(players)
        states = {player: await self._find(player) for player in players}
        known = {player: state for player, state in states.items() if volume_of(state) is not None}
        turned = volume is None or await self.volumes.turn(known, volume, seconds)
        body = {
            "entity_id": list(players),
            "media_content_id": clip,
            "media_content_type": "music",
            "announce": True,
        }
        begun = monotonic()
        try:
            # Some players answer only when they have played.
            await self.call("media_player/play_media", body, _PATIENCE + seconds)
            if volume is not None and len(known) < len(states):
                asleep = [each for each in states if each not in known]
                turned &= await self._turn_awake(asleep, volume, seconds)
        finally:
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

    async def call(self, service: str, body: dict[str, Any], patience: float = _PATIENCE) -> None:
        """Call a service, such as `media_player/play_media`.

        Args:
            service: its domain and name.
            body: its fields.
            patience: seconds that its answer may take.

        Raises:
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        async with self._asked("post", f"services/{service}", body, patience) as answer:
            _refuse(answer, service)

    async def look(self, player: str) -> dict[str, Any]:
        """A player as it is now: of many, Home Assistant looks only every ten seconds.

        Raises:
            PlayerNotFound, PlayerFailed: as `state`.
        """
        await self.call(_UPDATE, {"entity_id": player})
        return await self.state(player)

    async def _refresh(self, players: Sequence[str]) -> None:
        """Have Home Assistant look, so that a volume of ten seconds ago is not given back later."""
        try:
            async with asyncio.timeout(_TO_TELL):
                await self.call(_UPDATE, {"entity_id": list(players)})
        except (ServiceError, TimeoutError):
            # One that tells nothing must not keep an announcement waiting.
            _LOGGER.warning("%s: how loud they were may be out of date", ", ".join(players))

    async def _turn_awake(self, players: Sequence[str], volume: float, seconds: float) -> bool:
        """Turn players that were off; only now that they play it is known how loud they are."""
        try:
            states = {player: await self._awake(player) for player in players}
        except ServiceError as error:  # they play, so it is no failure
            _LOGGER.warning("the volume of %s is not known: %s", ", ".join(players), error)
            return False
        # What is not known could not be given back.
        known = {player: state for player, state in states.items() if volume_of(state) is not None}
        turned = await self.volumes.turn(known, volume, seconds)
        return turned and len(known) == len(states)

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
        self, method: str, path: str, body: object = None, patience: float = _PATIENCE
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=patience)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
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
