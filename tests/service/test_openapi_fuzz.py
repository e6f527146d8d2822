"""Requests made from the published description, at a running service: no other answers come."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings, strategies
from requests.adapters import HTTPAdapter
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from service.openapi import document
from tests.lab.speech_service import SpeechService
from tests.service.recordings import SAID, silence, spoken, wav

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
MAY_FAIL = {429, 503, 504, 507}  # on a machine that is busy
FORM = {"language": "en", "transcript": SAID, "consent_name": "Anna", "consent": "true"}
VOICES = ("mum", "dad")
# What a blind search would hardly ever hit.
LIKELY: dict[str, list[object]] = {
    "voice": ["plain", "mum", "nobody"],
    "chime": ["ding", "nothing"],
    "style": ["happy"],
    "language": ["en", "zh", "xx"],
    "input": ["Dinner is ready.", "?", "a" * 101],
    "text": ["Dinner is ready.", ""],
    "text_lang": ["en", "zh", "xx"],
    "prompt_lang": ["en"],
    "ref_audio_path": ["refs/mum.wav", "nobody"],
    "transcript": [SAID, "Hi."],
    "consent_name": ["Anna"],
    "name": ["Happy", "Mum"],
}


class From(HTTPAdapter):
    """Ask from one of this machine's many addresses: a client may send few recordings a minute."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named, source_address=(self._address, 0))


def likely(schema: dict[str, Any]) -> None:
    for name, values in LIKELY.items():
        if name in schema.get("properties", {}):
            schema["properties"][name] = {"enum": values}


def with_likely_values() -> dict[str, Any]:
    """The description, with values of this house among those that are tried."""
    made = document()
    for methods in made["paths"].values():
        for method, operation in methods.items():
            # What is deleted must not be what the others work with.
            ids = ["plain", "dad"] if method == "delete" else ["plain", "mum"]
            for parameter in operation.get("parameters", []):
                known = {**LIKELY, "id": ids}
                if parameter["name"] in known:
                    parameter["schema"] = {"enum": known[parameter["name"]]}
            for content in operation.get("requestBody", {"content": {}})["content"].values():
                likely(content["schema"])
    return made


schemathesis.openapi.media_type(
    "audio/wav", strategies.sampled_from([wav(spoken()), wav(silence(1)), b"RIFF"])
)
SCHEMA = schemathesis.openapi.from_dict(with_likely_values())
SCHEMA.config.generation.modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechService]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with SpeechService(folder, "", max_text=100, max_queue=2) as service:
        for voice in VOICES:
            for path, name in (("", voice), (f"/{voice}/styles", "happy")):
                answer = requests.post(
                    f"{service.url}/v1/voices{path}",
                    data={**FORM, "name": name},
                    files={"file": wav(spoken())},
                    timeout=60,
                )
                assert answer.status_code == 201, answer.text
        yield service


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    """A client of its own for every operation."""
    number = zlib.crc32(request.node.name.encode())
    with requests.Session() as session:
        session.mount("http://", From(f"127.77.{number % 250}.{1 + number // 250 % 250}"))
        yield session


# The stream is a WebSocket, which has tests of its own; the page is no API; installing converts.
@pytest.mark.slow
@SCHEMA.exclude(path="/").exclude(path="/v1/models", method="POST").parametrize()
@settings(
    max_examples=7,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(
    case: schemathesis.Case, service: SpeechService, client: requests.Session
) -> None:
    response = case.call(base_url=service.url, session=client, timeout=60)
    case.validate_response(response, checks=CHECKS)
    assert response.status_code < 500 or response.status_code in MAY_FAIL
