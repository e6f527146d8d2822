"""One client's many requests do not shut out the others, at no gate of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from service import jobs
from service.errors import QueueFull
from service.job import Job, Priority
from service.jobs import JobQueue
from service.utterance import SpokenChunk, Utterance
from tests.service.conftest import FakeSynthesizer, eventually
from tests.service.test_jobs import given, heard

TEN = "0123456789"


@pytest.fixture
async def queue(synthesizer: FakeSynthesizer) -> AsyncIterator[JobQueue]:
    def speak(utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[SpokenChunk]:
        for chunk in synthesizer.speak(utterance, cancelled):
            yield SpokenChunk(chunk, "fake")

    queue = JobQueue(speak, 8)
    queue.start()
    yield queue
    synthesizer.gate.set()
    await asyncio.to_thread(queue.close, 0.2)


async def busy(queue: JobQueue, synthesizer: FakeSynthesizer, client: str = "nobody") -> Job:
    """Let the thread be in the middle of a sentence."""
    synthesizer.gate.clear()
    synthesizer.waiting.clear()
    job = given(queue, Job("busy", client=client), TEN)
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    return job


async def test_a_quarter_of_the_places_is_for_others(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    await busy(queue, synthesizer, "chatty")
    for number in range(5):
        given(queue, Job(f"a{number}", client="chatty"), TEN)
    with pytest.raises(QueueFull, match="6 requests of this client"):
        queue.submit(Job("a6", client="chatty"))
    given(queue, Job("b", client="door"), TEN)
    given(queue, Job("alert", client="chatty", priority=Priority.ALERT), TEN)
    with pytest.raises(QueueFull, match="max_queue"):
        queue.submit(Job("c", client="third"))


async def test_a_crowd_of_one_client_does_not_make_others_wait(
    queue: JobQueue, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr("service.job.monotonic", lambda: clock)
    monkeypatch.setattr(jobs, "monotonic", lambda: clock)
    first = await busy(queue, synthesizer)
    clock += 10.0  # a second a character
    synthesizer.gate.set()
    await heard(first)
    await eventually(lambda: queue.predicted_wait() == 0.0)
    await busy(queue, synthesizer)
    for number in range(4):
        given(queue, Job(f"a{number}", client="chatty"), TEN)
    assert queue.predicted_wait(client="chatty") == pytest.approx(50.0)
    assert queue.predicted_wait(client="door") == pytest.approx(20.0)


async def test_who_was_served_long_is_not_put_behind_a_newcomer_for_ever(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    """Both wait all the time; the old one has had many turns when the new one comes."""
    await busy(queue, synthesizer, "old")
    for number in range(4):
        given(queue, Job(f"o{number}", client="old"), f"Old {number}.")
    queue._turns["old"] = 100
    given(queue, Job("n0", client="new"), "New 0.")
    last = given(queue, Job("n1", client="new"), "New 1.")
    synthesizer.gate.set()
    await heard(last)
    await eventually(lambda: queue.depth == 0)
    order = [each.text[:3] for each in synthesizer.said[1:]]
    assert order == ["Old", "New", "Old", "New", "Old", "Old"]


async def test_clients_that_left_are_forgotten(
    queue: JobQueue, synthesizer: FakeSynthesizer
) -> None:
    first = await busy(queue, synthesizer)
    for number in range(50):
        queue.cancel(given(queue, Job("x", client=f"client {number}"), TEN))
    assert len(queue._turns) <= 2
    queue.cancel(first)


async def test_sound_that_nobody_fetches_is_bounded(
    queue: JobQueue, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_HELD", 60_000)
    slow = [given(queue, Job(f"slow{number}"), TEN) for number in range(2)]
    await eventually(lambda: queue.depth == 0)
    assert queue.held == 2 * 4 * 2400 * 4
    with pytest.raises(QueueFull, match="wait to be fetched"):
        queue.submit(Job("another"))
    queue.cancel(slow[0])  # it hung up
    queue.submit(Job("another"))
