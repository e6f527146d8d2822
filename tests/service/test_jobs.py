from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest

from engines.audio import AudioChunk
from service import jobs
from service.errors import Expired, NotReady, QueueFull, SynthesisFailed, TooManyRequests
from service.job import Job, Priority
from service.jobs import JobQueue
from service.utterance import SpokenChunk, Utterance
from tests.service.conftest import FakeSynthesizer, eventually


def say(text: str) -> Utterance:
    return Utterance(text, "plain", "en")


@pytest.fixture
async def queue(synthesizer: FakeSynthesizer) -> AsyncIterator[JobQueue]:
    def speak(utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[SpokenChunk]:
        for chunk in synthesizer.speak(utterance, cancelled):
            yield SpokenChunk(chunk, "fake")

    queue = JobQueue(speak, 2, longest_wait=60.0)
    queue.start()
    yield queue
    synthesizer.gate.set()
    await asyncio.to_thread(queue.close, 0.2)


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
    two = [Job("a"), Job("b")]
    for job in two:
        queue.submit(job)
        queue.add(job, say("One."), complete=True)
    with pytest.raises(QueueFull) as refused:
        queue.submit(Job("c"))
    assert refused.value.headers == {"Retry-After": "2"}
    queue.cancel(two[1])
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


def given(queue: JobQueue, job: Job, *texts: str) -> Job:
    queue.submit(job)
    queue.add(job, *[say(text) for text in texts], complete=True)
    return job


async def spoken_order(
    queue: JobQueue, synthesizer: FakeSynthesizer, *jobs: tuple[Job, tuple[str, ...]]
) -> list[str]:
    """Give the jobs while the thread is busy with a first one, and tell what it said after it."""
    queue.limit = 20
    synthesizer.gate.clear()
    given(queue, Job("first", client="nobody"), "Busy.")
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    waiting = [given(queue, job, *texts) for job, texts in jobs]
    synthesizer.gate.set()
    for job in waiting:
        await heard(job)
    return [each.text for each in synthesizer.said[1:]]


async def test_urgent_requests_go_first(queue: JobQueue, synthesizer: FakeSynthesizer) -> None:
    order = await spoken_order(
        queue,
        synthesizer,
        (Job("a", priority=Priority.BACKGROUND), ("Prepare.",)),
        (Job("b"), ("Story.", "Goes on.")),
        (Job("c", priority=Priority.ALERT), ("Smoke!", "Get out!")),
    )
    assert order == ["Smoke!", "Get out!", "Story.", "Goes on.", "Prepare."]


async def test_priorities_hold_across_clients_and_turns_within_them(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    """Whoever came first, and however seldom a client was served: urgency goes first."""

    def asked(priority: Priority, client: str, *names: str) -> list[tuple[Job, tuple[str, ...]]]:
        return [(Job(name, priority=priority, client=client), (name,)) for name in names]

    order = await spoken_order(
        queue,
        synthesizer,
        *asked(Priority.BACKGROUND, "pages", "b1", "b2"),
        *asked(Priority.NORMAL, "chatty", "n1", "n2", "n3"),
        *asked(Priority.BACKGROUND, "nightly", "b3"),
        *asked(Priority.NORMAL, "door", "n4"),
        *asked(Priority.ALERT, "chatty", "a1", "a2"),
        *asked(Priority.ALERT, "smoke", "a3"),
    )
    # The chatty one's alerts count as its turns, so the door speaks before it.
    assert order == ["a1", "a3", "a2", "n4", "n1", "n2", "n3", "b1", "b3", "b2"]


async def test_clients_take_turns(queue: JobQueue, synthesizer: FakeSynthesizer) -> None:
    order = await spoken_order(
        queue,
        synthesizer,
        *[(Job(f"a{number}", client="chatty"), (f"Chat {number}.",)) for number in range(3)],
        (Job("b", client="door"), ("Doorbell.",)),
    )
    assert order == ["Chat 0.", "Doorbell.", "Chat 1.", "Chat 2."]


async def test_what_waited_too_long_is_not_said(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    synthesizer.gate.clear()
    first = given(queue, Job("first"), "Busy.")
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    doorbell = given(queue, Job("doorbell", expires=0.01), "Doorbell.")
    await asyncio.sleep(0.02)
    synthesizer.gate.set()
    with pytest.raises(Expired) as refused:
        await heard(doorbell)
    assert refused.value.limit == 0.01
    await heard(first)
    assert [each.text for each in synthesizer.said] == ["Busy."]


async def test_what_has_begun_does_not_expire(
    queue: JobQueue, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr("service.job.monotonic", lambda: clock)
    monkeypatch.setattr(jobs, "monotonic", lambda: clock)
    synthesizer.gate.clear()
    job = given(queue, Job("a", expires=60), "One.", "Two.")
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    clock += 61.0
    synthesizer.gate.set()
    assert len(await heard(job)) == 8


async def test_a_wait_too_long_is_refused_with_the_time_to_come_back(
    queue: JobQueue, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr("service.job.monotonic", lambda: clock)
    monkeypatch.setattr(jobs, "monotonic", lambda: clock)
    queue.limit = 20
    synthesizer.gate.clear()
    slow = given(queue, Job("slow"), "0123456789")
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    clock += 20.0  # two seconds a character
    synthesizer.gate.set()
    await heard(slow)
    await eventually(lambda: queue.predicted_wait() == 0.0)
    synthesizer.gate.clear()
    synthesizer.waiting.clear()
    running = given(queue, Job("running"), "0123456789")
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    assert queue.predicted_wait() == pytest.approx(20.0)
    given(queue, Job("waiting"), "0123456789" * 2, "0123456789")
    assert queue.predicted_wait() == pytest.approx(60.0)
    assert queue.predicted_wait(Priority.ALERT) == pytest.approx(20.0)
    assert queue.predicted_wait(Priority.BACKGROUND) == pytest.approx(80.0)
    given(queue, Job("fits"), "01234")
    with pytest.raises(TooManyRequests) as refused:
        queue.submit(Job("late"))
    assert refused.value.headers == {"Retry-After": "10"}
    queue.submit(Job("alert", priority=Priority.ALERT))
    queue.cancel(running)


def test_pcm_clips_instead_of_wrapping() -> None:
    chunk = AudioChunk(np.array([0.0, 1.5, -1.5], np.float32), 24000)
    assert chunk.pcm16() == b"\x00\x00\xff\x7f\x00\x80"
