"""A service with a fake voice in a process of its own, that dies at a moment of choice.

    python -m tests.service.mqtt.house BROKER_PORT DATA HOME_ASSISTANT MOMENT COUNT

It dies at the COUNTth time of that moment, as by SIGKILL: nothing is flushed or told.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from service.app import create_app
from service.config import Settings
from service.mqtt_announcer import Announcer
from service.mqtt_jobs import JobStore
from service.mqtt_link import Link
from tests.service.conftest import FakeSynthesizer

ON_THE_WIRE = 0.1  # seconds for what paho's thread has to send
MOMENTS: dict[str, tuple[type, str, bool]] = {
    "before the disk": (JobStore, "accept", True),
    "before the acknowledgement": (JobStore, "accept", False),
    "after the acknowledgement": (Link, "acknowledge", False),
    "while speaking": (Announcer, "spoken", True),
    "before playing": (JobStore, "play", True),
    "before the answer": (JobStore, "end", True),
    "after the answer": (JobStore, "end", False),
    "before delivery is noted": (JobStore, "delivered", True),
}


def arm(owner: Any, name: str, first: bool, count: int) -> None:
    """Let the COUNTth call of a method be the last thing that happens, or the call before it."""
    method = getattr(owner, name)
    calls = 0

    def armed(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < count:
            return method(*arguments)
        if not first:
            method(*arguments)
            time.sleep(ON_THE_WIRE)
        os._exit(9)

    setattr(owner, name, armed)


async def main(port: int, data: Path, home_assistant: str) -> None:
    settings = Settings(
        data=data,
        mqtt_host="127.0.0.1",
        mqtt_port=port,
        base_url="http://box:1",
        home_assistant_url=home_assistant,
        mqtt_players="media_player.kitchen",
    )
    make: Callable[[], tuple[FakeSynthesizer]] = lambda: (FakeSynthesizer(),)  # noqa: E731
    runner = web.AppRunner(create_app(settings, make))
    await runner.setup()
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[4] in MOMENTS:
        arm(*MOMENTS[sys.argv[4]], int(sys.argv[5]))
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
