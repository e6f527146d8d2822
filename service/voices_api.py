"""The routes of voices: list, enrol, check, change, hear, delete."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import voluptuous as vol
from aiohttp import web

from engines.text.segment import LANGUAGES
from service.enrolment import Enrolment, RateLimit, Words, consent_of
from service.errors import BadRequest, ServiceError
from service.models import ModelStore
from service.recording_checks import Verdict, judge_words
from service.requests import check, read_json
from service.uploads import Uploads
from service.voice import Voice, VoiceFixed
from service.voice_folder import LONGEST_NAME, LONGEST_TRANSCRIPT
from service.voices import VoiceStore

LONGEST_PERSON = 100  # characters
_LIMITS: dict[str, Any] = {
    "name": LONGEST_NAME,
    "transcript": LONGEST_TRANSCRIPT,
    "language": list(LANGUAGES),
    "consent_name": LONGEST_PERSON,
    "consent": True,
}


class ForeignPage(ServiceError):
    """A browser asks on behalf of another site's page."""

    code = "foreign_page"
    status = 403


class VoicesApi:
    """Routes of voices.

    Args:
        voices: the voices.
        models: the models that a voice may name.
    """

    def __init__(self, voices: VoiceStore, models: ModelStore) -> None:
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
            fields = check(_CHECK, upload.fields, _LIMITS)
            verdict = await self._enrolment.check(
                upload.file, fields.get("transcript"), fields["language"]
            )
        return web.json_response(verdict.as_dict())

    async def _enrol(self, request: web.Request) -> web.Response:
        self._admit(request)
        async with self._uploads.receive(request) as upload:
            fields = check(_ENROL, upload.fields, _LIMITS)
            made = await self._enrolment.enrol(upload.file, fields["name"], _words(fields))
        response = _with_verdict(*made, status=201)
        response.headers["Location"] = f"/v1/voices/{made[0].id}"
        return response

    async def _rerecord(self, request: web.Request) -> web.Response:
        self._admit(request)
        voice = self._voices.find(request.match_info["id"])
        async with self._uploads.receive(request) as upload:
            fields = check(_RERECORD, upload.fields, _LIMITS)
            made = await self._enrolment.rerecord(voice.id, upload.file, _words(fields))
        return _with_verdict(*made, status=200)

    async def _change(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        fields = check(_CHANGE, read_json(await request.read()), _LIMITS)
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
            changes["model"] = self._models.find(fields["model"]).id if fields["model"] else None
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

    async def _hear(self, request: web.Request) -> web.Response:
        data = await asyncio.to_thread(self._voices.reference, request.match_info["id"])
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=data, content_type="audio/wav", headers=headers)

    def _admit(self, request: web.Request) -> None:
        refuse_foreign_page(request)
        self._rate.count(request.remote or "")


def refuse_foreign_page(request: web.Request) -> None:
    """Refuse what another site's page made a browser send.

    Forms need no CORS permission, so a page from anywhere could post one to a service on the
    reader's own machine, where no token is asked for.

    Raises:
        ForeignPage: the browser says so, or names a page on another host.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = request.headers.get("Origin")
        hosts = {request.host, request.headers.get("X-Forwarded-Host", request.host)}
        foreign = origin is not None and urlsplit(origin).netloc not in hosts
    else:
        foreign = site not in ("same-origin", "none")
    if foreign:
        raise ForeignPage("voices can be changed from the service's own page only")


def _line(longest: int) -> Callable[[object], str]:
    """A rule: text on one line of printable characters, with single spaces."""

    def rule(value: object) -> str:
        if not isinstance(value, str):
            raise vol.Invalid("must be text")
        text = " ".join(value.split())
        if not 1 <= len(text) <= longest:
            raise vol.Invalid(f"must have 1 to {longest} characters")
        if any(unicodedata.category(each) in _NOT_PRINTED or each in _TURNS for each in text):
            raise vol.Invalid("holds characters that cannot be shown")
        return text

    return rule


_NOT_PRINTED = ("Cc", "Cs", "Co", "Cn")
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the reading direction


def _language(value: object) -> str:
    """A rule: a tag of a language whose text the models read; its region is not looked at."""
    tag = str(value).lower().replace("_", "-").split("-")[0]
    if tag not in LANGUAGES:
        raise vol.Invalid("is not a language that voices can be made in")
    return tag


def _confirmed(value: object) -> bool:
    if value is not True and value != "true":
        raise vol.Invalid("must be true: without the person's consent there is no voice")
    return True


_WORDS: dict[Any, Any] = {
    vol.Required("transcript"): _line(LONGEST_TRANSCRIPT),
    vol.Required("language"): _language,
    vol.Required("consent_name"): _line(LONGEST_PERSON),
    vol.Required("consent"): _confirmed,
}
_ENROL = vol.Schema({vol.Required("name"): _line(LONGEST_NAME), **_WORDS})
_RERECORD = vol.Schema(_WORDS)
_CHECK = vol.Schema(
    {
        vol.Optional("transcript"): _line(LONGEST_TRANSCRIPT),
        vol.Optional("language", default="en"): _language,
    }
)
_CHANGE = vol.Schema(
    {
        vol.Optional("name"): _line(LONGEST_NAME),
        vol.Optional("language"): _language,
        vol.Optional("transcript"): _line(LONGEST_TRANSCRIPT),
        vol.Optional("model"): vol.Any(None, str),
        vol.Optional("consent_name"): _line(LONGEST_PERSON),
        vol.Optional("consent"): _confirmed,
    }
)


def _words(fields: dict[str, Any]) -> Words:
    return Words(fields["transcript"], fields["language"], fields["consent_name"])


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


def _whole(voice: Voice) -> dict[str, Any]:
    facts = voice.facts
    return {
        **_listed(voice),
        "transcript": facts.transcript if facts else None,
        "consent": asdict(facts.consent) if facts and facts.consent else None,
    }


def _with_verdict(voice: Voice, verdict: Verdict, *, status: int) -> web.Response:
    return web.json_response({**_whole(voice), "verdict": verdict.as_dict()}, status=status)
