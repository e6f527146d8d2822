"""The published description says what the service does, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import voluptuous as vol
from aiohttp import web

from service.app import create_app
from service.config import Settings
from service.errors import ServiceError
from service.model_files import UPLOADS
from service.models_api import INSTALL, TRAFFIC, UPLOAD
from service.openapi import document
from service.openapi_routes import ROWS
from service.openapi_schema import described
from service.requests import PRERENDER, SPEECH
from service.rules import number, whole
from service.upstream_fields import FIELDS
from service.voice_forms import CHANGE, CHECK, ENROL, RERECORD, STYLE
from tests.service.conftest import FakeSynthesizer, StartService

BARE_VERBS = ("promote", "rollback", "unload", "build")
BARE = {("POST", f"/v1/models/{{id}}/{verb}") for verb in BARE_VERBS}
SOUND = (
    *("voice", "language", "speed", "seed", "top_k", "pause", "lead_in", "chime", "style"),
    "normalize",
)


def routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """Methods and paths of an application, but for what comes with others: HEAD and files."""
    for resource in app.router.resources():
        for route in resource:
            if route.method != "HEAD" and not isinstance(resource, web.StaticResource):
                yield route.method, resource.canonical


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_its_routes_are_the_applications(tmp_path: Any) -> None:
    app = create_app(Settings(data=tmp_path), lambda: (FakeSynthesizer(),))
    assert sorted(routes(app)) == sorted((method, path) for method, path, _ in operations())
    assert len(ROWS) == len(list(operations()))


@pytest.mark.parametrize(
    ("method", "path", "rules"),
    [
        ("POST", "/v1/audio/speech", SPEECH),
        ("POST", "/v1/clips", SPEECH),
        ("POST", "/v1/prerender", PRERENDER),
        ("POST", "/v1/voices", ENROL),
        ("POST", "/v1/voices/check", CHECK),
        ("PATCH", "/v1/voices/{id}", CHANGE),
        ("PUT", "/v1/voices/{id}/reference", RERECORD),
        ("POST", "/v1/voices/{id}/styles", STYLE),
        ("PUT", "/v1/models/traffic", TRAFFIC),
        ("POST", "/tts", FIELDS),
    ],
)
def test_its_fields_are_those_that_are_checked(method: str, path: str, rules: vol.Schema) -> None:
    operation = document()["paths"][path][method.lower()]
    ((kind, content),) = operation["requestBody"]["content"].items()
    fields = {str(key.schema) for key in rules.schema}
    assert set(content["schema"]["properties"]) - {"file"} == fields
    assert ("file" in content["schema"]["properties"]) == (kind == "multipart/form-data")
    required = {str(key.schema) for key in rules.schema if isinstance(key, vol.Required)}
    assert set(content["schema"].get("required", [])) - {"file"} == required


def test_a_model_comes_by_json_or_by_form() -> None:
    content = document()["paths"]["/v1/models"]["post"]["requestBody"]["content"]
    asked, form = content["application/json"]["schema"], content["multipart/form-data"]["schema"]
    assert set(asked["properties"]) == {str(key.schema) for key in INSTALL.schema}
    fields = {str(key.schema) for key in UPLOAD.schema}
    assert set(form["properties"]) == fields | set(UPLOADS)
    assert form["required"] == ["t2s", "sovits"]


def test_every_body_that_is_read_is_described() -> None:
    readers = {(row.method, row.path) for row in ROWS if row.body or row.form}
    changers = {(m, p) for m, p, _ in operations() if m in ("POST", "PUT", "PATCH")}
    assert readers == changers - BARE


def test_the_query_of_tts_has_all_its_fields() -> None:
    names = {each["name"] for each in document()["paths"]["/tts"]["get"]["parameters"]}
    assert names == {str(key.schema) for key in FIELDS.schema}


@pytest.mark.parametrize(
    ("rule", "schema"),
    [
        (str, {"type": "string"}),
        (vol.In(["a", "b"]), {"enum": ["a", "b"]}),
        (vol.All(whole, vol.Range(1, 5)), {"type": "integer", "minimum": 1, "maximum": 5}),
        (
            vol.All(number, vol.Range(0, 1, min_included=False)),
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        ),
        (vol.All(str, vol.Length(1, 9)), {"type": "string", "minLength": 1, "maxLength": 9}),
        (
            vol.All([str], vol.Length(1, 9)),
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 9},
        ),
        (vol.Match(r"[a-z]+\Z"), {"type": "string", "pattern": "^[a-z]+$"}),
        ("audio", {"const": "audio"}),
        (vol.Any(str, None), {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            vol.Schema({vol.Required("a"): str, vol.Optional("b", default=1): whole}),
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "integer", "default": 1}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_a_rule_says_what_it_lets_through(rule: Any, schema: dict[str, Any]) -> None:
    assert described(rule) == schema


def test_a_rule_that_says_nothing_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        described(lambda value: value)


def all_errors(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for each in kind.__subclasses__():
        yield each
        yield from all_errors(each)


def test_every_status_of_an_error_is_explained() -> None:
    known = {int(code) for _, _, each in operations() for code in each["responses"]}
    http = {error.status for error in all_errors(ServiceError)} - {502}  # of players, over MQTT
    assert http <= known


async def test_it_is_published_without_a_token(start_service: StartService) -> None:
    service = await start_service(token="secret")
    async with service.session.get(f"{service.url}/openapi.json") as response:
        assert response.status == 200
        published = await response.json()
    assert published == document()
    assert published["openapi"] == "3.1.0"
    named = published["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]
    assert set(SOUND) <= set(named["application/json"]["schema"]["properties"])


async def test_open_routes_are_those_that_ask_for_no_token(start_service: StartService) -> None:
    service = await start_service(token="secret")
    for method, path, operation in operations():
        async with service.session.request(method, service.url + path) as response:
            asked = response.status == 401
        assert asked == ("security" not in operation), path
