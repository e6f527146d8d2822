"""Connections that only take up room are put out; those that ask for something are not."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from service import doorman as doorman_module
from service.app import DOORMAN, HEALTH, create_app
from service.config import Settings
from service.doorman import PARSER_LIMITS, Doorman, GuardedSite
from service.http_api import MAX_BODY
from service.wyoming_server import LARGEST_EVENT, _BoundedReader
from tests.service.conftest import FakeSynthesizer, eventually

HEAD = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n"
HEALTH_REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Door:
    def __init__(self, doorman: Doorman, port: int) -> None:
        self.doorman, self.port = doorman, port
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self, sent: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader

    def guests(self) -> int:
        return len(self.doorman._guests)


@pytest.fixture
async def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(doorman_module, "EVERY", 0.01)
    app = create_app(Settings(data=tmp_path), lambda: (FakeSynthesizer(),))
    doorman = app[DOORMAN]
    doorman._most = 4
    runner = web.AppRunner(app, handler_cancellation=True, **PARSER_LIMITS)
    await runner.setup()
    await GuardedSite(runner, "127.0.0.1", 0, doorman).start()
    door = Door(doorman, runner.addresses[0][1])
    await eventually(lambda: app[HEALTH].ready)
    yield door
    for writer in door.writers:
        writer.close()
    await runner.cleanup()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(doorman_module, "monotonic", lambda: now[0])
    return now


async def over(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"GET /hea", HEAD, HEAD + b"X-Slow: "], ids=["nothing", "a line", "head", "field"]
)
async def test_who_does_not_finish_asking_makes_room(door: Door, sent: bytes) -> None:
    slow = [await door.connect(sent) for _ in range(20)]
    answer = await door.connect(HEALTH_REQUEST)
    assert (await answer.readline()).startswith(b"HTTP/1.1 200")
    assert door.guests() <= 4
    assert all([await over(reader) for reader in slow[:15]])


async def test_who_is_being_answered_keeps_the_place(door: Door) -> None:
    socket = b"GET /v1/audio/speech/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    socket += b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    socket += b"MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    held = [await door.connect(socket) for _ in range(4)]
    for reader in held:
        assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    assert await over(await door.connect(HEALTH_REQUEST)), (
        "there is no place, and it is told at once"
    )
    assert not any(reader.at_eof() for reader in held)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"", doorman_module.HEAD_SECONDS),
        (HEAD, doorman_module.HEAD_SECONDS),
        (HEAD + b"\r\n{", doorman_module.BODY_WINDOW),
    ],
    ids=["no head", "half a head", "half a body"],
)
async def test_a_request_has_to_come_in_time(
    door: Door, clock: list[float], sent: bytes, seconds: float
) -> None:
    reader = await door.connect(sent)
    await eventually(lambda: door.guests() == 1)
    await asyncio.sleep(0.1)
    clock[0] += seconds - 0.1
    await asyncio.sleep(0.1)
    assert not reader.at_eof()
    clock[0] += 0.2
    assert await over(reader)


async def test_a_body_that_keeps_coming_may_take_long(door: Door, clock: list[float]) -> None:
    body = json.dumps({"input": "Hello.", "voice": " " * 60_000, "model": ""}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    reader = await door.connect(head.encode())
    writer = door.writers[-1]
    await eventually(lambda: any(guest._asking for guest in door.doorman._guests.values()))
    for at in range(0, len(body), 6_000):
        writer.write(body[at : at + 6_000])
        await writer.drain()
        guest = next(iter(door.doorman._guests.values()))
        await eventually(lambda guest=guest: guest._bytes >= 4096 or guest._asking == 0)
        clock[0] += doorman_module.BODY_WINDOW
        await eventually(lambda guest=guest: guest._bytes == 0 or guest._asking == 0)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")  # the voice's name is too long


async def test_an_idle_connection_is_closed_later(door: Door, clock: list[float]) -> None:
    reader = await door.connect(HEALTH_REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await eventually(lambda: not next(iter(door.doorman._guests.values()))._asking)
    clock[0] += doorman_module.IDLE_SECONDS - 1
    await asyncio.sleep(0.1)
    assert door.guests() == 1
    clock[0] += 2
    await eventually(lambda: door.guests() == 0)


async def test_an_answer_that_nobody_fetches_is_broken_off(door: Door, clock: list[float]) -> None:
    await door.connect(HEALTH_REQUEST)
    await eventually(lambda: door.guests() == 1)
    guest = next(iter(door.doorman._guests.values()))
    guest.pause_writing()  # what the event loop says when the reader takes nothing
    clock[0] += doorman_module.FETCH_SECONDS + 1
    await eventually(lambda: door.guests() == 0)


BOMB = gzip.compress(b"\0" * 10_000_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP"])
async def test_compressed_requests_are_refused_unread(door: Door, encoding: str) -> None:
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\n"
    head += f"Content-Length: {len(BOMB)}\r\nConnection: close\r\n\r\n"
    answer = await (await door.connect(head.encode() + BOMB)).read()
    assert answer.startswith(b"HTTP/1.1 415")
    assert b'"encoding_refused"' in answer


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        (f"Content-Length: {MAX_BODY + 1}", b"x" * (MAX_BODY + 1), 413),
        ("Content-Length: 2", b"{}" + b"\r\n" + b"x" * 50_000, 400),
        ("Content-Length: -5", b"{}", 400),
        ("Content-Length: 5\r\nContent-Length: 6", b"{}", 400),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", b"{}", 400),
        ("Transfer-Encoding: chunked", b"FFFFFFFFFFFFFFFFF\r\n{}", 400),
        ("X-Long: " + "x" * 20_000, b"", 400),
        ("\r\n".join(f"X-{number}: x" for number in range(200)), b"", 400),
    ],
    ids=["too long", "longer than said", "negative", "two", "both", "no number", "field", "fields"],
)
async def test_headers_that_lie_are_refused(
    door: Door, fields: str, body: bytes, status: int
) -> None:
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n"
    answer = await door.connect(head.encode() + body)
    assert (await answer.readline()).split()[1] == str(status).encode()


async def test_wyoming_takes_no_event_of_any_announced_size() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"abc")
    bounded = _BoundedReader(reader)
    assert await bounded.readexactly(3) == b"abc"
    with pytest.raises(ValueError, match="an event of"):
        await bounded.readexactly(LARGEST_EVENT + 1)
