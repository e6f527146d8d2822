"""Home Assistant's media players, asked by its REST API to play a clip."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from service.errors import ServiceError

PATIENCE = aiohttp.ClientTimeout(total=30)  # some players answer only when they have played


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
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def play(self, players: Sequence[str], clip: str) -> None:
        """Have the clip announced: what plays is turned down or stopped, and goes on after it.

        Args:
            players: ids of `media_player` entities.
            clip: an address that they can reach.

        Raises:
            PlayerNotFound: one is not there; none has been asked then.
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        body = {
            "entity_id": list(players),
            "media_content_id": clip,
            "media_content_type": "music",
            "announce": True,
        }
        try:
            async with aiohttp.ClientSession(headers=self._headers, timeout=PATIENCE) as session:
                for player in players:
                    await self._find(session, player)
                service = f"{self._url}/api/services/media_player/play_media"
                async with session.post(service, json=body) as answer:
                    _refuse(answer, "play_media")
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            reason = type(error).__name__
            raise PlayerFailed(f"Home Assistant cannot be reached: {reason}") from error

    async def _find(self, session: aiohttp.ClientSession, player: str) -> None:
        """Home Assistant takes calls for entities that it has not; nobody would hear anything."""
        async with session.get(f"{self._url}/api/states/{player}") as answer:
            if answer.status == 404:
                raise PlayerNotFound(f"players: there is no {player}", param="players")
            _refuse(answer, player)
            if (await answer.json()).get("state") == "unavailable":
                raise PlayerNotFound(f"players: {player} is unavailable", param="players")


def _refuse(answer: aiohttp.ClientResponse, what: str) -> None:
    if answer.status == 401:
        raise PlayerFailed("Home Assistant does not know the home_assistant_token")
    if answer.status >= 400:
        raise PlayerFailed(f"Home Assistant answers {answer.status} to {what}")
