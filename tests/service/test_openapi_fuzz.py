"""Requests made from the published description, at a running service: nothing undocumented comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckFunction
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from service.openapi import document
from tests.lab.speech_service import SpeechService

# The stream is a WebSocket, which has tests of its own; the page is no API.
SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.config.generation.modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
CHECKS: list[CheckFunction] = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
MAY_FAIL = {429, 503, 504, 507}  # on a machine that is busy


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechService]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with SpeechService(folder, "", max_text=100, max_queue=2) as service:
        yield service


@pytest.mark.slow
@SCHEMA.exclude(path="/").parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(case: schemathesis.Case, service: SpeechService) -> None:
    response = case.call(base_url=service.url, timeout=60)
    case.validate_response(response, checks=CHECKS)
    assert response.status_code < 500 or response.status_code in MAY_FAIL
