"""The fields of a speech request and the bytes of its answer, the same behind every web door."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import voluptuous as vol

from engines.text import NORMALIZE, SPEAKABLE
from service.chimes import NAME
from service.config import PLAYABLE_RATES
from service.errors import BadRequest
from service.formats import FORMATS, Encoder
from service.job import Priority
from service.ladder import Fallback
from service.rules import number, stands_for, whole
from service.sampling import MAX_SEED, REPETITION_PENALTY, TEMPERATURE, TOP_K, Sampling
from service.speaking import Speaking
from service.speech_request import FASTEST, SLOWEST, SpeechRequest
from service.steady import steady
from service.voice import folded
from service.voice_folder import LONGEST_STYLE

MOST_TEXTS = 500  # of one batch to prerender
LONGEST_EXPIRY = 86_400.0  # seconds
LONGEST_PAUSE = LONGEST_LEAD_IN = 5.0  # seconds


@stands_for(type="string")
def style_name(value: str) -> str:
    """A rule: a style's name, as it is kept."""
    return folded(value)


VOICE_FIELDS: dict[Any, Any] = {
    vol.Optional("voice"): vol.All(str, vol.Length(min=1, max=100)),
    vol.Optional("language"): vol.Match(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$"),
    vol.Optional("speed", default=1.0): vol.All(number, vol.Range(SLOWEST, FASTEST)),
    vol.Optional("sample_rate"): vol.In(PLAYABLE_RATES),
    vol.Optional("priority", default="normal"): vol.In([each.name.lower() for each in Priority]),
    vol.Optional("fallback", default="plain"): vol.In([each.name.lower() for each in Fallback]),
    vol.Optional("expires"): vol.All(number, vol.Range(0, LONGEST_EXPIRY)),
    vol.Optional("seed"): vol.All(whole, vol.Range(0, MAX_SEED)),
    vol.Optional("top_k"): vol.All(whole, vol.Range(*TOP_K)),
    vol.Optional("top_p"): vol.All(number, vol.Range(0, 1, min_included=False)),
    vol.Optional("temperature"): vol.All(number, vol.Range(*TEMPERATURE)),
    vol.Optional("repetition_penalty"): vol.All(number, vol.Range(*REPETITION_PENALTY)),
    vol.Optional("pause"): vol.All(number, vol.Range(0, LONGEST_PAUSE)),
    vol.Optional("lead_in"): vol.All(number, vol.Range(0, LONGEST_LEAD_IN)),
    vol.Optional("chime"): vol.Match(NAME.pattern + r"\Z"),
    vol.Optional("style"): vol.All(str, vol.Length(min=1, max=LONGEST_STYLE), style_name),
    vol.Optional("model"): vol.All(str, vol.Length(max=100)),
    vol.Optional("normalize"): vol.In(NORMALIZE),
}
# OpenAI's clients send these; one way to stream is what there is.
_OPENAI_FIELDS: dict[Any, Any] = {
    vol.Optional("instructions"): str,
    vol.Optional("stream_format"): "audio",
}
SPEECH = vol.Schema(
    {
        vol.Required("input"): str,
        vol.Optional("response_format", default="mp3"): vol.In(list(FORMATS)),
        **VOICE_FIELDS,
        **_OPENAI_FIELDS,
    }
)
PRERENDER = vol.Schema(
    {
        vol.Required("texts"): vol.All([str], vol.Length(1, MOST_TEXTS)),
        **{key: rule for key, rule in VOICE_FIELDS.items() if key.schema != "priority"},
        vol.Optional("priority", default="background"): "background",
    }
)
STREAM_START = vol.Schema(
    {
        vol.Required("type"): "start",
        vol.Optional("response_format", default="wav"): vol.In(list(FORMATS)),
        **VOICE_FIELDS,
    }
)


def speech_request(
    fields: dict[str, Any], text: str | AsyncIterator[str], *, door: str, client: str
) -> SpeechRequest:
    """The use case's request out of a message's checked fields."""
    return SpeechRequest(
        text=text,
        voice=fields.get("voice"),
        language=fields.get("language"),
        speed=fields["speed"],
        door=door,
        client=client,
        priority=Priority[fields["priority"].upper()],
        expires=fields.get("expires"),
        fallback=Fallback[fields["fallback"].upper()],
        sampling=Sampling(**{key: fields[key] for key in _SAMPLING if key in fields}),
        pause=fields.get("pause"),
        lead_in=fields.get("lead_in", 0.0),
        chime=fields.get("chime"),
        style=fields.get("style"),
        model=fields.get("model"),
        normalize=fields.get("normalize", SPEAKABLE),
    )


_SAMPLING = [field.name for field in dataclasses.fields(Sampling)]


async def encoded(speaking: Speaking, encoder: Encoder) -> AsyncIterator[bytes]:
    """The answer's bytes as they are made; encoding does not hold up the event loop."""
    async for chunk in steady(speaking.chunks()):
        if data := await asyncio.to_thread(encoder.encode, chunk):
            yield data
    if data := await asyncio.to_thread(encoder.finish):
        yield data


def check(
    schema: vol.Schema, fields: object, limits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check a message's fields; `limits` names what a field may be, for messages.

    Raises:
        BadRequest: naming the first wrong field and what would be right.
    """
    if not isinstance(fields, dict):
        raise BadRequest("body: must be a JSON object", param="body")
    try:
        checked: dict[str, Any] = schema(fields)
    except vol.MultipleInvalid as errors:
        error = errors.errors[0]
        name = str(error.path[0]) if error.path else "body"
        limit = (_LIMITS if limits is None else limits).get(name)
        message = f"{name[:40]}: {_problem(error, limit, schema)}"
        raise BadRequest(message, param=name, limit=limit) from errors
    return checked


def _problem(error: vol.Invalid, limit: object, schema: vol.Schema) -> str:
    """What is wrong, for a person: the library speaks of keys."""
    if isinstance(error, vol.RequiredFieldInvalid):
        return "is missing"
    known = [str(key) for key in schema.schema] if isinstance(schema.schema, dict) else []
    if known and error.path and str(error.path[0]) not in known:
        return f"there is no such field; there are {', '.join(sorted(known))}"
    hint = f"; allowed: {limit}" if limit is not None else ""
    return f"{error.msg}{hint}"


_LIMITS: dict[str, Any] = {
    "response_format": list(FORMATS),
    "format": list(FORMATS),
    "speed": [SLOWEST, FASTEST],
    "sample_rate": list(PLAYABLE_RATES),
    "voice": 100,
    "model": 100,
    "priority": [each.name.lower() for each in Priority],
    "fallback": [each.name.lower() for each in Fallback],
    "texts": MOST_TEXTS,
    "expires": [0, LONGEST_EXPIRY],
    "seed": [0, MAX_SEED],
    "top_k": list(TOP_K),
    "top_p": [0, 1],
    "temperature": list(TEMPERATURE),
    "repetition_penalty": list(REPETITION_PENALTY),
    "pause": [0, LONGEST_PAUSE],
    "lead_in": [0, LONGEST_LEAD_IN],
    "chime": NAME.pattern,
    "style": LONGEST_STYLE,
    "normalize": list(NORMALIZE),
}


def read_json(data: bytes | str) -> object:
    """Parse a message.

    Raises:
        BadRequest: it is not JSON.
    """
    try:
        fields: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"body: is not JSON: {error}", param="body") from error
    return fields
