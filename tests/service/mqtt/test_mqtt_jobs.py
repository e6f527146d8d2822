from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.mqtt_jobs import KEPT, REPEAT_WINDOW, Answer, JobStore, StoredJob, Verdict

SAID = Answer("said", {"id": "a", "url": "http://box/clips/a.mp3"})


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs.sqlite", clock)
    yield store
    store.close()


def named(job_id: str, packet: str | None = None) -> StoredJob:
    return StoredJob(job_id, {"text": "Hello."}, named=True, fingerprint=packet)


def nameless(job_id: str, packet: str) -> StoredJob:
    return StoredJob(job_id, {"text": "Hello."}, fingerprint=packet)


def accept(store: JobStore, job: StoredJob, again: bool = False) -> Verdict:
    [verdict] = store.accept([job], [again])
    return verdict


def test_what_is_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    first = JobStore(tmp_path / "jobs.sqlite")
    job = StoredJob("a", {"text": "你好"}, True, "flow/x", b"\x00\xff", "5 abc", 7.0)
    accept(first, job)
    second = JobStore(tmp_path / "jobs.sqlite")
    assert second.open_jobs() == [job]
    second.close()
    first.close()


def test_one_id_is_one_request_for_a_while_after_its_answer(store: JobStore, clock: Clock) -> None:
    assert accept(store, named("a")) is Verdict.NEW
    clock.now += 10 * REPEAT_WINDOW
    assert accept(store, named("a")) is Verdict.OPEN
    store.end(named("a"), SAID)
    clock.now += REPEAT_WINDOW - 1
    assert accept(store, named("a")) is Verdict.ANSWERED
    clock.now += 2
    # The broker's own repetition is old news however late, a new request is not.
    assert accept(store, named("a"), again=True) is Verdict.ANSWERED
    assert accept(store, named("a")) is Verdict.NEW
    assert [job.id for job in store.open_jobs()] == ["a"]
    assert store.undelivered() == []


def test_a_packet_without_an_id_is_known_again(store: JobStore) -> None:
    accept(store, nameless("first", "7 abc"))
    repeated = nameless("second", "7 abc")
    assert accept(store, repeated, again=True) is Verdict.OPEN
    assert repeated.id == "first"
    assert accept(store, nameless("third", "7 abc")) is Verdict.NEW
    assert accept(store, nameless("fourth", "8 abc"), again=True) is Verdict.NEW


def test_a_new_session_numbers_its_packets_anew(store: JobStore) -> None:
    accept(store, nameless("first", "7 abc"))
    store.forget_packets()
    assert accept(store, nameless("second", "7 abc"), again=True) is Verdict.NEW


def test_requests_that_come_together_are_accepted_all_or_none(store: JobStore) -> None:
    broken = StoredJob("b", {"text": object()})
    with pytest.raises(TypeError):
        store.accept([named("a"), broken], [False, False])
    assert store.open_jobs() == []


def test_answers_wait_until_they_are_delivered(store: JobStore) -> None:
    accept(store, named("a"))
    store.end(named("a"), SAID)
    [waiting] = store.undelivered()
    assert (waiting.id, waiting.answer) == ("a", SAID)
    store.delivered(["a"])
    assert store.undelivered() == []
    assert store.find("a") == waiting
    assert store.find("b") is None


def test_attempts_count_what_ended_the_process_not_what_stopped_it(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    job = named("a")
    accept(store, job)
    assert [store.begin(job), store.begin(job)] == [1, 2]
    killed = JobStore(tmp_path / "jobs.sqlite")
    [found] = killed.open_jobs()
    assert killed.begin(found) == 3
    killed.close()
    stopped = JobStore(tmp_path / "jobs.sqlite")
    [found] = stopped.open_jobs()
    assert stopped.begin(found) == 1
    stopped.close()
    store.close()


def test_what_players_were_asked_is_known(store: JobStore) -> None:
    accept(store, named("a"))
    store.play(named("a"))
    [found] = store.open_jobs()
    assert found.playing


def test_old_answers_are_forgotten_and_open_requests_are_not(store: JobStore, clock: Clock) -> None:
    for name in ("old", "undelivered", "open"):
        accept(store, named(name))
    store.end(named("old"), SAID)
    store.end(named("undelivered"), SAID)
    store.delivered(["old"])
    clock.now += KEPT + 1
    store.forget_old()
    found = {name: store.find(name) is not None for name in ("old", "undelivered", "open")}
    assert found == {"old": False, "undelivered": True, "open": True}


def test_choices_are_kept(store: JobStore) -> None:
    assert store.recall("voice") is None
    store.remember("voice", "mum")
    store.remember("voice", "dad")
    assert store.recall("voice") == "dad"


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new(
    store: JobStore, clock: Clock
) -> None:
    accept(store, StoredJob("a", {"text": "Hello."}, named=True, arrived=clock.now + 3600))
    [found] = store.open_jobs()
    assert 0 <= found.age < 600


def test_who_waited_before_a_restart_is_as_old_as_that(store: JobStore, clock: Clock) -> None:
    accept(store, StoredJob("a", {"text": "Hello."}, named=True, arrived=clock.now - 3600))
    [found] = store.open_jobs()
    assert 3600 <= found.age < 4200


@pytest.mark.parametrize("jump", [-1e7, 1e7])
def test_a_clock_that_is_set_makes_nothing_that_waits_older(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    job = StoredJob("a")
    wrong = time.time() + jump
    monkeypatch.setattr("time.time", lambda: wrong)
    assert 0 <= job.age < 600


@pytest.mark.parametrize("jump", [-1e7, 1e7])
def test_an_id_is_new_when_the_clock_was_set(store: JobStore, clock: Clock, jump: float) -> None:
    accept(store, named("a"))
    store.end(named("a"), SAID)
    clock.now += jump
    assert accept(store, named("a")) is Verdict.NEW
