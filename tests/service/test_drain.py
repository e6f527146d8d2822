"""SIGTERM: what was accepted is said to its end by every door, what comes then is refused."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from wyoming.audio import AudioChunk
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.tts import Synthesize

from tests.lab.ground import REPOSITORY
from tests.lab.process import free_port

# A voice that says half a sentence and then waits for a file before it goes on.
PROGRAM = """
import sys, time
from pathlib import Path
from service import __main__, app
from service.plain_rung import PlainRung

class Waiting(PlainRung):
    def speak(self, utterance, cancelled):
        chunks = list(super().speak(utterance, cancelled))
        yield chunks[0]
        while "WAIT" in utterance.text and not Path(GO).exists():
            time.sleep(0.01)
        yield from chunks
made = app.create_app
__main__.create_app = lambda settings, **rest: made(settings, lambda: (Waiting(),), **rest)
sys.exit(__main__.main())
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def by_wyoming(port: int, text: str, heard: list[Event]) -> None:
    """Ask by Wyoming and hear all of the answer."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Synthesize(text).event())
        while not heard or heard[-1].type not in ("audio-stop", "error"):
            event = await client.read_event()
            assert event is not None, "the answer was cut off"
            heard.append(event)


def samples(events: list[Event]) -> int:
    return sum(
        len(AudioChunk.from_event(each).audio) for each in events if AudioChunk.is_type(each.type)
    )


@dataclass
class Program:
    """The service as a process."""

    child: subprocess.Popen[bytes]
    port: int
    wyoming_port: int
    log: Path
    go: Path


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    go, log, ports = tmp_path / "go", tmp_path / "log", (free_port(), free_port())
    flags = ["--port", str(ports[0]), "--wyoming-port", str(ports[1]), "--cache-mb", "0"]
    code = PROGRAM.replace("GO", repr(str(go)))
    command = [sys.executable, "-c", code, *flags, "--data", str(tmp_path / "data")]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=REPOSITORY, stderr=output) as child,
    ):
        yield Program(child, *ports, log, go)
        child.kill()


@pytest.mark.slow
async def test_sigterm_answers_what_was_accepted_and_refuses_the_rest(program: Program) -> None:
    await until(lambda: "ready: plain speaks" in program.log.read_text())
    url = f"http://127.0.0.1:{program.port}"
    bodies = [
        json.dumps({"input": text, "response_format": "pcm"})
        for text in ("WAIT for it. And then the end.", "Queued behind it.", "Too late.")
    ]
    heard: list[Event] = []
    refused: list[Event] = []
    async with aiohttp.ClientSession(url) as session:
        speaking = await session.post("/v1/audio/speech", data=bodies[0])
        begun = await speaking.content.readexactly(1000)
        queued = asyncio.create_task(session.post("/v1/audio/speech", data=bodies[1]))
        wyoming = asyncio.create_task(by_wyoming(program.wyoming_port, "By Wyoming. Two.", heard))

        async def depth() -> int:
            async with session.get("/health") as answer:
                return int((await answer.json())["queue"]["depth"])

        async with asyncio.timeout(60):
            while await depth() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        program.child.send_signal(signal.SIGTERM)
        await until(lambda: "stopping: 3 requests" in program.log.read_text())
        async with session.get("/ready") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "not_ready")
        async with session.post("/v1/audio/speech", data=bodies[2]) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            error = (await answer.json())["error"]
            assert (error["code"], error["message"]) == ("not_ready", "the service stops")
        await by_wyoming(program.wyoming_port, "Too late.", refused)
        assert Error.from_event(refused[-1]).code == "not_ready"
        assert program.child.poll() is None
        program.go.touch()
        assert len(begun + await speaking.read()) > 60_000
        assert len(await (await queued).read()) > 20_000
        await wyoming
        assert heard[-1].type == "audio-stop"
        assert samples(heard) > 20_000
    assert await asyncio.to_thread(program.child.wait, 60) == 0
    assert "Traceback" not in program.log.read_text()
    assert "cut off" not in program.log.read_text()
