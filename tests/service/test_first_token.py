"""The first byte leaves before the last token is drawn: a real model, through every door."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openai
import pytest
from wyoming.audio import AudioChunk
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize, SynthesizeVoice

from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from tests.lab.process import free_port
from tests.service.model_house import (
    House,
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)

TEXT = " ".join(f"This is sentence number {number} of the story." for number in range(8))
HELD = 60  # this token is not drawn before somebody has heard something


@dataclass
class Tokens:
    """Counts the tokens that are drawn, and holds one back.

    Attributes:
        heard: somebody has the first byte.
    """

    drawn: int = 0
    heard: threading.Event = field(default_factory=threading.Event)

    def draw(self) -> None:
        if self.drawn >= HELD:
            assert self.heard.wait(120), "nothing was heard before the token was drawn"
        self.drawn += 1


class CountingSession:
    """The session that draws tokens."""

    def __init__(self, session: Any, tokens: Tokens) -> None:
        self._session, self._tokens = session, tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *arguments: Any, **named: Any) -> Any:
        self._tokens.draw()
        return self._session.run(*arguments, **named)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Tokens:
    tokens = Tokens()
    load = OnnxRuntimeBackend.load

    def counting(backend: OnnxRuntimeBackend, graph: str) -> Any:
        session = load(backend, graph)
        return CountingSession(session, tokens) if graph == "t2s_decode" else session

    monkeypatch.setattr(OnnxRuntimeBackend, "load", counting)
    return tokens


Hear = Callable[[House, int], AsyncIterator[bytes]]


async def by_openai(home: House, wyoming: int) -> AsyncIterator[bytes]:
    async with (
        openai.AsyncOpenAI(base_url=f"{home.url}/v1", api_key="x", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="mum", input=TEXT, response_format="pcm"
        ) as answer,
    ):
        async for piece in answer.iter_bytes(64):
            yield piece


async def by_upstream(home: House, wyoming: int) -> AsyncIterator[bytes]:
    asked = {"text": TEXT, "text_lang": "en", "prompt_lang": "en", "ref_audio_path": "mum.wav"}
    query = urlencode({**asked, "streaming_mode": "true", "media_type": "raw"})
    async with home.session.get(f"{home.url}/tts?{query}") as answer:
        async for piece in answer.content.iter_any():
            yield piece


async def by_curl(home: House, wyoming: int) -> AsyncIterator[bytes]:
    body = json.dumps({"input": TEXT, "voice": "mum", "response_format": "pcm"})
    command = (str(shutil.which("curl")), "--silent", "--no-buffer", "--data", body)
    curl = await asyncio.create_subprocess_exec(
        *command, f"{home.url}/v1/audio/speech", stdout=asyncio.subprocess.PIPE
    )
    assert curl.stdout is not None
    while piece := await curl.stdout.read(1000):
        yield piece
    assert await curl.wait() == 0


async def by_websocket(home: House, wyoming: int) -> AsyncIterator[bytes]:
    async with home.session.ws_connect(f"{home.url}/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "start", "voice": "mum", "response_format": "pcm"})
        await socket.send_json({"type": "text", "text": TEXT})
        await socket.send_json({"type": "end"})
        async for message in socket:
            for piece in [message.data] * isinstance(message.data, bytes):
                yield piece


async def by_wyoming(home: House, wyoming: int) -> AsyncIterator[bytes]:
    async with AsyncTcpClient("127.0.0.1", wyoming) as client:
        await client.write_event(Synthesize(TEXT, voice=SynthesizeVoice(name="mum")).event())
        while (event := await client.read_event()) is not None and event.type != "audio-stop":
            for piece in [event.payload] * AudioChunk.is_type(event.type):
                yield piece or b""


@pytest.mark.parametrize("hear", [by_openai, by_upstream, by_curl, by_websocket, by_wyoming])
async def test_the_first_byte_comes_before_the_last_token(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    tokens: Tokens,
    hear: Hear,
) -> None:
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)
    port = free_port()
    home = await house(backend="onnxruntime", model="ours", cache_mb=0, wyoming_port=port)
    tokens.drawn = 0
    pieces = hear(home, port)
    async with asyncio.timeout(120):
        first = await anext(pieces)
        drawn_by_then = tokens.drawn
        tokens.heard.set()
        rest = [piece async for piece in pieces]
    print(f"{drawn_by_then} tokens of {tokens.drawn} were drawn by the first byte")
    assert len(first) > 0
    assert drawn_by_then <= HELD < tokens.drawn
    assert sum(map(len, rest)) > 16_000
