"""Rungs that are too slow, not ready, or whose device only a new process can use again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engines.audio import AudioChunk
from engines.errors import DeviceError
from service import ladder as ladder_module
from service.errors import SynthesisFailed
from service.ladder import Fallback, Ladder
from service.rung_worker import Bounds, RungDeclines
from service.utterance import Utterance
from tests.service.test_ladder import CHUNK, WORDS, FakeRung, plain, speaking

BOUNDS = Bounds(first_audio=1.0, real_time_factor=2.0)


class SlowRung(FakeRung):
    """Takes `first` seconds to its first chunk and `each` to every further one."""

    def __init__(self, clock: list[float], first: float = 0.0, each: float = 0.0) -> None:
        super().__init__("gpu", *[CHUNK] * 4, bounds=BOUNDS)  # 2 s of audio
        self.clock, self.first, self.each = clock, first, each

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        self.clock[0] += self.first
        for chunk in super().speak(utterance, cancelled):
            yield chunk
            self.clock[0] += self.each


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(ladder_module, "monotonic", lambda: now[0])
    return now


SLOW = [{"first": 1.5}, {"each": 1.5}]


@pytest.mark.parametrize("how", SLOW)
def test_a_rung_that_is_slow_again_and_again_is_stepped_down_from(
    clock: list[float], how: dict[str, float]
) -> None:
    ladder = Ladder([SlowRung(clock, **how), plain()])
    steps: list[tuple[str, ...]] = []
    ladder.on_step = lambda *step: steps.append(step)
    assert [set(speaking(ladder)) for _ in range(4)] == [{"gpu"}] * 3 + [{"plain"}]
    assert steps == [("gpu", "plain", "rung_slow")]
    assert "bound" in str(ladder.reason)


def test_a_slow_sentence_now_and_then_is_forgiven(clock: list[float]) -> None:
    gpu = SlowRung(clock)
    ladder = Ladder([gpu, plain()])
    for first in (1.5, 1.5, 0.5) * 5:
        gpu.first = first
        speaking(ladder)
    assert ladder.rung == "gpu"


def test_a_sentence_that_nobody_waited_for_is_not_timed(clock: list[float]) -> None:
    ladder = Ladder([SlowRung(clock, first=9.0), plain()])
    for _ in range(5):
        list(ladder.speak(WORDS, lambda: True))
    assert ladder.rung == "gpu"


@pytest.mark.parametrize(("first", "rung"), [(0.9, "plain"), (0.6, "gpu")])
def test_it_comes_back_only_when_it_is_clearly_within_its_bounds(
    clock: list[float], first: float, rung: str
) -> None:
    gpu = SlowRung(clock, first=1.5)
    ladder = Ladder([gpu, plain()])
    for _ in range(3):
        speaking(ladder)
    gpu.first = first
    for _ in range(10):
        clock[0] += 400.0
        ladder.probe()
    assert ladder.rung == rung


@pytest.mark.parametrize(("well_for", "wait"), [(1.0, 10.0), (600.0, 5.0)])
def test_a_rung_that_falls_again_soon_waits_longer(
    clock: list[float], well_for: float, wait: float
) -> None:
    gpu = FakeRung("gpu", DeviceError("lost"))
    ladder = Ladder([gpu, plain()])
    speaking(ladder)
    gpu.script = (CHUNK,)
    clock[0] += 5
    ladder.probe()
    ladder.probe()
    assert ladder.rung == "gpu"
    clock[0] += well_for
    gpu.script = (DeviceError("lost again"),)
    speaking(ladder)
    asked = gpu.asked
    clock[0] += wait - 0.1
    ladder.probe()
    assert gpu.asked == asked
    clock[0] += 0.1
    ladder.probe()
    assert gpu.asked == asked + 1


def test_a_rung_that_is_not_ready_is_not_named() -> None:
    gpu = FakeRung("gpu", CHUNK)
    gpu.ready = False
    ladder = Ladder([gpu, plain()])
    assert (ladder.rung, ladder.reason) == ("plain", None)
    gpu.failure = "no such file"
    assert ladder.reason == "no such file"
    assert ladder.snapshot()[0] | {"since": None} == {
        "name": "gpu",
        "model": None,
        "up": False,
        "reason": "no such file",
        "since": None,
    }


def test_a_rung_that_declines_stays_up() -> None:
    ladder = Ladder([FakeRung("gpu", RungDeclines("not this one")), plain()])
    assert speaking(ladder) == ["plain"]
    assert ladder.rung == "gpu"


def test_a_rung_that_was_seen_to_be_gone_is_not_asked(clock: list[float]) -> None:
    gpu = FakeRung("gpu", CHUNK)
    ladder = Ladder([gpu, plain()])
    ladder.step_down(gpu, DeviceError("gone"))
    assert (speaking(ladder), gpu.asked) == (["plain"], 0)
    ladder.hurry(gpu)
    ladder.probe()
    ladder.probe()
    assert speaking(ladder) == ["gpu"]


def test_a_lost_device_is_left_alone_and_told(clock: list[float]) -> None:
    gpu = FakeRung("gpu", DeviceError("illegal address", sticky=True))
    ladder = Ladder([gpu, plain()])
    assert ladder.needs_restart is None
    assert speaking(ladder) == ["plain"]
    assert ladder.needs_restart == "needs restart: device_failed: illegal address"
    gpu.script = (CHUNK,)
    for _ in range(5):
        clock[0] += 400.0
        ladder.probe()
    strict = Utterance("Hi", "mum", "en", fallback=Fallback.NONE)
    with pytest.raises(SynthesisFailed, match="illegal address"):
        speaking(ladder, strict)
    assert (speaking(ladder), gpu.asked) == (["plain"], 1)
