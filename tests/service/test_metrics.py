from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.audio import AudioChunk
from service import jobs, speaking
from service.account import Account
from service.metrics import Metrics
from service.recent import Recent
from service.utterance import Utterance
from tests.service.conftest import (
    CHUNK_SECONDS,
    CHUNKS_PER_SENTENCE,
    RATE,
    FakeSynthesizer,
    RunningService,
    StartService,
    eventually,
)


async def read(service: RunningService) -> dict[tuple[str, ...], float]:
    async with service.session.get(f"{service.url}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(await response.text())
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }


async def test_every_request_is_counted_by_how_it_ended(
    start_service: StartService, synthesizer: FakeSynthesizer
) -> None:
    service = await start_service()
    for text in ("Dinner is ready.", "Dinner is ready.", "FAIL", ""):
        async with service.post(input=text) as response:
            await response.read()
    synthesizer.gate.clear()
    synthesizer.free_chunks = synthesizer.chunks_made + 1
    async with service.post(input="A story.", response_format="pcm"):
        pass
    await eventually(lambda: service.queue_depth() == 0)
    synthesizer.gate.set()
    values = await read(service)
    outcomes = {
        name[2]: values[name] for name in values if name[:2] == ("speech_requests_total", "http")
    }
    assert outcomes == {"done": 2, "synthesis_failed": 1, "bad_text": 1, "cancelled": 1}
    assert values["speech_answers_total", "cache", "plain"] == 1
    assert values["speech_answers_total", "fake", "plain"] >= 1
    assert values["speech_audio_seconds_total", "cache"] > 0.3
    assert values["speech_first_audio_seconds_count", "cache"] == 1
    assert values["speech_real_time_factor_count", "cache"] == 1
    assert values["speech_cancels_total", "left"] == 1
    assert values[("speech_cache_hits_total",)] == 1
    assert values[("speech_cache_misses_total",)] == 3
    assert values["speech_queue_wait_seconds_count", "normal"] == 4  # the self-test is one
    assert values[("speech_queue_depth",)] == 0
    assert values[("speech_cache_bytes",)] > 100
    assert values[("process_resident_memory_bytes",)] > 10_000_000


async def test_waiting_and_expiry_are_counted(
    start_service: StartService, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start_service()
    synthesizer.gate.clear()
    first = asyncio.create_task(service.post(input="One.").__aenter__())
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    late = asyncio.create_task(service.post(input="Two.", expires=50).__aenter__())
    patient = asyncio.create_task(service.post(input="Three.", priority="alert").__aenter__())
    await eventually(lambda: service.queue_depth() == 3)
    now = jobs.monotonic
    monkeypatch.setattr("service.job.monotonic", lambda: now() + 100)
    monkeypatch.setattr(jobs, "monotonic", lambda: now() + 100)
    synthesizer.gate.set()
    assert [(await task).status for task in (first, late, patient)] == [200, 504, 200]
    for task in (first, patient):
        await (await task).read()
    await eventually(lambda: service.queue_depth() == 0)
    values = await read(service)
    assert values["speech_cancels_total", "expired"] == 1
    assert values["speech_queue_wait_seconds_count", "alert"] == 1
    assert values["speech_queue_wait_seconds_sum", "alert"] >= 100
    assert values["speech_queue_wait_seconds_sum", "normal"] < 100


@pytest.mark.parametrize("level", [0.0, 0.001], ids=["nothing", "below what is heard"])
async def test_first_audio_is_the_first_sample_that_is_heard(
    start_service: StartService,
    synthesizer: FakeSynthesizer,
    monkeypatch: pytest.MonkeyPatch,
    level: float,
) -> None:
    service = await start_service()

    def speak(utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        yield AudioChunk(np.full(RATE, level, np.float32), RATE)
        assert synthesizer.gate.wait(60)
        yield AudioChunk(np.full(RATE, 0.1, np.float32), RATE, last=True)

    monkeypatch.setattr(synthesizer, "speak", speak)
    synthesizer.gate.clear()
    async with service.post(input="Hush.", response_format="pcm") as response:
        await response.content.readexactly(1000)
        now = speaking.monotonic
        monkeypatch.setattr(speaking, "monotonic", lambda: now() + 100)
        synthesizer.gate.set()
        await response.read()
    await eventually(lambda: service.queue_depth() == 0)
    values = await read(service)
    assert 100 <= values["speech_first_audio_seconds_sum", "fake"] < 200
    assert values["speech_first_audio_seconds_count", "fake"] == 2  # the self-test is one


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("cancelled", "left"), ("expired", "expired"), ("not_ready", "stopped")],
)
def test_cancels_are_counted_by_reason(outcome: str, reason: str) -> None:
    metrics = Metrics(lambda: 0, lambda: 0)
    account = Account("http")
    account.outcome = outcome
    account.close(metrics, Recent(keep_text=False))
    lines = metrics.exposition().decode().splitlines()
    counted = sorted(line for line in lines if line.startswith("speech_cancels_total"))
    others = {"left", "expired", "stopped"} - {reason}
    assert counted == sorted(
        [f'speech_cancels_total{{reason="{reason}"}} 1.0']
        + [f'speech_cancels_total{{reason="{other}"}} 0.0' for other in others]
    )


async def test_metrics_need_the_token(start_service: StartService) -> None:
    service = await start_service(token="secret")
    async with service.session.get(f"{service.url}/metrics") as response:
        assert response.status == 401


async def test_health_tells_how_the_latest_answer_went(start_service: StartService) -> None:
    service = await start_service()
    before = service.health.last()
    async with service.post(input="Hello there.", response_format="pcm") as response:
        assert await response.read()
    await eventually(lambda: service.health.last() is not before)
    async with service.session.get(f"{service.url}/health") as response:
        last = (await response.json())["last"]
    assert last.keys() == {"rung", "first_audio", "seconds"}
    assert last["rung"] == "fake"
    assert last["first_audio"] > 0
    assert last["seconds"] == pytest.approx(CHUNKS_PER_SENTENCE * CHUNK_SECONDS)
