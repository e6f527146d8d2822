"""A real Mosquitto, who publishes there, and a stand-in for Home Assistant's REST API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.lab.broker import Broker, provide_mosquitto
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import RunningService, StartService, eventually

SAY = "gptsovits/say"
OFF = {"state": "unavailable", "attributes": {}}
STATUS, STATE = "gptsovits/status", "gptsovits/state"
StartHouse = Callable[..., Awaitable[RunningService]]


@pytest.fixture(scope="session", autouse=True)
def mosquitto() -> None:
    provide_mosquitto()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path / "broker")
    yield running
    running.stop()


@pytest.fixture
def visitor(broker: Broker) -> Iterator[Visitor]:
    with Visitor(broker.port) as visitor:
        yield visitor


@pytest.fixture
def start_house(broker: Broker, visitor: Visitor, start_service: StartService) -> StartHouse:
    """Start the service at the broker and wait until it is there."""

    async def start(wait: Visitor = visitor, **settings: object) -> RunningService:
        usual = {"mqtt_host": "127.0.0.1", "mqtt_port": broker.port, "base_url": "http://box:1"}
        house = await start_service(**{**usual, **settings})
        await eventually(lambda: "online" in wait.on(STATUS))
        return house

    return start


async def answers(visitor: Visitor, count: int, seconds: float = 60) -> list[dict[str, Any]]:
    """Wait for that many, and a moment longer for one too many."""
    await eventually(lambda: len(visitor.answers()) >= count, seconds)
    await asyncio.sleep(0.1)
    found = visitor.answers()
    assert len(found) == count
    return found


def old_broker(port: int) -> Callable[..., Awaitable[None]]:
    """In front of the broker: refuses MQTT 5 as a broker does that knows 3.1.1 only."""
    refusal = b"\x20\x02\x00\x01"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(4096)
        level = hello[hello.index(b"MQTT") + 4]
        inside, outside = await asyncio.open_connection("127.0.0.1", port)
        outside.write({4: hello, 5: b""}[level])
        writer.write({4: b"", 5: refusal}[level])
        await asyncio.wait(
            [
                asyncio.create_task(_pump(reader, outside)),
                asyncio.create_task(_pump(inside, writer)),
            ]
        )

    return serve


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


class HomeAssistant:
    """Knows one player that plays and one that is off; keeps what it was asked to play."""

    def __init__(self) -> None:
        self.played: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.paths: list[str] = []
        self.turned: list[float] = []
        self.status = 200
        self.awake: dict[str, Any] | None = None  # what the kitchen is once it plays
        self.actual: dict[str, Any] | None = None  # what the kitchen is when it is looked at
        self.looks = 0
        self.hold: asyncio.Event | None = None  # what the next look waits for
        self.answer: asyncio.Event | None = None  # what the next answer, known by then, waits for
        self.volume_status = 200
        self.kitchen: dict[str, Any] = {"state": "idle", "attributes": {"volume_level": 0.2}}
        app = web.Application()
        for api in ("/api", "/core/api"):  # its own, and as the Supervisor passes it on
            app.router.add_get(api + "/states/{player}", self._state)
            app.router.add_post(f"{api}/services/media_player/play_media", self._play)
            app.router.add_post(f"{api}/services/media_player/volume_set", self._turn)
            app.router.add_post(f"{api}/services/homeassistant/update_entity", self._look)
        self.server = TestServer(app)

    @property
    def volume(self) -> float:
        return float(self.kitchen["attributes"]["volume_level"])

    async def _state(self, request: web.Request) -> web.Response:
        states = {"media_player.kitchen": self.kitchen, "media_player.attic": OFF}
        state = states.get(request.match_info["player"])
        response = web.json_response(state or {}, status=200 if state else 404)
        hold, self.answer = self.answer, None
        await (hold.wait() if hold else asyncio.sleep(0))
        return response

    async def _play(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers["Authorization"])
        self.paths.append(request.path)
        self.played.append(await request.json())
        self.kitchen = self.awake or self.kitchen
        return web.json_response([], status=self.status)

    async def _look(self, request: web.Request) -> web.Response:
        self.looks += 1
        hold, self.hold = self.hold, None
        await (hold.wait() if hold else asyncio.sleep(0))
        self.kitchen = self.actual or self.kitchen
        return web.json_response([])

    async def _turn(self, request: web.Request) -> web.Response:
        level = (await request.json())["volume_level"]
        self.turned.append(level)
        self.kitchen["attributes"] = {"volume_level": level}
        return web.json_response([], status=self.volume_status)


@pytest.fixture
async def home_assistant() -> AsyncIterator[HomeAssistant]:
    home = HomeAssistant()
    async with home.server:
        yield home
