"""`GET /openapi.json`: what this service answers to, out of the rules that it checks by.

The rows below are the routes; a test holds them equal to those of the application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import voluptuous as vol

from service import __version__
from service.formats import FORMATS
from service.model_files import UPLOADS
from service.models_api import INSTALL, TRAFFIC, UPLOAD
from service.openapi_answers import SCHEMAS
from service.openapi_schema import Described, described
from service.requests import PRERENDER, SPEECH
from service.upstream_fields import FIELDS as UPSTREAM
from service.upstream_fields import WEIGHTS as UPSTREAM_WEIGHTS
from service.voice_forms import CHANGE, CHECK, ENROL, RERECORD, STYLE

AUDIO = "audio"  # an answer that is sound, of any of the formats
_SPEAKING = (400, 403, 404, 413, 429, 500, 503, 504)
_UPSTREAM = (400, 422, 429, 500, 503, 504)
_CHANGING = (400, 403, 404, 409, 507)
_UPLOADING = (400, 403, 408, 413, 422, 429, 503, 507)
_MEANINGS = {
    400: "a field, or the whole body, is wrong",
    401: "the token is missing or wrong",
    403: "not allowed: consent is missing, or another site's page asks",
    404: "there is no such thing",
    405: "the route knows no such method",
    408: "the request did not arrive in time",
    409: "it would collide with what there is",
    413: "more than is taken",
    415: "compressed bodies are not taken",
    422: "understood, but no good",
    429: "too much at a time; Retry-After says when",
    500: "speaking failed on every rung",
    503: "not now; Retry-After says when",
    504: "not started within `expires`",
    507: "the disk is full or read-only; what was there still is",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A route.

    Attributes:
        answer: status and schema of the good answer: a name among `SCHEMAS`, a content type, or
            empty for no body.
        body: the rules of its JSON object.
        form: the rules of its form beside the files; with `body`, either is taken.
        files: names of the form's files, and whether they must be there.
        query: the rules of its query.
        errors: statuses that it may refuse with, beside 401.
        error: schema of those.
        open: it asks for no token.
    """

    method: str
    path: str
    summary: str
    answer: tuple[int, str]
    body: vol.Schema | None = None
    form: vol.Schema | None = None
    files: Mapping[str, bool] = field(default_factory=lambda: {"file": True})
    query: vol.Schema | None = None
    errors: tuple[int, ...] = ()
    error: str = "Error"
    open: bool = False


_VOICE = "/v1/voices/{id}"
_STYLE = _VOICE + "/styles/{style}"
_MODEL = "/v1/models/{id}"
_JOB = "/v1/models/jobs/{id}"
_MODEL_FILES = {name: name in ("t2s", "sovits") for name in UPLOADS}
ROWS = (
    Row("POST", "/v1/audio/speech", "Speak", (200, AUDIO), body=SPEECH, errors=_SPEAKING),
    Row(
        "GET",
        "/v1/audio/speech/stream",
        "Speak while the text is written: a WebSocket, see docs/protocols.md",
        (101, ""),
        errors=(400,),
    ),
    Row(
        "POST",
        "/v1/clips",
        "Speak into a file for players",
        (200, "Clip"),
        body=SPEECH,
        errors=_SPEAKING,
    ),
    Row(
        "GET",
        "/clips/{file}",
        "A file for players, for 10 minutes",
        (200, AUDIO),
        errors=(404,),
        open=True,
    ),
    Row("GET", "/v1/chimes", "What may be played before the speech", (200, "Chimes")),
    Row(
        "POST",
        "/v1/prerender",
        "Speak ahead of time",
        (202, "Batch"),
        body=PRERENDER,
        errors=(400, 413),
    ),
    Row("GET", "/v1/prerender/{id}", "How far that is", (200, "Batch"), errors=(404,)),
    Row("GET", "/v1/voices", "All voices", (200, "Voices")),
    Row("GET", "/v1/audio/voices", "All voices, for OpenAI's clients", (200, "OpenAIVoices")),
    Row(
        "POST",
        "/v1/voices",
        "Make a voice",
        (201, "MadeVoice"),
        form=ENROL,
        errors=(*_UPLOADING, 409),
    ),
    Row(
        "POST",
        "/v1/voices/check",
        "Judge a recording",
        (200, "Verdict"),
        form=CHECK,
        errors=_UPLOADING,
    ),
    Row("GET", _VOICE, "A voice", (200, "Voice"), errors=(404,)),
    Row("PATCH", _VOICE, "Change a voice", (200, "Voice"), body=CHANGE, errors=(*_CHANGING, 413)),
    Row("DELETE", _VOICE, "Delete a voice for good", (204, ""), errors=_CHANGING),
    Row(
        "GET",
        _VOICE + "/reference",
        "A voice's recording",
        (200, "audio/wav"),
        errors=(404, 409, 507),
    ),
    Row(
        "PUT",
        _VOICE + "/reference",
        "Record a voice anew",
        (200, "MadeVoice"),
        form=RERECORD,
        errors=(*_UPLOADING, 404, 409),
    ),
    Row("GET", _VOICE + "/styles", "A voice's styles", (200, "Styles"), errors=(404,)),
    Row(
        "POST",
        _VOICE + "/styles",
        "Add a style",
        (201, "MadeVoice"),
        form=STYLE,
        errors=(*_UPLOADING, 404, 409),
    ),
    Row("DELETE", _STYLE, "Delete a style for good", (204, ""), errors=_CHANGING),
    Row(
        "GET",
        _STYLE + "/reference",
        "A style's recording",
        (200, "audio/wav"),
        errors=(404, 409, 507),
    ),
    Row("GET", "/v1/models", "All models", (200, "Models")),
    Row(
        "POST",
        "/v1/models",
        "Install a model: from a folder or the hub, or by upload",
        (202, "Job"),
        body=INSTALL,
        form=UPLOAD,
        files=_MODEL_FILES,
        errors=(*_CHANGING, 408, 413, 429),
    ),
    Row("GET", "/v1/models/traffic", "Who speaks how much", (200, "Traffic")),
    Row(
        "PUT",
        "/v1/models/traffic",
        "Share the speech among models",
        (200, "Traffic"),
        body=TRAFFIC,
        errors=(*_CHANGING, 413),
    ),
    Row("GET", "/v1/models/jobs", "What is being installed", (200, "Jobs")),
    Row("GET", _JOB, "How far an installation is", (200, "Job"), errors=(404,)),
    Row("DELETE", _JOB, "Cancel an installation", (200, "Job"), errors=(403, 404)),
    Row("GET", _MODEL, "A model", (200, "Model"), errors=(404,)),
    Row("DELETE", _MODEL, "Delete a model", (204, ""), errors=_CHANGING),
    Row("POST", _MODEL + "/promote", "Give it all speech", (200, "Traffic"), errors=_CHANGING),
    Row(
        "POST",
        _MODEL + "/rollback",
        "Return to the shares before",
        (200, "Traffic"),
        errors=_CHANGING,
    ),
    Row("POST", _MODEL + "/unload", "Free its memory", (200, "Model"), errors=_CHANGING),
    Row("POST", _MODEL + "/build", "Build its engines", (202, "Model"), errors=_CHANGING),
    Row(
        "GET",
        "/tts",
        "GPT-SoVITS's own request, as a query",
        (200, AUDIO),
        query=UPSTREAM,
        errors=_UPSTREAM,
        error="UpstreamError",
    ),
    Row(
        "POST",
        "/tts",
        "GPT-SoVITS's own request",
        (200, AUDIO),
        body=UPSTREAM,
        errors=(*_UPSTREAM, 413),
        error="UpstreamError",
    ),
    *(
        Row(
            "GET",
            f"/set_{half}_weights",
            "GPT-SoVITS's own: the installed model that shall speak this client's /tts from now on",
            (200, "UpstreamDone"),
            query=UPSTREAM_WEIGHTS,
            errors=(400, 403),
            error="UpstreamError",
        )
        for half in ("gpt", "sovits")
    ),
    Row("GET", "/v1/recent", "The latest answers, without what was said", (200, "Recent")),
    Row("GET", "/v1/live", "The ladder and the queue at this moment", (200, "Live")),
    Row("GET", "/metrics", "For Prometheus", (200, "text/plain")),
    Row("GET", "/health", "How the service is", (200, "Health"), open=True),
    Row(
        "GET",
        "/ready",
        "Whether it has spoken its self-test",
        (200, "Ready"),
        errors=(503,),
        open=True,
    ),
    Row("GET", "/openapi.json", "This description", (200, "application/json"), open=True),
    Row("GET", "/", "The page", (200, "text/html"), open=True),
)
_RECORDING = "audio/wav, audio/flac, audio/ogg, audio/mpeg"
_CHECKPOINT = "application/octet-stream"
_AUDIO_TYPES = sorted({row.content_type for row in FORMATS.values()} | {"audio/raw"})


def document() -> Described:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Described] = {}
    for row in ROWS:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Family voices",
            "version": __version__,
            "description": "Speech in the voices of a house. docs/protocols.md tells more.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(row: Row) -> Described:
    made: Described = {"summary": row.summary, "responses": _responses(row)}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", row.path)
    ]
    if row.query is not None:
        rules = described(row.query)
        parameters += [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in rules["properties"]
        ]
    if parameters:
        made["parameters"] = parameters
    if row.open:
        made["security"] = []
    if content := _bodies(row):
        made["requestBody"] = {"required": True, "content": content}
    return made


def _bodies(row: Row) -> Described:
    made: Described = {}
    if row.body is not None:
        made["application/json"] = {"schema": described(row.body)}
    if row.form is not None:
        form = described(row.form)
        kind = _RECORDING if "file" in row.files else _CHECKPOINT
        for name in row.files:
            form["properties"][name] = {"type": "string", "contentMediaType": kind.split(",")[0]}
        needed = [name for name, must in row.files.items() if must]
        form["required"] = [*needed, *form.get("required", [])]
        encoding = {name: {"contentType": kind} for name in row.files}
        made["multipart/form-data"] = {"schema": form, "encoding": encoding}
    return made


def _responses(row: Row) -> dict[str, Described]:
    status, answer = row.answer
    good: Described = {"description": "as asked"}
    if answer == AUDIO:
        good["content"] = {kind: {} for kind in _AUDIO_TYPES}
    elif answer in SCHEMAS:
        schema = {"$ref": f"#/components/schemas/{answer}"}
        good["content"] = {"application/json": {"schema": schema}}
    elif answer:
        good["content"] = {answer: {}}
    made = {str(status): good}
    sends = row.body is not None or row.form is not None
    always = (*(() if row.open else (401,)), *((413, 415) if sends else ()))
    for code in sorted({*row.errors, *always}):
        name = "Error" if code in always else row.error
        schema = {"$ref": f"#/components/schemas/{name}"}
        made[str(code)] = {
            "description": _MEANINGS[code],
            "content": {"application/json": {"schema": schema}},
        }
    return made
