"""The routes of voices: list, enrol, check, change, hear, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from aiohttp import web

from service.enrolment import Enrolment, RateLimit, consent_of
from service.errors import BadRequest
from service.models import ModelStore
from service.pages import refuse_foreign_page
from service.recording_checks import Verdict, judge_words
from service.requests import check, read_json
from service.transcripts import Transcripts
from service.uploads import Uploads
from service.voice import Voice, VoiceFixed, folded
from service.voice_folder import LONGEST_STYLE
from service.voice_forms import (
    CHANGE,
    CHECK,
    ENROL,
    LIMITS,
    RERECORD,
    STYLE,
    words_of,
)
from service.voices import VoiceStore


class VoicesApi:
    """Routes of voices.

    Args:
        voices: the voices.
        models: the models that a voice may name.
        transcripts: suggests what a recording says, None where nobody can.
        revision: changes with what sounds in every voice; may block.
    """

    def __init__(
        self,
        voices: VoiceStore,
        models: ModelStore,
        transcripts: Transcripts | None = None,
        *,
        revision: Callable[[], str],
    ) -> None:
        self._revision = revision
        self._transcripts = transcripts
        self._voices = voices
        self._models = models
        self._enrolment = Enrolment(voices)
        self._uploads = Uploads()
        self._rate = RateLimit()

    def routes(self) -> list[web.RouteDef]:
        """All routes, for the application."""
        voice = "/v1/voices/{id}"
        return [
            web.get("/v1/voices", self._list),
            web.get("/v1/audio/voices", self._list_as_openai),
            web.post("/v1/voices", self._enrol),
            web.post("/v1/voices/check", self._check),
            web.get(voice, self._get),
            web.patch(voice, self._change),
            web.delete(voice, self._delete),
            web.get(voice + "/reference", self._hear),
            web.put(voice + "/reference", self._rerecord),
            web.get(voice + "/styles", self._list_styles),
            web.post(voice + "/styles", self._add_style),
            web.delete(voice + "/styles/{style}", self._delete_style),
            web.get(voice + "/styles/{style}/reference", self._hear),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._voices.refresh)
        voices = self._voices.all()
        languages = list(dict.fromkeys(tag for voice in voices for tag in voice.languages))
        return web.json_response(
            {
                "voices": [_listed(voice) for voice in voices],
                "default": self._voices.default.id,
                "languages": languages,
                "revision": await asyncio.to_thread(self._revision),
            }
        )

    async def _list_as_openai(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._voices.refresh)
        listed = [{"id": voice.id, "name": voice.name} for voice in self._voices.usable()]
        return web.json_response({"voices": listed})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(_whole(self._voices.find(request.match_info["id"])))

    async def _check(self, request: web.Request) -> web.Response:
        self._admit(request)
        async with self._uploads.receive(request) as upload:
            fields = check(CHECK, upload.fields, LIMITS)
            verdict = await self._enrolment.check(
                upload.file, fields.get("transcript"), fields["language"]
            )
        suggestion = None
        if self._transcripts is not None and verdict.accepted and "transcript" not in fields:
            suggestion = await self._transcripts.suggest(verdict.recording, fields["language"])
        return web.json_response({**verdict.as_dict(), "transcript": suggestion})

    async def _enrol(self, request: web.Request) -> web.Response:
        self._admit(request)
        async with self._uploads.receive(request) as upload:
            fields = check(ENROL, upload.fields, LIMITS)
            model = self._model(fields["model"])
            made = await self._enrolment.enrol(upload.file, fields["name"], words_of(fields), model)
        response = _with_verdict(*made, status=201)
        response.headers["Location"] = f"/v1/voices/{made[0].id}"
        return response

    async def _rerecord(self, request: web.Request) -> web.Response:
        self._admit(request)
        voice = self._voices.find(request.match_info["id"])
        async with self._uploads.receive(request) as upload:
            fields = check(RERECORD, upload.fields, LIMITS)
            made = await self._enrolment.rerecord(voice.id, upload.file, words_of(fields))
        return _with_verdict(*made, status=200)

    async def _change(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        fields = check(CHANGE, read_json(await request.read()), LIMITS)
        for name, other in (("consent", "consent_name"), ("consent_name", "consent")):
            if name in fields and other not in fields:
                raise BadRequest(f"{other}: is missing beside {name}", param=other)
        voice = self._voices.find(request.match_info["id"])
        if voice.facts is None:
            raise VoiceFixed(f"voice: {voice.id} is part of the service", param="voice")
        changes: dict[str, Any] = {
            key: fields[key] for key in ("name", "language", "transcript") if key in fields
        }
        if "model" in fields:
            changes["model"] = self._model(fields["model"])
        if "consent" in fields:
            changes["consent"] = consent_of(fields["consent_name"])
        facts = replace(voice.facts, **changes)
        if "transcript" in fields or "language" in fields:
            for finding in judge_words(facts.transcript, facts.language, voice.seconds):
                if finding.severity == "error":
                    message = f"transcript: {finding.message}"
                    raise BadRequest(message, param="transcript", limit=finding.limit)
        changed = await asyncio.to_thread(self._voices.change, voice.id, facts)
        return web.json_response(_whole(changed))

    async def _delete(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        await asyncio.to_thread(self._voices.delete, request.match_info["id"])
        return web.Response(status=204)

    async def _list_styles(self, request: web.Request) -> web.Response:
        return web.json_response({"styles": _styles(self._voices.find(request.match_info["id"]))})

    async def _add_style(self, request: web.Request) -> web.Response:
        self._admit(request)
        voice = self._voices.find(request.match_info["id"])
        async with self._uploads.receive(request) as upload:
            fields = check(STYLE, upload.fields, {**LIMITS, "name": LONGEST_STYLE})
            made = await self._enrolment.add_style(
                voice.id, upload.file, fields["name"], words_of(fields)
            )
        return _with_verdict(*made, status=201)

    async def _delete_style(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        asked = request.match_info
        await asyncio.to_thread(self._voices.delete_style, asked["id"], folded(asked["style"]))
        return web.Response(status=204)

    async def _hear(self, request: web.Request) -> web.Response:
        style = request.match_info.get("style")
        name = folded(style) if style is not None else None
        data = await asyncio.to_thread(self._voices.reference, request.match_info["id"], name)
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=data, content_type="audio/wav", headers=headers)

    def _model(self, asked: str | None) -> str | None:
        """Id of the model that shall speak a voice; None for the house's own choice."""
        return self._models.find(asked).id if asked else None

    def _admit(self, request: web.Request) -> None:
        refuse_foreign_page(request)
        self._rate.count(request.remote or "")


def _listed(voice: Voice) -> dict[str, Any]:
    facts = voice.facts
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.languages[0] if voice.languages else None,
        "languages": list(voice.languages),
        "revision": voice.revision,
        "cloned": facts is not None,
        "usable": voice.usable,
        "rung": voice.rung,
        "model": facts.model if facts else None,
        "created": facts.created if facts else None,
        "seconds": round(voice.seconds, 2) if facts else None,
        "styles": list(voice.styles),
    }


def _styles(voice: Voice) -> list[dict[str, Any]]:
    return [asdict(style) for style in voice.facts.styles] if voice.facts else []


def _whole(voice: Voice) -> dict[str, Any]:
    facts = voice.facts
    return {
        **_listed(voice),
        "transcript": facts.transcript if facts else None,
        "consent": asdict(facts.consent) if facts and facts.consent else None,
    }


def _with_verdict(voice: Voice, verdict: Verdict, *, status: int) -> web.Response:
    return web.json_response({**_whole(voice), "verdict": verdict.as_dict()}, status=status)
