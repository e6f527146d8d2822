"""Client of the GPT-SoVITS service: its state, its voices, and speech that streams both ways."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from .errors import GptSovitsConnectionError, GptSovitsRefusedError, refusal
from .models import ServerHealth, ServerVoices, model_ids
from .speech_stream import SpeechStream

# Seconds: for an answer that needs no synthesis; for a recording to be sent and judged.
_ANSWER_TIMEOUT = 10
_UPLOAD_TIMEOUT = 120

T = TypeVar("T")


class GptSovitsClient:
    """Talks to one service; the session belongs to the caller.

    Every method raises:
        GptSovitsConnectionError: no answer, or not of this service.
        GptSovitsAuthError: wrong or missing token.
        GptSovitsRefusedError: the service says why it will not.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        host: str,
        port: int,
        token: str | None = None,
        *,
        tls: bool = False,
    ) -> None:
        """Remember where the service is; ValueError when `host` cannot be a host name."""
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = URL.build(scheme="https" if tls else "http", host=host, port=port)

    async def health(self) -> ServerHealth:
        """Ask how the service is; needs no token."""
        return await self._ask("GET", "health", ServerHealth.from_json)

    async def voices(self) -> ServerVoices:
        """Ask which voices there are."""
        return await self._ask("GET", "v1/voices", ServerVoices.from_json)

    async def models(self) -> list[str]:
        """Ask which models are installed; none where the service does not know the question."""
        try:
            return await self._ask("GET", "v1/models", model_ids)
        except GptSovitsRefusedError as error:
            if error.status != 404:
                raise
            return []

    async def enrol(self, recording: bytes, fields: dict[str, str]) -> dict[str, Any]:
        """Make a voice of a recording; answers with the voice and its `verdict`."""
        form = aiohttp.FormData(fields)
        form.add_field("file", recording, filename="recording")
        return await self._ask("POST", "v1/voices", dict, data=form, timeout=_UPLOAD_TIMEOUT)

    async def delete_voice(self, voice: str) -> None:
        """Delete a voice, its recording and all that was spoken in it."""
        await self._ask("DELETE", f"v1/voices/{voice}", lambda answer: None)

    async def prerender(self, texts: list[str], fields: dict[str, Any]) -> dict[str, Any]:
        """Have texts spoken into the service's cache; answers with `id` and `total`."""
        return await self._ask("POST", "v1/prerender", dict, json={"texts": texts, **fields})

    async def speak(
        self, text: AsyncIterable[str], language: str, options: dict[str, Any]
    ) -> SpeechStream:
        """Speak text while it still comes in; returns once the first sound is sure.

        Args:
            text: fragments, cut anywhere.
            language: a tag the service knows.
            options: fields of a speech request, such as `voice` and `response_format`.
        """
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                socket = await self._session.ws_connect(
                    self.url / "v1/audio/speech/stream", headers=self._headers
                )
        except aiohttp.WSServerHandshakeError as error:
            raise refusal(error.status, None) from error
        except (aiohttp.ClientError, OSError) as error:
            raise GptSovitsConnectionError(f"{self.url} does not answer: {error}") from error
        stream = SpeechStream(socket, text)
        start = {"type": "start", "response_format": "wav", "language": language, **options}
        await stream.open(start)
        return stream

    async def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[dict[str, Any]], T],
        *,
        timeout: float = _ANSWER_TIMEOUT,
        **body: Any,
    ) -> T:
        answer: Any = None
        try:
            async with self._session.request(
                method,
                self.url / path,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                **body,
            ) as response:
                if response.status not in (204, 401):
                    answer = await response.json()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise GptSovitsConnectionError(f"{self.url} does not answer: {error}") from error
        if response.status >= 400:
            raise refusal(response.status, answer)
        try:
            return read(answer)
        except (KeyError, TypeError, AttributeError) as error:
            raise GptSovitsConnectionError(f"{self.url} is another kind of service") from error
