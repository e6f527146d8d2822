from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from engines.audio import AudioChunk
from service.errors import NotReady, QueueFull, SynthesisFailed
from service.jobs import Job, JobQueue, SpokenChunk, Utterance
from tests.service.conftest import FakeSynthesizer


def say(text: str) -> Utterance:
    return Utterance(text, "plain", "en")


@pytest.fixture
async def queue(synthesizer: FakeSynthesizer) -> AsyncIterator[JobQueue]:
    def speak(utterance: Utterance) -> Iterator[SpokenChunk]:
        for chunk in synthesizer.speak(utterance):
            yield SpokenChunk(chunk, "fake")

    queue = JobQueue(speak, 2)
    queue.start()
    yield queue
    synthesizer.gate.set()
    await asyncio.to_thread(queue.close, 5)


async def heard(job: Job) -> list[int]:
    return [chunk.audio.sentence async for chunk in job.chunks()]


async def test_a_job_is_spoken_sentence_by_sentence(queue: JobQueue) -> None:
    job = Job("a")
    queue.submit(job)
    queue.add(job, say("One."))
    queue.add(job, say("Two."), complete=True)
    assert await heard(job) == [0] * 4 + [1] * 4
    assert queue.depth == 0
    assert job.first_audio is not None
    assert job.started is not None
    assert job.queued <= job.started <= job.first_audio


async def test_a_failing_job_does_not_stop_the_thread(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Job("bad"), Job("good")
    for job, text in ((bad, "FAIL"), (good, "Fine.")):
        queue.submit(job)
        queue.add(job, say(text), complete=True)
    with pytest.raises(SynthesisFailed):
        await heard(bad)
    assert len(await heard(good)) == 4
    assert "the fake was told to fail" in caplog.text


async def test_places_are_limited_and_given_back(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    synthesizer.gate.clear()
    jobs = [Job("a"), Job("b")]
    for job in jobs:
        queue.submit(job)
        queue.add(job, say("One."), complete=True)
    with pytest.raises(QueueFull) as refused:
        queue.submit(Job("c"))
    assert refused.value.headers == {"Retry-After": "2"}
    queue.cancel(jobs[1])
    queue.submit(Job("d"))
    assert queue.depth == 2


async def test_closing_speaks_what_was_accepted(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    job = Job("a")
    queue.submit(job)
    queue.add(job, say("One."), complete=True)
    await asyncio.to_thread(queue.close)
    with pytest.raises(NotReady):
        queue.submit(Job("b"))
    assert len(await heard(job)) == 4


async def test_closing_answers_what_cannot_be_spoken_in_time(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    synthesizer.gate.clear()
    job, other = Job("a"), Job("b")
    for each in (job, other):
        queue.submit(each)
        queue.add(each, say("One."), complete=True)
    closing = asyncio.create_task(asyncio.to_thread(queue.close, 0.05))
    for each in (job, other):
        with pytest.raises(NotReady):
            await heard(each)
    synthesizer.gate.set()
    await closing


def test_pcm_clips_instead_of_wrapping() -> None:
    chunk = AudioChunk(np.array([0.0, 1.5, -1.5], np.float32), 24000)
    assert chunk.pcm16() == b"\x00\x00\xff\x7f\x01\x80"
