"""What answers look like, for the published description."""

from __future__ import annotations

from typing import Any

Described = dict[str, Any]
_TEXT, _NUMBER, _WHOLE, _FLAG = (
    {"type": name} for name in ("string", "number", "integer", "boolean")
)
_TEXT_OR_NULL: Described = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Described = {"type": ["number", "null"]}


def _object(**fields: Described) -> Described:
    """An object that has all of these fields, and may have more in a later version."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def _list(items: Described) -> Described:
    return {"type": "array", "items": items}


def _one_of(name: str) -> Described:
    return {"$ref": f"#/components/schemas/{name}"}


_CONSENT = _object(who=_TEXT, when=_TEXT, statement=_TEXT)
_VOICE = {
    "id": _TEXT,
    "name": _TEXT,
    "language": _TEXT_OR_NULL,
    "languages": _list(_TEXT),
    "revision": _TEXT,
    "cloned": _FLAG,
    "usable": _FLAG,
    "rung": _TEXT_OR_NULL,
    "model": _TEXT_OR_NULL,
    "created": _TEXT_OR_NULL,
    "seconds": _NUMBER_OR_NULL,
    "styles": _list(_TEXT),
}
_WHOLE_VOICE = {
    **_VOICE,
    "transcript": _TEXT_OR_NULL,
    "consent": {"anyOf": [_CONSENT, {"type": "null"}]},
}
_FINDING = _object(
    code=_TEXT,
    severity={"enum": ["error", "warning"]},
    message=_TEXT,
    measured=_NUMBER,
    limit=_NUMBER,
)

_STATE: Described = {"enum": ["ready", "loading", "building", "unloaded", "failed"]}
_MODEL = _object(
    id=_TEXT,
    object={"const": "model"},
    created=_WHOLE,
    owned_by=_TEXT,
    name=_TEXT,
    version=_TEXT,
    precision=_TEXT,
    sampling=_object(top_k=_WHOLE, top_p=_NUMBER, temperature=_NUMBER, repetition_penalty=_NUMBER),
    sample_rate=_WHOLE,
    bytes=_WHOLE,
    source=_TEXT,
    state=_STATE,
    reason=_TEXT_OR_NULL,
    rungs=_list(_object(name=_TEXT, state=_STATE, reason=_TEXT_OR_NULL)),
    share=_NUMBER,
)
_WEIGHTS: Described = {"type": "object", "additionalProperties": _NUMBER}
_TRAFFIC = _object(
    weights=_WEIGHTS,
    sticky={"enum": ["voice", "request"]},
    before={"anyOf": [_WEIGHTS, {"type": "null"}]},
)
_JOB = _object(
    id=_TEXT,
    source={"enum": ["upload", "folder", "hub", "box", "engines"]},
    name=_TEXT,
    state={"enum": ["receiving", "waiting", "running", "done", "failed", "cancelled"]},
    stage=_TEXT,
    percent=_NUMBER,
    message=_TEXT,
    error={"anyOf": [_object(code=_TEXT, message=_TEXT), {"type": "null"}]},
    model=_TEXT_OR_NULL,
    created=_TEXT,
)

SCHEMAS: dict[str, Described] = {
    "Error": _object(
        error=_object(code=_TEXT, message=_TEXT, param=_TEXT_OR_NULL, limit={}, type=_TEXT)
    ),
    "UpstreamDone": _object(message={"const": "success"}),
    "UpstreamError": {"type": "object", "properties": {"message": _TEXT}, "required": ["message"]},
    "Verdict": _object(
        accepted=_FLAG,
        start=_NUMBER,
        end=_NUMBER,
        seconds=_NUMBER,
        findings=_list(_FINDING),
    ),
    "Voice": _object(**_WHOLE_VOICE),
    "MadeVoice": _object(**_WHOLE_VOICE, verdict=_one_of("Verdict")),
    "Voices": _object(
        voices=_list(_object(**_VOICE)), default=_TEXT, languages=_list(_TEXT), revision=_TEXT
    ),
    "OpenAIVoices": _object(voices=_list(_object(id=_TEXT, name=_TEXT))),
    "Styles": _object(
        styles=_list(
            _object(name=_TEXT, language=_TEXT, transcript=_TEXT, created=_TEXT, consent=_CONSENT)
        )
    ),
    "Chimes": _object(chimes=_list(_object(name=_TEXT, seconds=_NUMBER, built_in=_FLAG))),
    "Clip": _object(
        id=_TEXT,
        url=_TEXT,
        path=_TEXT,
        seconds=_NUMBER,
        rung=_TEXT,
        model=_TEXT_OR_NULL,
        voice=_TEXT,
    ),
    "Batch": _object(
        id=_TEXT,
        total=_WHOLE,
        done=_WHOLE,
        failed=_list(_object(index=_WHOLE, code=_TEXT, message=_TEXT)),
        finished=_FLAG,
    ),
    "Model": _MODEL,
    "Models": _object(
        object={"const": "list"},
        data=_list(_MODEL),
        traffic=_TRAFFIC,
        jobs=_list(_JOB),
        incoming=_list(_TEXT),
        versions=_list(_TEXT),
        converting={"enum": ["here", "fetched first", "missing"]},
        box=_FLAG,
    ),
    "Traffic": _TRAFFIC,
    "Job": _JOB,
    "Jobs": _object(jobs=_list(_JOB)),
    "Health": _object(
        id=_TEXT,
        status={"enum": ["loading", "ok", "degraded", "unavailable"]},
        version=_TEXT,
        rung=_TEXT,
        reason=_TEXT_OR_NULL,
        rungs=_list(_object(name=_TEXT, up=_FLAG, reason=_TEXT_OR_NULL, since=_NUMBER_OR_NULL)),
        queue=_object(depth=_WHOLE, limit=_WHOLE),
        mqtt={"anyOf": [_object(connected=_FLAG, reason=_TEXT_OR_NULL), {"type": "null"}]},
        uptime=_NUMBER,
    ),
    "Recent": _object(
        count=_WHOLE,
        limit=_WHOLE,
        answers=_list(
            _object(
                id=_TEXT,
                time=_TEXT,
                door=_TEXT,
                outcome=_TEXT,
                voice=_TEXT_OR_NULL,
                rung=_TEXT_OR_NULL,
                model=_TEXT_OR_NULL,
                first_audio={"type": ["integer", "null"]},
                seconds=_NUMBER,
            )
        ),
    ),
    "Live": _object(
        status={"enum": ["loading", "ok", "degraded", "unavailable"]},
        rung=_TEXT,
        reason=_TEXT_OR_NULL,
        rungs=_list(_object(name=_TEXT, up=_FLAG, reason=_TEXT_OR_NULL, since=_NUMBER_OR_NULL)),
        queue=_object(
            depth=_WHOLE,
            limit=_WHOLE,
            speaking={
                "anyOf": [
                    _object(id=_TEXT, voice=_TEXT, door=_TEXT, seconds=_NUMBER),
                    {"type": "null"},
                ]
            },
        ),
        answers=_WHOLE,
    ),
    "Ready": _object(ready={"const": True}, rung=_TEXT),
}
