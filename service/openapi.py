"""`GET /openapi.json`: what this service answers to, out of the rules that it checks by."""

from __future__ import annotations

import re

from service import __version__
from service.formats import FORMATS
from service.openapi_answers import SCHEMAS
from service.openapi_routes import AUDIO, ROWS, Row
from service.openapi_schema import Described, described

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
    always += () if row.method == "GET" else (403,)
    for code in sorted({*row.errors, *always}):
        name = "Error" if code in always else row.error
        schema = {"$ref": f"#/components/schemas/{name}"}
        made[str(code)] = {
            "description": _MEANINGS[code],
            "content": {"application/json": {"schema": schema}},
        }
    return made
