"""One utterance on its way through a WebSocket: text goes out, sound comes in, both at once."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

from .errors import GptSovitsConnectionError, GptSovitsRefusedError

# Seconds for the next sound once all text is sent.
_SOUND_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Spoken:
    """How an utterance went: who spoke, seconds of audio, seconds until the first of it came."""

    voice: str
    rung: str
    seconds: float
    first_audio: float


class SpeechStream:
    """One utterance on its way; `open` starts the work, `sound` hands it out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, text: AsyncIterable[str]) -> None:
        """Take over an open WebSocket."""
        self._socket = socket
        self._text = text
        self._sender: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._begun = monotonic()
        self._first_audio = 0.0
        self._told: dict[str, Any] = {}

    async def open(self, start: dict[str, Any]) -> None:
        """Send the text in the background and wait until the service is sure to speak.

        Raises:
            GptSovitsConnectionError: the connection broke.
            GptSovitsRefusedError: the service says why not.
        """
        self._sender = asyncio.create_task(self._send(start))
        try:
            if await self._receive() != "audio":
                raise GptSovitsConnectionError("the service sent sound before it said which")
        except BaseException:
            await self.close()
            raise

    async def sound(self) -> AsyncGenerator[bytes]:
        """Yield the encoded audio as it comes; leaving the generator cancels the utterance.

        Raises:
            GptSovitsConnectionError: the connection broke before the end.
            GptSovitsRefusedError: the service gave up and says why.
        """
        try:
            while isinstance(frame := await self._receive(), bytes):
                self._first_audio = self._first_audio or monotonic() - self._begun
                yield frame
        finally:
            await self.close()

    @property
    def spoken(self) -> Spoken:
        """How it went; complete once `sound` has ended."""
        told = self._told
        return Spoken(
            voice=str(told.get("voice", "")),
            rung=str(told.get("rung", "")),
            seconds=float(told.get("seconds", 0.0)),
            first_audio=round(self._first_audio, 3),
        )

    async def close(self) -> None:
        """End the utterance, finished or not."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})
        await self._socket.close()

    async def _send(self, start: dict[str, Any]) -> None:
        try:
            await self._socket.send_json(start)
            async for fragment in self._text:
                await self._socket.send_json({"type": "text", "text": fragment})
            await self._socket.send_json({"type": "end"})
        except Exception as error:
            self._broken = error
            await self._socket.close()

    async def _receive(self) -> bytes | str:
        """The next piece of sound, or `audio` before the first and `done` after the last."""
        while True:
            try:
                frame = await self._socket.receive(timeout=_SOUND_TIMEOUT)
            except TimeoutError as error:
                # Whoever writes the text may think for long; only then is silence no failure.
                if self._sender is not None and not self._sender.done():
                    continue
                raise GptSovitsConnectionError("the service fell silent") from error
            break
        if frame.type is aiohttp.WSMsgType.BINARY:
            return bytes(frame.data)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise GptSovitsConnectionError(
                "the text broke off" if self._broken else "the service closed the connection"
            ) from self._broken
        try:
            message: Any = json.loads(frame.data)
        except ValueError:
            message = None
        match message:
            case {"type": "audio" | "done" as kind}:
                self._told |= message
                return str(kind)
            case {"type": "error", "error": {"code": str(code), "message": str(reason)}}:
                raise GptSovitsRefusedError(code, reason)
        raise GptSovitsConnectionError(f"the service broke its protocol: {frame.data[:200]}")
