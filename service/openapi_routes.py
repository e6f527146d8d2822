"""The routes of the HTTP door, a row each: what they take and what they may answer.

A test holds them equal to those of the application.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import voluptuous as vol

from service.model_files import UPLOADS
from service.models_api import INSTALL, TRAFFIC, UPLOAD
from service.requests import PRERENDER, SPEECH
from service.upstream_fields import FIELDS as UPSTREAM
from service.upstream_fields import WEIGHTS as UPSTREAM_WEIGHTS
from service.voice_forms import CHANGE, CHECK, ENROL, RERECORD, STYLE

AUDIO = "audio"  # an answer that is sound, of any of the formats
_SPEAKING = (400, 403, 404, 413, 429, 500, 503, 504)
_UPSTREAM = (400, 422, 429, 500, 503, 504)
_CHANGING = (400, 403, 404, 409, 507)
_UPLOADING = (400, 403, 408, 413, 422, 429, 503, 507)


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
        errors=(400, 403),
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
        errors=(*_UPLOADING, 404, 409),
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
