"""A speech-to-text server suggests what a recording says; whatever it does, enrolment goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service import transcripts
from tests.service.conftest import StartService
from tests.service.recordings import silence, spoken, wav
from tests.service.speech_to_text import SpeechToText, listening
from tests.service.test_voices_api import send

CHECK = {"path": "/v1/voices/check", "name": None, "consent": None, "consent_name": None}


@pytest.fixture
async def ears() -> AsyncIterator[SpeechToText]:
    async with listening() as ears:
        yield ears


async def test_it_suggests_what_is_said_in_the_stretch(
    start_service: StartService, ears: SpeechToText
) -> None:
    ears.text = "  The washing machine\n is done. "
    service = await start_service(stt_url=ears.url)
    _, verdict = await send(service, wav(spoken()), **CHECK, transcript=None, language="ja")
    assert verdict["transcript"] == "The washing machine is done."
    assert ears.languages == ["ja"]
    assert ears.rates == {16_000}
    seconds = len(ears.heard) / 2 / 16_000
    assert seconds == pytest.approx(verdict["seconds"], abs=0.05)


async def test_who_wrote_it_down_needs_no_suggestion(
    start_service: StartService, ears: SpeechToText
) -> None:
    service = await start_service(stt_url=ears.url)
    _, verdict = await send(service, wav(spoken()), **CHECK, transcript="My words.")
    assert (verdict["transcript"], ears.languages) == (None, [])


async def test_a_recording_that_is_refused_is_not_sent(
    start_service: StartService, ears: SpeechToText
) -> None:
    service = await start_service(stt_url=ears.url)
    _, verdict = await send(service, wav(silence(5)), **CHECK, transcript=None)
    assert (verdict["accepted"], verdict["transcript"], ears.languages) == (False, None, [])


async def test_without_a_server_there_is_none(start_service: StartService) -> None:
    service = await start_service()
    _, verdict = await send(service, wav(spoken()), **CHECK, transcript=None)
    assert verdict["transcript"] is None


@pytest.mark.parametrize(
    "manner", ["hangs up", "nonsense", "another event", "silent", "wrong type"]
)
async def test_a_server_that_is_of_no_help_does_no_harm(
    start_service: StartService,
    ears: SpeechToText,
    manner: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(transcripts, "SECONDS", 1.0)
    ears.manner = manner
    service = await start_service(stt_url=ears.url)
    status, verdict = await send(service, wav(spoken()), **CHECK, transcript=None)
    assert (status, verdict["accepted"], verdict["transcript"]) == (200, True, None)
    assert "suggests no transcript" in caplog.text


async def test_a_server_that_is_not_there_does_no_harm(
    start_service: StartService, unused_tcp_port: int
) -> None:
    service = await start_service(stt_url=f"tcp://127.0.0.1:{unused_tcp_port}")
    status, verdict = await send(service, wav(spoken()), **CHECK, transcript=None)
    assert (status, verdict["transcript"]) == (200, None)
