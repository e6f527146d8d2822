"""The HTTP door: speech, voices, health, and the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from service.access import token_check
from service.chimes import Chimes
from service.clips import ClipShelf
from service.errors import NotReady, errors_as_json
from service.formats import FORMATS, Encoder
from service.health import Health
from service.http_audio import stream_answer
from service.http_trace import tell_id, trace_requests
from service.metrics import CONTENT_TYPE_LATEST, Metrics
from service.models_api import ModelsApi
from service.openapi import document
from service.prerender import Prerenderer
from service.recent import RecentApi
from service.remote import RELAYED
from service.requests import PRERENDER, SPEECH, check, read_json, speech_request
from service.speech import Speech
from service.transcripts import Transcripts
from service.upstream_api import UpstreamApi
from service.voices import VoiceStore
from service.voices_api import VoicesApi
from service.websocket_api import stream_speech

MAX_BODY = 256 * 1024  # bytes; 5,000 characters take at most 60 kB as escaped JSON
WEB = Path(__file__).parent / "web"


class HttpApi:
    """Routes and what stands behind them.

    Args:
        speech, voices, clips, chimes, prerenderer, health, metrics, models, recent: the parts that
            answer.
        sample_rate: rate in Hz of audio whose request names none.
        token: what clients must send as bearer token; empty for no check.
        ingress: whether Home Assistant's Supervisor may pass on requests without the token.
        base_url: the address that the user wrote for this service.
        transcripts: suggests what a recording says, None where nobody can.
    """

    def __init__(
        self,
        speech: Speech,
        voices: VoiceStore,
        clips: ClipShelf,
        chimes: Chimes,
        prerenderer: Prerenderer,
        health: Health,
        metrics: Metrics,
        models: ModelsApi,
        recent: RecentApi,
        *,
        sample_rate: int,
        token: str,
        ingress: bool = False,
        base_url: str = "",
        transcripts: Transcripts | None = None,
    ) -> None:
        self._speech = speech
        self._voices = voices
        self._clips = clips
        self._chimes = chimes
        self._prerenderer = prerenderer
        self._health = health
        self._sample_rate = sample_rate
        self._metrics = metrics
        self._models = models
        self._recent = recent
        self._token = token
        self._ingress = ingress
        self._base_url = base_url
        self._transcripts = transcripts

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""

        async def stream(request: web.Request) -> web.StreamResponse:
            return await stream_speech(request, self._speech, self.encoder)

        app = web.Application(
            middlewares=[
                trace_requests,
                errors_as_json,
                token_check(self._token, ingress=self._ingress, base_url=self._base_url),
            ],
            client_max_size=MAX_BODY,
        )
        app.on_response_prepare.append(tell_id)
        app.add_routes(
            [
                web.post("/v1/audio/speech", self._post_speech),
                web.get("/v1/audio/speech/stream", stream),
                web.post("/v1/clips", self._post_clip),
                web.get("/clips/{file}", self._get_clip),
                web.get("/v1/chimes", self._get_chimes),
                web.post("/v1/prerender", self._post_prerender),
                web.get("/v1/prerender/{id}", self._get_prerender),
                *VoicesApi(
                    self._voices,
                    self._health.models.store,
                    self._transcripts,
                    revision=self._speech.revision,
                ).routes(),
                *self._models.routes(),
                *self._recent.routes(),
                *UpstreamApi(
                    self._speech, self._voices, self._health.models.store.all, self._sample_rate
                ).routes(),
                web.get("/metrics", self._get_metrics),
                web.get("/openapi.json", self._get_description),
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

    async def _post_speech(self, request: web.Request) -> web.StreamResponse:
        fields = check(SPEECH, read_json(await request.read()))
        wanted = speech_request(fields, fields["input"], door="http", client=request.remote or "")
        if (kind := request.headers.get(RELAYED)) is not None:
            # What was said before would not tell the box that probes who speaks now.
            wanted = replace(wanted, relayed=True, fresh=kind == "probe")
        return await stream_answer(request, self._speech, wanted, self.encoder(fields))

    async def _post_clip(self, request: web.Request) -> web.Response:
        fields = check(SPEECH, read_json(await request.read()))
        wanted = speech_request(fields, fields["input"], door="http", client=request.remote or "")
        async with self._speech.say(wanted) as speaking:
            rate = fields.get("sample_rate", self._sample_rate)
            file = await self._clips.record(
                speaking.chunks(), fields["response_format"], rate, speaking.voice.id
            )
        return web.json_response(
            {
                "id": speaking.id,
                "url": str(request.url.origin().with_path(f"/clips/{file}")),
                "path": f"clips/{file}",
                "seconds": round(speaking.seconds, 3),
                "rung": speaking.rung,
                "model": speaking.model,
                "voice": speaking.voice.id,
            }
        )

    async def _post_prerender(self, request: web.Request) -> web.Response:
        fields = check(PRERENDER, read_json(await request.read()))
        client = request.remote or ""
        wanted = [
            speech_request(fields, text, door="prerender", client=client)
            for text in fields["texts"]
        ]
        return web.json_response(self._prerenderer.start(wanted).as_dict(), status=202)

    async def _get_prerender(self, request: web.Request) -> web.Response:
        return web.json_response(self._prerenderer.get(request.match_info["id"]).as_dict())

    async def _get_clip(self, request: web.Request) -> web.FileResponse:
        path = await asyncio.to_thread(self._clips.path, request.match_info["file"])
        headers = {"Content-Type": FORMATS[path.suffix[1:]].content_type}
        return web.FileResponse(path, headers=headers)

    async def _get_chimes(self, request: web.Request) -> web.Response:
        chimes = await asyncio.to_thread(self._chimes.all)
        listed = [
            {"name": each.name, "seconds": round(each.seconds, 2), "built_in": each.built_in}
            for each in chimes
        ]
        return web.json_response({"chimes": listed})

    async def _get_health(self, request: web.Request) -> web.Response:
        return web.json_response(self._health.snapshot())

    async def _get_ready(self, request: web.Request) -> web.Response:
        if not self._health.ready:
            raise NotReady(self._health.failure or "the service starts", retry_after=1)
        return web.json_response({"ready": True, "rung": self._health.rung})

    async def _get_metrics(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=self._metrics.exposition(), headers=headers)

    async def _get_description(self, request: web.Request) -> web.Response:
        return web.json_response(document())

    async def _get_page(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(WEB / "index.html")
