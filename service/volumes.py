"""How loud players are while they announce; afterwards they are as they were."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol

from service.errors import ServiceError

_LOGGER = logging.getLogger(__name__)
_LOOK = 0.5  # seconds between looks at a player
_GRACE = 30.0  # seconds after which a player that still plays plays something else
_NEXT_TRY, _LAST_TRY = 5.0, 60.0  # seconds until Home Assistant is asked again
_CLOSE = 0.02  # players round what they are set to
_BUSY = ("playing", "buffering")


SET = "media_player/volume_set"


class Home(Protocol):
    """What of Home Assistant's API is needed here."""

    async def look(self, player: str) -> dict[str, Any]:
        """The player's state and attributes, as they are now."""

    async def call(self, service: str, body: dict[str, Any]) -> None:
        """Call a service."""


async def _forget(before: dict[str, float]) -> None:
    """Where nothing is kept, nothing is given back after an end of the service."""


class Volumes:
    """Remembers how loud players were, and sees that they are so again.

    Args:
        home: where players are asked and set.

    Attributes:
        keep: told of what has to be given back, whenever that changes; it should survive the end
            of the service.
    """

    def __init__(self, home: Home) -> None:
        self.keep: Callable[[dict[str, float]], Awaitable[None]] = _forget
        self._home = home
        self._before: dict[str, float] = {}
        self._set: dict[str, float] = {}
        self._over: dict[str, float] = {}  # `monotonic()` when a player's announcement is over
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._setting = asyncio.Lock()  # else what is given back could overtake what is set

    async def turn(
        self, states: Mapping[str, dict[str, Any]], level: float, seconds: float
    ) -> bool:
        """Set players to a level; whether they took it.

        Args:
            states: of the players, as they are now.
            level: 0 to 1.
            seconds: how long they will play.
        """
        if not states:
            return True
        async with self._setting:
            for player, state in states.items():
                if (known := volume_of(state)) is not None:
                    # One that announces already is not as it was.
                    if player not in self._before or not self._is_ours(player, state):
                        self._before[player] = known
                    self._over[player] = monotonic() + seconds + _GRACE
                    self._set[player] = level
            await self.keep(dict(self._before))
            try:
                body = {"entity_id": list(states), "volume_level": level}
                await self._home.call(SET, body)
            except ServiceError as error:
                # Said too loud or too soft is better than not said.
                _LOGGER.warning("the volume of %s stays as it is: %s", ", ".join(states), error)
                return False
        return True

    def give_back(self, players: Sequence[str], seconds: float) -> None:
        """Let players be as they were, once they have played.

        Args:
            players: those that were turned, or not.
            seconds: how long they play from now on.
        """
        for player in players:
            if player in self._before:
                self._over[player] = monotonic() + seconds
                if player not in self._tasks:
                    self._tasks[player] = asyncio.create_task(self._restore(player))

    def take_up(self, before: Mapping[str, float]) -> None:
        """Give back what an earlier run of the service could not."""
        self._before |= before
        self.give_back(list(before), 0.0)

    async def close(self) -> None:
        """Stop; what is not given back yet is kept for `take_up`."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _restore(self, player: str) -> None:
        pause = _NEXT_TRY
        while True:
            over = self._over[player]
            if (left := over - monotonic()) > 0:
                await asyncio.sleep(left)
                continue
            try:
                state = await self._home.look(player)
                late = monotonic() - over > _GRACE
                if state.get("state") in _BUSY and not late:
                    await asyncio.sleep(_LOOK)
                    continue
                async with self._setting:
                    if self._over[player] != over:
                        continue  # it announces again
                    if self._is_ours(player, state):
                        body = {"entity_id": player, "volume_level": self._before[player]}
                        await self._home.call(SET, body)
                    del self._tasks[player], self._before[player], self._over[player]
                    self._set.pop(player, None)
                    await self.keep(dict(self._before))
                    return
            except ServiceError as error:
                _LOGGER.warning("the volume of %s cannot be given back yet: %s", player, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_TRY)

    def _is_ours(self, player: str, state: Mapping[str, Any]) -> bool:
        """Whether nobody has turned it since; where nothing is known, it is ours."""
        now = volume_of(state)
        ours = (self._set.get(player), self._before[player])
        if now is None or player not in self._set:
            return True
        return any(each is not None and abs(now - each) <= _CLOSE for each in ours)


def volume_of(state: Mapping[str, Any]) -> float | None:
    """How loud a player is, 0 to 1; None where that is not known, as of one that is off."""
    known = state.get("attributes", {}).get("volume_level")
    return None if known is None else float(known)
