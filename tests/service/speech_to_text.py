"""A real small Wyoming server that says it understood what a test wants."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from tests.lab.process import free_port


@dataclass
class SpeechToText:
    """What it heard, and how it answers."""

    url: str = ""
    text: str = "Nothing."
    manner: str = "well"
    languages: list[str | None] = field(default_factory=list)
    rates: set[int] = field(default_factory=set)
    heard: bytes = b""


class _Handler(AsyncEventHandler):
    def __init__(self, *streams: Any, ears: SpeechToText) -> None:
        super().__init__(*streams)
        self._ears = ears

    async def handle_event(self, event: Event) -> bool:
        ears = self._ears
        if Transcribe.is_type(event.type):
            ears.languages.append(Transcribe.from_event(event).language)
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            ears.rates.add(chunk.rate)
            ears.heard += chunk.audio
        elif AudioStop.is_type(event.type):
            return await self._answer()
        return True

    async def _answer(self) -> bool:
        match self._ears.manner:
            case "hangs up":
                return False
            case "nonsense":
                self.writer.write(b"\x00\xff not an event\n")
                return False
            case "another event":
                await self.write_event(Event("error", {"text": "no model"}))
                return False
            case "wrong type":
                await self.write_event(Event("transcript", {}))
            case "silent":
                pass
            case _:
                await self.write_event(Transcript(self._ears.text).event())
        return True


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[SpeechToText]:
    """Start it, and stop it with the context."""
    port = free_port()
    ears = SpeechToText(f"tcp://127.0.0.1:{port}")
    server = AsyncTcpServer("127.0.0.1", port)
    await server.start(partial(_Handler, ears=ears))
    yield ears
    await server.stop()
