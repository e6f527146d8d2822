"""GPT-SoVITS's own door, `/tts`: clients of its `api_v2.py` change nothing but the port.

Two differences: what they name as their reference is no file to open, but a voice of this house;
and weights that a client sets are a model of this house, and set for that client alone.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from engines import SamplingError, SamplingParams
from service.errors import Busy, ServiceError, VoiceNotFound
from service.formats import Encoder, Format
from service.http_audio import answer_headers, stream_answer
from service.installed_model import InstalledModel
from service.pages import refuse_foreign_page
from service.requests import encoded, read_json
from service.speech import Speech
from service.speech_request import SpeechRequest
from service.upstream_fields import (
    Refused,
    Unreadable,
    UpstreamRequest,
    read_fields,
    reference_names,
)
from service.voice import folded
from service.voices import VoiceStore

_FORMATS = {
    "wav": Format("audio/wav"),
    "raw": Format("audio/raw"),
    "ogg": Format("audio/ogg", "OGG", "VORBIS"),
}


MOST_CLIENTS = 500  # whose choice of a model is remembered
_WEIGHTS = re.compile(r"([-_]e\d+)?(_s\d+)?(_l\d+)?\.(ckpt|pth)\Z", re.IGNORECASE)


class UpstreamApi:
    """The routes of `/tts`.

    Args:
        speech, voices: the parts that answer.
        models: the installed models.
        sample_rate: rate in Hz of what is sent.
    """

    def __init__(
        self,
        speech: Speech,
        voices: VoiceStore,
        models: Callable[[], Sequence[InstalledModel]],
        sample_rate: int,
    ) -> None:
        self._speech = speech
        self._voices = voices
        self._models = models
        self._sample_rate = sample_rate
        self._chosen: OrderedDict[str, str] = OrderedDict()  # model by client

    def routes(self) -> list[web.RouteDef]:
        """All routes, for the application."""
        # A HEAD would speak for nobody.
        return [
            web.get("/tts", self._get, allow_head=False),
            web.post("/tts", self._post),
            web.get("/set_gpt_weights", self._set_gpt, allow_head=False),
            web.get("/set_sovits_weights", self._set_sovits, allow_head=False),
        ]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return await self._speak(request, dict(request.query))

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            given = read_json(await request.read())
        except ServiceError as error:
            return _unreadable(Unreadable("body", str(error)))
        if not isinstance(given, dict):
            return _unreadable(Unreadable("body", "must be a JSON object"))
        return await self._speak(request, given)

    async def _set_gpt(self, request: web.Request) -> web.Response:
        return self._set(request, "gpt")

    async def _set_sovits(self, request: web.Request) -> web.Response:
        return self._set(request, "sovits")

    def _set(self, request: web.Request, half: str) -> web.Response:
        """Take the model that a path means for what this client asks from now on.

        A model here is both halves, so whichever is set last counts.
        """
        refuse_foreign_page(request)
        path = request.query.get("weights_path", "")
        if not path:
            return web.json_response({"message": f"{half} weight path is required"}, status=400)
        file = re.split(r"[/\\]", path)[-1]
        names = {folded(name) for name in (path, file, _WEIGHTS.sub("", file))}
        models = self._models()
        found = next((each for each in models if names & {each.id, folded(each.name)}), None)
        if found is None:
            known = ", ".join(model.id for model in models[:20]) or "none yet"
            reason = f"no installed model is called {file[:80]!r}; installed: {known}"
            message = {"message": f"change {half} weight failed", "Exception": reason}
            return web.json_response(message, status=400)
        client = request.remote or ""
        self._chosen[client] = found.id
        self._chosen.move_to_end(client)
        while len(self._chosen) > MOST_CLIENTS:
            self._chosen.popitem(last=False)
        return web.json_response({"message": "success"})

    def _model(self, client: str) -> str | None:
        """What a client has set, as long as it is installed."""
        chosen = self._chosen.get(client)
        return chosen if any(model.id == chosen for model in self._models()) else None

    async def _speak(self, request: web.Request, given: dict[str, Any]) -> web.StreamResponse:
        try:
            asked = read_fields(given)
            asked.sampling.params(1.0, SamplingParams())
            return await self._answer(request, asked)
        except Unreadable as error:
            return _unreadable(error)
        except Refused as error:
            return web.json_response({"message": str(error)}, status=400)
        except SamplingError as error:
            return _failed(error, "bad_request")
        except ServiceError as error:
            # Upstream knows one status; who is asked to come back needs the one that says so.
            status = error.status if isinstance(error, Busy) or error.status >= 500 else 400
            return _failed(error, error.code, status, error.headers)

    async def _answer(self, request: web.Request, asked: UpstreamRequest) -> web.StreamResponse:
        wanted = SpeechRequest(
            asked.text,
            voice=self._voice(asked.reference),
            language=asked.language,
            speed=asked.speed,
            door="tts",
            client=request.remote or "",
            model=self._model(request.remote or ""),
            sampling=asked.sampling,
            pause=asked.pause,
        )
        encoder = Encoder(_FORMATS[asked.media_type], self._sample_rate)
        wav = asked.media_type == "wav"
        if asked.streamed:
            head = wav_header(self._sample_rate, 0) if wav else b""
            return await stream_answer(request, self._speech, wanted, encoder, head=head)
        async with self._speech.say(wanted) as speaking:
            with encoder:
                body = b"".join([data async for data in encoded(speaking, encoder)])
        if wav:
            body = wav_header(self._sample_rate, len(body)) + body
        return web.Response(body=body, headers=answer_headers(speaking, encoder))

    def _voice(self, reference: str) -> str:
        """Id of the voice that a reference's path means.

        Raises:
            VoiceNotFound: there is none; the message names those that there are.
        """
        voices = self._voices.all()
        for name in reference_names(reference):
            for voice in voices:
                if folded(name) in (voice.id, folded(voice.name)):
                    return voice.id
        known = ", ".join(voice.id for voice in voices[:20])
        message = f"ref_audio_path: no voice is called {reference[:80]!r}; known are {known}"
        raise VoiceNotFound(message, param="ref_audio_path")


def wav_header(sample_rate: int, size: int) -> bytes:
    """Header of a mono 16-bit WAV; upstream's streams say 0 bytes of data.

    Args:
        size: bytes of samples behind it.
    """
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", size)
    )


def _failed(
    error: Exception, code: str, status: int = 400, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"message": "tts failed", "Exception": str(error), "code": code}
    return web.json_response(body, status=status, headers=headers)


def _unreadable(error: Unreadable) -> web.Response:
    detail = [{"loc": [error.field], "msg": str(error), "type": "value_error"}]
    return web.json_response({"message": str(error), "detail": detail}, status=422)
