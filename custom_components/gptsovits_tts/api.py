"""Client of the GPT-SoVITS service: its state, its voices, and speech that streams both ways."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp
from yarl import URL

# Seconds: for an answer that needs no synthesis; for the next sound once all text is sent.
_ANSWER_TIMEOUT = 10
_SOUND_TIMEOUT = 30

T = TypeVar("T")


class GptSovitsError(Exception):
    """Base of everything that can go wrong with the service."""


class GptSovitsConnectionError(GptSovitsError):
    """The service does not answer, went away, or what answers is something else."""


class GptSovitsAuthError(GptSovitsError):
    """The service refuses the token."""


class GptSovitsRefusedError(GptSovitsError):
    """The service understood and refused; `code` is stable, the message names field and limit."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How the service is, as `/health` tells it."""

    id: str
    status: str
    version: str
    rung: str
    reason: str | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the answer of `/health`; KeyError or TypeError when it is not one."""
        return cls(data["id"], data["status"], data["version"], data["rung"], data["reason"])


@dataclass(frozen=True, slots=True)
class ServerVoice:
    """A voice of the service; `revision` changes whenever its sound does."""

    id: str
    name: str
    languages: tuple[str, ...]
    revision: str


@dataclass(frozen=True, slots=True)
class ServerVoices:
    """All voices, the one that speaks when none is named, and every language spoken."""

    voices: tuple[ServerVoice, ...]
    default: str
    languages: tuple[str, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the answer of `/v1/voices`; KeyError or TypeError when it is not one."""
        voices = tuple(
            ServerVoice(voice["id"], voice["name"], tuple(voice["languages"]), voice["revision"])
            for voice in data["voices"]
            # A voice that waits for its person's consent is listed, but cannot be spoken.
            if voice.get("usable", True)
        )
        return cls(voices, data["default"], tuple(data["languages"]))


class GptSovitsClient:
    """Talks to one service; the session belongs to the caller."""

    def __init__(
        self, session: aiohttp.ClientSession, host: str, port: int, token: str | None = None
    ) -> None:
        """Remember where the service is; ValueError when `host` cannot be a host name."""
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = URL.build(scheme="http", host=host, port=port)

    async def health(self) -> ServerHealth:
        """Ask how the service is; needs no token.

        Raises:
            GptSovitsConnectionError: no answer, or not of this service.
        """
        return await self._get("health", ServerHealth.from_json)

    async def voices(self) -> ServerVoices:
        """Ask which voices there are.

        Raises:
            GptSovitsConnectionError: no answer, or not of this service.
            GptSovitsAuthError: wrong or missing token.
        """
        return await self._get("v1/voices", ServerVoices.from_json)

    async def speak(
        self, text: AsyncIterable[str], language: str, options: dict[str, Any]
    ) -> "SpeechStream":
        """Speak text while it still comes in; returns once the first sound is sure.

        Args:
            text: fragments, cut anywhere.
            language: a tag the service knows.
            options: `voice` and `speed`, where wanted.

        Raises:
            GptSovitsConnectionError: no answer, or lost before any sound.
            GptSovitsAuthError: wrong or missing token.
            GptSovitsRefusedError: the service says why it will not speak this.
        """
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                socket = await self._session.ws_connect(
                    self.url / "v1/audio/speech/stream", headers=self._headers
                )
        except aiohttp.WSServerHandshakeError as error:
            raise _refusal(error.status, None) from error
        except (aiohttp.ClientError, OSError) as error:
            raise GptSovitsConnectionError(f"{self.url} does not answer: {error}") from error
        stream = SpeechStream(socket, text)
        start = {"type": "start", "response_format": "wav", "language": language, **options}
        await stream.open(start)
        return stream

    async def _get(self, path: str, read: Callable[[dict[str, Any]], T]) -> T:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT)
        try:
            async with self._session.get(
                self.url / path, headers=self._headers, timeout=timeout
            ) as response:
                if response.status == 401:
                    raise _refusal(401, None)
                answer = await response.json()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise GptSovitsConnectionError(f"{self.url} does not answer: {error}") from error
        if response.status >= 400:
            raise _refusal(response.status, answer)
        try:
            return read(answer)
        except (KeyError, TypeError) as error:
            raise GptSovitsConnectionError(f"{self.url} is another kind of service") from error


class SpeechStream:
    """One utterance on its way: text goes out, sound comes in, both at once."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, text: AsyncIterable[str]) -> None:
        """Take over an open WebSocket; `open` starts the work."""
        self._socket = socket
        self._text = text
        self._sender: asyncio.Task[None] | None = None
        self._broken: Exception | None = None

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
        """Yield the WAV stream as it comes; leaving the generator cancels the utterance.

        Raises:
            GptSovitsConnectionError: the connection broke before the end.
            GptSovitsRefusedError: the service gave up and says why.
        """
        try:
            while isinstance(frame := await self._receive(), bytes):
                yield frame
        finally:
            await self.close()

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
        match json.loads(frame.data):
            case {"type": "audio" | "done" as kind}:
                return str(kind)
            case {"type": "error", "error": {"code": str(code), "message": str(message)}}:
                raise GptSovitsRefusedError(code, message)
        raise GptSovitsConnectionError(f"the service broke its protocol: {frame.data[:200]}")


def _refusal(status: int, answer: object) -> GptSovitsError:
    """The exception for an HTTP status of 400 and more, in the service's own words."""
    if status == 401:
        return GptSovitsAuthError("the service refuses the token")
    match answer:
        case {"error": {"code": str(code), "message": str(message)}}:
            return GptSovitsRefusedError(code, message)
    return GptSovitsRefusedError(f"http_{status}", f"HTTP status {status}")
