"""`/tts`, asked as clients of GPT-SoVITS's own server ask."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from service.speech import Speech
from service.speech_request import SpeechRequest
from service.upstream_api import UpstreamApi, wav_header
from service.upstream_fields import reference_names
from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    RunningService,
    StartService,
)
from tests.service.test_voices import MUM, TONE, Home

SENTENCE = CHUNKS_PER_SENTENCE * CHUNK_SECONDS
TEXT = "First comes one. Then comes two."
NEEDED = {"text": TEXT, "text_lang": "en", "ref_audio_path": "plain", "prompt_lang": "en"}
# The bytes that upstream sends before a stream at 32 kHz.
STREAM_HEADER = bytes.fromhex(
    "524946462400000057415645666d74201000000001000100007d000000fa0000020010006461746100000000"
)
# As clients in the wild write it: a chat front end, a script of `requests`, a full form.
CHAT = {
    **NEEDED,
    "ref_audio_path": "./参考音频/Plain voice.wav",
    "prompt_text": "The kettle is on.",
    "text_split_method": "cut5",
    "batch_size": 1,
    "media_type": "ogg",
    "streaming_mode": "true",
}
WHOLE = {
    **NEEDED,
    "aux_ref_audio_paths": [],
    "prompt_text": "",
    "top_k": 15,
    "top_p": 1,
    "temperature": 1,
    "text_split_method": "cut0",
    "batch_size": 20,
    "batch_threshold": 0.75,
    "split_bucket": True,
    "speed_factor": 1.5,
    "fragment_interval": 0.5,
    "seed": 7,
    "media_type": "wav",
    "streaming_mode": False,
    "parallel_infer": True,
    "repetition_penalty": 1.35,
    "sample_steps": 32,
    "super_sampling": False,
    "overlap_length": 2,
    "min_chunk_length": 16,
    "a_field_of_a_fork": "is left aside",
}


async def post(service: RunningService, fields: object) -> tuple[int, str, bytes]:
    async with service.session.post(f"{service.url}/tts", json=fields) as response:
        return response.status, response.content_type, await response.read()


async def get(service: RunningService, **fields: str) -> tuple[int, str, bytes]:
    async with service.session.get(f"{service.url}/tts", params=fields) as response:
        return response.status, response.content_type, await response.read()


async def refusal(service: RunningService, fields: object) -> tuple[int, dict[str, Any]]:
    async with service.session.post(f"{service.url}/tts", json=fields) as response:
        return response.status, await response.json()


def decoded(body: bytes) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(body))
    return samples, rate


async def test_a_whole_wav_is_the_default(start_service: StartService) -> None:
    service = await start_service()
    for status, kind, body in (await post(service, NEEDED), await get(service, **NEEDED)):
        samples, rate = decoded(body)
        assert (status, kind, rate) == (200, "audio/wav", 32_000)
        assert len(samples) / rate == pytest.approx(2 * SENTENCE + 0.3, abs=0.02)
        assert int.from_bytes(body[40:44], "little") == len(body) - 44


async def test_a_full_form_is_understood(start_service: StartService) -> None:
    service = await start_service()
    status, _, body = await post(service, WHOLE)
    samples, rate = decoded(body)
    assert status == 200
    assert len(samples) / rate == pytest.approx(2 * SENTENCE + 0.5, abs=0.02)
    (said, _) = service.synthesizer.said
    assert (said.speed, said.language, said.sampling.seed) == (1.5, "en", 7)


async def test_a_query_is_read_like_json(start_service: StartService) -> None:
    service = await start_service()
    fields = {key: str(value) for key, value in WHOLE.items()}
    status, _, _ = await get(service, **{**fields, "text_lang": "EN"})
    assert status == 200
    (said, _) = service.synthesizer.said
    assert (said.speed, said.sampling.seed, said.sampling.top_k) == (1.5, 7, 15)


@pytest.mark.parametrize("mode", [1, 2, 3, True, "true", "True", "2"])
async def test_a_stream_begins_with_upstreams_header(
    start_service: StartService, mode: object
) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    service.synthesizer.free_chunks = 1
    fields = {**NEEDED, "streaming_mode": mode}
    async with service.session.post(f"{service.url}/tts", json=fields) as response:
        head = await response.content.readexactly(44 + 1000)
        made = service.synthesizer.chunks_made
        service.synthesizer.gate.set()
        rest = await response.read()
    assert made == 1
    assert head[:44] == STREAM_HEADER
    assert (44 + len(rest) + 1000 - 44) / 64_000 == pytest.approx(2 * SENTENCE + 0.3, abs=0.02)


async def test_a_chat_client_gets_vorbis_while_it_is_made(start_service: StartService) -> None:
    service = await start_service()
    status, kind, body = await post(service, CHAT)
    samples, rate = decoded(body)
    assert (status, kind, rate) == (200, "audio/ogg", 32_000)
    assert b"vorbis" in body[:200]
    assert len(samples) / rate == pytest.approx(2 * SENTENCE + 0.3, abs=0.1)


async def test_raw_is_samples_alone(start_service: StartService) -> None:
    service = await start_service()
    status, kind, body = await post(service, {**NEEDED, "media_type": "raw"})
    assert (status, kind) == (200, "audio/raw")
    assert len(body) / 64_000 == pytest.approx(2 * SENTENCE + 0.3, abs=0.02)


async def test_the_reference_names_a_voice_and_is_never_opened(
    start_service: StartService, tmp_path: Path
) -> None:
    Home(tmp_path / "voices").open().enrol(replace(MUM, name="Grand Ma"), TONE)
    service = await start_service()
    for path in ("grand-ma", "Grand Ma", "refs/grand-ma.wav", r"C:\voices\GRAND MA.WAV"):
        async with service.session.post(
            f"{service.url}/tts", json={**NEEDED, "ref_audio_path": path}
        ) as response:
            assert (response.status, response.headers["X-Speech-Voice"]) == (200, "grand-ma")
    for path in ("/etc/passwd", "../voices/grand-ma/reference.wav", "nobody.wav"):
        status, error = await refusal(service, {**NEEDED, "ref_audio_path": path})
        assert (status, error["message"]) == (400, "tts failed")
        assert error["Exception"].endswith("known are plain, grand-ma")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ref_audio_path": ""}, "ref_audio_path is required"),
        ({"ref_audio_path": "", "text": ""}, "ref_audio_path is required"),
        ({"text": ""}, "text is required"),
        ({"text_lang": ""}, "text_lang is required"),
        ({"text_lang": "fr"}, "text_lang: fr is not supported in version v2"),
        ({"prompt_lang": ""}, "prompt_lang is required"),
        ({"prompt_lang": "fr"}, "prompt_lang: fr is not supported in version v2"),
        ({"media_type": "aac"}, "media_type: aac is not supported"),
        ({"text_split_method": "cut9"}, "text_split_method:cut9 is not supported"),
        ({"streaming_mode": 4}, "streaming_mode must be 0, 1, 2, 3, true or false"),
    ],
)
async def test_what_upstream_refuses_is_refused_in_its_words(
    start_service: StartService, changes: dict[str, object], message: str
) -> None:
    service = await start_service()
    fields = {**NEEDED, **changes}
    assert await refusal(service, fields) == (400, {"message": message})
    status, _, body = await get(service, **{key: str(value) for key, value in fields.items()})
    assert (status, message in body.decode()) == (400, True)


@pytest.mark.parametrize("missing", ["text", "text_lang", "ref_audio_path", "prompt_lang"])
async def test_what_is_missing_is_named(start_service: StartService, missing: str) -> None:
    service = await start_service()
    fields = {key: value for key, value in NEEDED.items() if key != missing}
    assert await refusal(service, fields) == (400, {"message": f"{missing} is required"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text": None}, "text"),
        ({"text": 7}, "text"),
        ({"top_k": "many"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"temperature": True}, "temperature"),
        ({"seed": float("nan")}, "seed"),
        ({"batch_size": []}, "batch_size"),
        ({"streaming_mode": "sometimes"}, "streaming_mode"),
        ({"aux_ref_audio_paths": 3}, "aux_ref_audio_paths"),
    ],
)
async def test_a_wrong_type_is_unprocessable(
    start_service: StartService, changes: dict[str, object], field: str
) -> None:
    service = await start_service()
    status, error = await refusal(service, {**NEEDED, **changes})
    assert (status, error["detail"][0]["loc"]) == (422, [field])


@pytest.mark.parametrize("body", [[], "text", None])
async def test_a_body_that_is_no_object_is_unprocessable(
    start_service: StartService, body: object
) -> None:
    service = await start_service()
    assert (await refusal(service, body))[0] == 422


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"text_lang": "ja"}, 400, "language_unavailable"),
        ({"text": "?!"}, 400, "bad_text"),
        ({"text": "a" * 5001}, 400, "text_too_long"),
        ({"speed_factor": 9}, 400, "bad_request"),
        ({"seed": -2}, 400, "bad_request"),
        ({"top_p": 2}, 400, "bad_request"),
        ({"text": "FAIL"}, 500, "synthesis_failed"),
    ],
)
async def test_what_fails_says_so_and_is_no_second_of_silence(
    start_service: StartService, changes: dict[str, object], status: int, code: str
) -> None:
    service = await start_service()
    answer, error = await refusal(service, {**NEEDED, **changes})
    assert (answer, error["message"], error["code"]) == (status, "tts failed", code)
    assert error["Exception"]


async def test_a_seed_of_minus_one_draws_anew(start_service: StartService, tmp_path: Path) -> None:
    Home(tmp_path / "voices").open().enrol(MUM, TONE)
    service = await start_service()
    for _ in range(2):
        await post(service, {**NEEDED, "text": "One.", "ref_audio_path": "mum"})
    seeds = [each.sampling.seed for each in service.synthesizer.said]
    assert len(set(seeds)) == 2
    assert all(0 <= seed < 2**32 for seed in seeds)


async def test_the_door_is_closed_without_the_token(start_service: StartService) -> None:
    service = await start_service(token="secret")
    assert (await post(service, NEEDED))[0] == 401
    assert (await get(service, **NEEDED))[0] == 401


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("a/b/mum.wav", ["a/b/mum.wav", "mum.wav", "mum"]),
        (r"D:\x\mum.MP3", [r"D:\x\mum.MP3", "mum.MP3", "mum"]),
        ("mum", ["mum"]),
        ("Dr. Who", ["Dr. Who"]),
        ("/", ["/"]),
        (" ", []),
    ],
)
def test_what_a_reference_may_mean(reference: str, names: list[str]) -> None:
    assert reference_names(reference) == names


def test_the_header_of_a_stream_is_upstreams() -> None:
    assert wav_header(32_000, 0) == STREAM_HEADER


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models are installed, as far as this door can see."""
    made = [SimpleNamespace(id="mum", name="Mum's model"), SimpleNamespace(id="dad-2", name="dad")]
    monkeypatch.setattr(
        "service.http_api.UpstreamApi",
        lambda speech, voices, models, rate: UpstreamApi(speech, voices, lambda: made, rate),
    )


async def weights(service: RunningService, half: str, path: str) -> tuple[int, dict[str, Any]]:
    query = {"weights_path": path} if path else {}
    async with service.session.get(f"{service.url}/set_{half}_weights", params=query) as response:
        return response.status, await response.json()


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("half", "path", "model"),
    [
        ("gpt", "GPT_weights_v2/mum-e15.ckpt", "mum"),
        ("sovits", "SoVITS_weights_v2\\mum_e8_s96.pth", "mum"),
        ("sovits", "D:/models/dad_e8_s96_l32.pth", "dad-2"),
        ("gpt", "Mum's model", "mum"),
    ],
)
async def test_weights_that_are_set_are_an_installed_model(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, half: str, path: str, model: str
) -> None:
    service = await start_service()
    asked: list[str | None] = []
    say = Speech.say

    def noted(self: Speech, request: SpeechRequest) -> Any:
        asked.append(request.model)
        return say(self, replace(request, model=None))

    monkeypatch.setattr(Speech, "say", noted)
    await post(service, NEEDED)
    assert await weights(service, half, path) == (200, {"message": "success"})
    await post(service, NEEDED)
    assert asked == [None, model]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("half", ["gpt", "sovits"])
async def test_weights_that_are_nowhere_are_refused_in_upstreams_words(
    start_service: StartService, half: str
) -> None:
    service = await start_service()
    assert await weights(service, half, "") == (400, {"message": f"{half} weight path is required"})
    status, told = await weights(service, half, "../../etc/passwd")
    assert (status, told["message"]) == (400, f"change {half} weight failed")
    assert told["Exception"] == "no installed model is called 'passwd'; installed: mum, dad-2"
    strange = {"Origin": "http://elsewhere.example"}
    url = f"{service.url}/set_{half}_weights?weights_path=mum"
    async with service.session.get(url, headers=strange) as response:
        assert response.status == 403
