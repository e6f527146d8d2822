"""The Wyoming door: voice satellites and Home Assistant's own wyoming integration."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import cast

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from service import __version__
from service.errors import ServiceError
from service.formats import Encoder
from service.requests import encoded
from service.speech import Speech
from service.speech_request import SpeechRequest
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
PROGRAM = "gptsovits"
MOST_CLIENTS = 128
LARGEST_EVENT = 1 << 20  # bytes; what comes in is text
_ATTRIBUTION = Attribution(name="gptsovits-home", url="")


class WyomingServer:
    """Listens for Wyoming clients.

    Args:
        host, port: where to listen.
        speech, voices: the parts that answer.
        sample_rate: rate in Hz of the audio sent.
    """

    def __init__(
        self, host: str, port: int, speech: Speech, voices: VoiceStore, sample_rate: int
    ) -> None:
        self._server = AsyncTcpServer(host, port)
        self._handler = partial(
            _Handler, speech=speech, voices=voices, sample_rate=sample_rate, clients={}
        )

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the port is taken.
        """
        await self._server.start(self._handler)

    async def stop(self) -> None:
        """Stop to listen and let go of all clients."""
        await self._server.stop()


class _Handler(AsyncEventHandler):
    """One client; it asks for one thing at a time."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        speech: Speech,
        voices: VoiceStore,
        sample_rate: int,
        clients: dict[_Handler, None],
    ) -> None:
        # The protocol lets a client announce any length, and the library reads that much.
        super().__init__(cast(asyncio.StreamReader, _BoundedReader(reader)), writer)
        self._speech = speech
        self._voices = voices
        self._sample_rate = sample_rate
        peer = writer.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._speaking: asyncio.Task[None] | None = None
        self._pieces: asyncio.Queue[str | None] | None = None
        self._clients = clients
        self._make_room()
        clients[self] = None

    async def handle_event(self, event: Event) -> bool:
        """Answer one event; text that streams in is passed on to who speaks it."""
        try:
            await self._answer(event)
        except (KeyError, TypeError, AttributeError) as error:
            message = f"{event.type}: a field is missing or wrong: {error}"
            await self.write_event(Error(text=message, code="bad_request").event())
        return True

    async def disconnect(self) -> None:
        """Stop speaking to a client that has left."""
        self._clients.pop(self, None)
        await self._hush()

    async def _hush(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._speaking

    def _make_room(self) -> None:
        """Where all places are taken, the oldest client that is not spoken to loses its own."""
        if len(self._clients) < MOST_CLIENTS:
            return
        silent = (each for each in self._clients if each._speaking is None or each._speaking.done())
        oldest = next(silent, next(iter(self._clients)))
        del self._clients[oldest]
        oldest.writer.transport.abort()

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(describe(self._voices).event())
        elif SynthesizeStart.is_type(event.type):
            self._pieces = asyncio.Queue()
            await self._begin(_text(self._pieces), SynthesizeStart.from_event(event).voice)
        elif SynthesizeChunk.is_type(event.type) and self._pieces is not None:
            if self._speaking is not None and not self._speaking.done():
                self._pieces.put_nowait(str(SynthesizeChunk.from_event(event).text))
        elif SynthesizeStop.is_type(event.type) and self._pieces is not None:
            self._pieces.put_nowait(None)
            self._pieces = None
        elif Synthesize.is_type(event.type) and self._pieces is None:
            # While text streams in, Home Assistant sends the whole text too, for older servers.
            whole = Synthesize.from_event(event)
            await self._begin(str(whole.text), whole.voice)

    async def _begin(self, text: str | AsyncIterator[str], voice: SynthesizeVoice | None) -> None:
        await self._hush()  # a client that asks anew has given up on what it asked before
        wanted = SpeechRequest(
            text=text,
            voice=voice.name if voice else None,
            language=voice.language if voice else None,
            door="wyoming",
            client=self._client,
        )
        self._speaking = asyncio.create_task(self._speak(wanted))

    async def _speak(self, wanted: SpeechRequest) -> None:
        encoder = Encoder("pcm", self._sample_rate)
        rate, width, channels = self._sample_rate, 2, 1
        try:
            async with self._speech.say(wanted) as speaking:
                await self.write_event(AudioStart(rate, width, channels).event())
                async for data in encoded(speaking, encoder):
                    await self.write_event(AudioChunk(rate, width, channels, data).event())
            await self.write_event(AudioStop().event())
        except ServiceError as error:
            await self._tell(Error(text=str(error), code=error.code).event())
        except ConnectionError:
            return
        if not isinstance(wanted.text, str):
            await self._tell(SynthesizeStopped().event())

    async def _tell(self, event: Event) -> None:
        with contextlib.suppress(ConnectionError):
            await self.write_event(event)


def describe(voices: VoiceStore) -> Info:
    """What this server offers; every voice counts as installed, else clients hide it."""
    listed = [
        TtsVoice(
            name=voice.id,
            description=voice.name,
            attribution=_ATTRIBUTION,
            installed=True,
            version=voice.revision,
            languages=list(voice.languages),
        )
        for voice in voices.usable()
    ]
    program = TtsProgram(
        name=PROGRAM,
        description="Family voices",
        attribution=_ATTRIBUTION,
        installed=True,
        version=__version__,
        voices=listed,
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program])


class _BoundedReader:
    """What a client sends, as far as it is of a size that makes sense."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.readline = reader.readline
        self.feed_eof = reader.feed_eof

    async def readexactly(self, size: int) -> bytes:
        """Read so many bytes.

        Raises:
            ValueError: they are too many; the connection then ends.
        """
        if size > LARGEST_EVENT:
            raise ValueError(f"an event of {size} bytes")
        return await self._reader.readexactly(size)


async def _text(pieces: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    while (piece := await pieces.get()) is not None:
        yield piece
