"""The HTTP door: speech, voices, health, and the page."""

from __future__ import annotations

import hmac
import logging
from pathlib import Path
from typing import Any

from aiohttp import web

from service.errors import Handler, NotReady, Unauthorized, errors_as_json
from service.formats import Encoder
from service.health import Health
from service.requests import SPEECH, check, encoded, read_json, speech_request
from service.speech import Speaking, Speech
from service.voices import VoiceStore
from service.websocket_api import stream_speech

_LOGGER = logging.getLogger(__name__)
MAX_BODY = 256 * 1024  # bytes; 5,000 characters take at most 60 kB as escaped JSON
WEB = Path(__file__).parent / "web"
_OPEN_PATHS = ("/", "/health", "/ready")


class HttpApi:
    """Routes and what stands behind them.

    Args:
        speech, voices, health: the parts that answer.
        sample_rate: rate in Hz of audio whose request names none.
        token: what clients must send as bearer token; empty for no check.
    """

    def __init__(
        self, speech: Speech, voices: VoiceStore, health: Health, *, sample_rate: int, token: str
    ) -> None:
        self._speech = speech
        self._voices = voices
        self._health = health
        self._sample_rate = sample_rate
        self._token = token.encode()

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""

        async def stream(request: web.Request) -> web.StreamResponse:
            return await stream_speech(request, self._speech, self.encoder)

        app = web.Application(
            middlewares=[errors_as_json, self._authorize], client_max_size=MAX_BODY
        )
        app.add_routes(
            [
                web.post("/v1/audio/speech", self._post_speech),
                web.get("/v1/audio/speech/stream", stream),
                web.get("/v1/voices", self._get_voices),
                web.get("/health", self._get_health),
                web.get("/ready", self._get_ready),
                web.get("/", self._get_page),
                web.static("/web", WEB),
            ]
        )
        return app

    def encoder(self, fields: dict[str, Any]) -> Encoder:
        """The encoder that a request's checked fields ask for."""
        return Encoder(fields["response_format"], fields.get("sample_rate", self._sample_rate))

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        public = request.path in _OPEN_PATHS or request.path.startswith("/web/")
        if self._token and not public:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
            if scheme.lower() != "bearer" or not right:
                raise Unauthorized("send the service's token as Authorization: Bearer TOKEN")
        return await handler(request)

    async def _post_speech(self, request: web.Request) -> web.StreamResponse:
        fields = check(SPEECH, read_json(await request.read()))
        wanted = speech_request(fields, fields["input"], door="http", client=request.remote or "")
        response: web.StreamResponse | None = None
        try:
            async with self._speech.say(wanted) as speaking:
                encoder = self.encoder(fields)
                response = _streamed(speaking, encoder)
                await response.prepare(request)
                async for data in encoded(speaking, encoder):
                    await response.write(data)
                await response.write_eof()
        except Exception as error:
            if response is None:
                raise
            # The status is sent: a broken connection is the only honest way left to say that this
            # is not the whole announcement.
            _LOGGER.warning("an answer broke off: %s", error)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _get_voices(self, request: web.Request) -> web.Response:
        voices = self._voices.all()
        listed = [
            {
                "id": voice.id,
                "name": voice.name,
                "languages": list(voice.languages),
                "revision": voice.revision,
            }
            for voice in voices
        ]
        languages = list(dict.fromkeys(tag for voice in voices for tag in voice.languages))
        default = self._voices.default.id
        return web.json_response({"voices": listed, "default": default, "languages": languages})

    async def _get_health(self, request: web.Request) -> web.Response:
        return web.json_response(self._health.snapshot())

    async def _get_ready(self, request: web.Request) -> web.Response:
        if not self._health.ready:
            raise NotReady(self._health.failure or "the service starts", retry_after=1)
        return web.json_response({"ready": True, "rung": self._health.ladder.rung})

    async def _get_page(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(WEB / "index.html")


def _streamed(speaking: Speaking, encoder: Encoder) -> web.StreamResponse:
    return web.StreamResponse(
        headers={
            "Content-Type": encoder.content_type,
            "X-Request-Id": speaking.id,
            "X-Speech-Rung": speaking.rung,
            "X-Speech-Voice": speaking.voice.id,
            "X-Audio-Sample-Rate": str(encoder.sample_rate),
        }
    )
