"""What runs beside the speaking: looking for rungs that are down, for the other box, for what only
a restart cures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from engines.errors import EngineError
from service.jobs import JobQueue
from service.ladder import Ladder
from service.remote import RemoteRung
from service.restart import MOST, WINDOW, Restarts

_LOGGER = logging.getLogger(__name__)
PROBE_EVERY = 1.0  # seconds between looks at rungs that are down
LOOK_EVERY = 15.0  # seconds between looks at the other box
IDLE_EVERY = 1.0  # seconds between looks whether the queue is empty


async def probe(ladder: Ladder) -> None:
    """Try the rungs that are down, for ever."""
    while True:
        await asyncio.sleep(PROBE_EVERY)
        await asyncio.to_thread(ladder.probe)


async def look_for(remote: RemoteRung, ladder: Ladder) -> None:
    """See whether the other box is there, for ever."""
    there = True
    while True:
        try:
            await asyncio.to_thread(remote.look)
        except EngineError as error:
            there = False
            ladder.step_down(remote, error)
        else:
            if not there:
                ladder.hurry(remote)
            there = True
        await asyncio.sleep(LOOK_EVERY)


async def restart_when_lost(
    ladder: Ladder, queue: JobQueue, restarts: Restarts, restart: Callable[[], None]
) -> None:
    """Wait until a device is lost to this process and nobody is being spoken to, then restart.

    Args:
        ladder, queue: what to look at.
        restarts: counts them.
        restart: begins the orderly end of this process.
    """
    told = False
    while True:
        await asyncio.sleep(IDLE_EVERY)
        reason = ladder.needs_restart
        if reason is None or queue.depth:
            continue
        if restarts.allowed():
            if restarts.note():
                _LOGGER.error("restarting: %s", reason)
                restart()
                return
        elif not told:
            minutes = WINDOW / 60
            _LOGGER.error("%d restarts in %g minutes did not cure this: %s", MOST, minutes, reason)
            told = True
