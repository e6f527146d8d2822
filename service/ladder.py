"""The ladder: who speaks now, who speaks when that one cannot, and the way back up.

A rung that fails or keeps silent too long is stepped down from at once: the sentence at hand is
said by the next one. So is a sentence that a rung made without anything to hear in it. A rung that
was slower than its bounds, or silent, three times in a row is stepped down from, too. It is tried
again in the background, after a pause that doubles with every failure, and is stepped up to when it
has spoken well, and clearly within its bounds, twice in a row. One whose device is lost to this
process is not tried again: the process must be started anew (`service/restart.py`).
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from engines.errors import EngineError, PromptError, TextError
from service.errors import SynthesisFailed, from_engine
from service.logs import without_texts
from service.pace import Stopwatch
from service.rung_worker import (
    Cancelled,
    Rung,
    RungDeclines,
    RungSilent,
    RungSlow,
    RungWorker,
    model_of,
)
from service.utterance import SpokenChunk, Utterance

_LOGGER = logging.getLogger(__name__)
FIRST_RETRY, LAST_RETRY = 5.0, 300.0  # seconds between a step down and the next try
GOOD_TRIES = 2
POOR_IN_A_ROW = 3
AUDIBLE = 1e-3  # peak below which a sentence counts as silence
COMFORT = 0.7  # share of its bounds within which a rung that was down must try
STEADY = 600.0  # seconds up after which a rung that falls has a clean sheet
PROBE = Utterance("Ready.", "", "en")
PROBE_SECONDS = (0.2, 8.0)
PROBE_LEVEL = 0.01  # RMS below which a try counts as silence


class Fallback(enum.IntEnum):
    """How far down a request may be taken."""

    NONE = 0  # the best rung or none
    CPU = 1  # any but the plain voice
    PLAIN = 2


@dataclass(slots=True)
class _Step:
    """A rung and how it is."""

    worker: RungWorker
    reason: str | None = None  # why it is down, None while it is up
    since: float = 0.0
    retry_at: float = 0.0
    retry_after: float = FIRST_RETRY
    good_tries: int = 0
    poor: int = 0  # sentences in a row that took too long or were silent
    rose: float | None = None
    lost: Exception | None = None  # only a new process can use its device

    @property
    def name(self) -> str:
        return self.worker.rung.name

    @property
    def up(self) -> bool:
        return self.reason is None and self.worker.rung.ready


class Ladder:
    """Rungs, the best first and the plain voice last.

    Args:
        rungs: at least one.

    Attributes:
        on_step: told (from, to, code) whenever another rung becomes the one that speaks.
        on_turn: told (rung, "down" or "up", code) of every rung, also where another one speaks.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.on_step: Callable[[str, str, str], None] = lambda before, after, code: None
        self.on_turn: Callable[[str, str, str], None] = lambda rung, state, code: None
        self._steps = [_Step(RungWorker(rung)) for rung in rungs]
        self._lock = threading.Lock()

    def arrange(self, rungs: Sequence[Rung]) -> None:
        """Take these rungs, in this order, instead of those of now; who speaks finishes.

        A rung that was there already keeps its state. What is left out speaks no further sentence.
        """
        with self._lock:
            before = {id(step.worker.rung): step for step in self._steps}
            self._steps = [before.get(id(rung)) or _Step(RungWorker(rung)) for rung in rungs]
            gone = [step for step in before.values() if step not in self._steps]
        for step in gone:
            step.worker.close()

    @property
    def rung(self) -> str:
        """The rung that would speak now."""
        return next((step.name for step in self._steps if step.up), self._steps[-1].name)

    @property
    def best(self) -> str:
        """The rung that speaks when all is well."""
        return self._steps[0].name

    @property
    def reason(self) -> str | None:
        """Why the best rung does not speak, None while it does or is being loaded."""
        best = self._steps[0]
        return best.reason or best.worker.rung.failure

    @property
    def needs_restart(self) -> str | None:
        """Why only a new process can make all rungs speak again, None where nothing is lost."""
        return next((step.reason for step in self._steps if step.lost is not None), None)

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags that some rung speaks, the best rung's first."""
        rungs = (step.worker.rung for step in self._steps)
        return tuple(dict.fromkeys(tag for rung in rungs for tag in rung.languages))

    def snapshot(self) -> list[dict[str, Any]]:
        """Every rung, whether it is up, and if not why and since how many seconds."""
        now = monotonic()
        return [
            {
                "name": step.name,
                "model": model_of(step.worker.rung),
                "up": step.up,
                "reason": step.reason or step.worker.rung.failure,
                "since": None if step.reason is None else round(now - step.since, 1),
            }
            for step in self._steps
        ]

    def speak(
        self, utterance: Utterance, cancelled: Cancelled = lambda: False
    ) -> Iterator[SpokenChunk]:
        """Speak on the best rung that can; a rung that fails hands the sentence to the next.

        A rung that fails in the middle of a sentence makes the next one say the whole sentence: a
        word heard twice is better than one never heard. When every rung that is up has failed,
        those that are down are tried too before the sentence is given up.

        Raises:
            ServiceError: no rung that the request allows could say it.
        """
        allowed = self._allowed(utterance)
        failure: Exception | None = None
        for step in sorted(allowed, key=lambda step: step.reason is not None):
            if step.lost is not None:
                failure = failure or step.lost
                continue
            watch = Stopwatch(monotonic())
            peak = 0.0
            try:
                for audio in step.worker.speak(utterance, cancelled):
                    if not np.isfinite(audio.samples).all():
                        raise EngineError("its sound is no numbers")
                    watch.heard(len(audio.samples) / audio.sample_rate, monotonic())
                    peak = max(peak, float(np.abs(audio.samples).max(initial=0.0)))
                    yield SpokenChunk(audio, step.name, model_of(step.worker.rung))
                if cancelled():
                    return
                if not watch.seconds:
                    raise RungDeclines(f"{step.name} said nothing")
                # There are texts without anything to hear; below the last rung nobody knows better.
                if peak < AUDIBLE and step is not allowed[-1]:
                    silent = RungSilent(f"{step.name} was silent")
                    self._judge(step, silent)
                    raise silent
                slow = watch.too_slow(step.worker.rung.bounds, monotonic())
                self._judge(step, None if slow is None else RungSlow(f"{step.name}: {slow}"))
                return
            except (TextError, PromptError, RungDeclines) as error:
                _LOGGER.info("rung %s cannot say this: %s", step.name, error.code)
                failure = error
            except Exception as error:
                if not isinstance(error, EngineError):
                    _LOGGER.exception("rung %s failed in a way it should not", step.name)
                self._fall(step, error)
                failure = error
        if isinstance(failure, EngineError):
            raise from_engine(failure) from failure
        raise SynthesisFailed("speaking failed; the log says why") from failure

    def probe(self) -> None:
        """Try the rungs that are down and whose time has come; blocks, so not on the event loop."""
        for step in self._steps:
            if step.reason is None or step.lost is not None or monotonic() < step.retry_at:
                continue
            problem = _try(step.worker)
            with self._lock:
                if problem is None:
                    step.good_tries += 1
                    step.retry_at = 0.0
                    if step.good_tries >= GOOD_TRIES:
                        self._rise(step)
                else:
                    _LOGGER.info("rung %s is not back yet: %s", step.name, problem)
                    step.good_tries = 0
                    step.retry_after = min(step.retry_after * 2, LAST_RETRY)
                    step.retry_at = monotonic() + step.retry_after

    def step_down(self, rung: Rung, error: EngineError) -> None:
        """Take a rung out that was seen to be gone before anybody asked it to speak."""
        for step in self._steps:
            if step.worker.rung is rung and step.reason is None:
                self._fall(step, error)

    def hurry(self, rung: Rung) -> None:
        """Try a rung that is down at the next look: there are signs that it is back."""
        for step in self._steps:
            if step.worker.rung is rung:
                step.retry_at = 0.0

    def close(self) -> None:
        """Let the rungs' threads end."""
        for step in self._steps:
            step.worker.close()

    def _allowed(self, utterance: Utterance) -> list[_Step]:
        steps = self._steps
        last = steps[-1]
        able = [step for step in steps if step is last or step.worker.rung.speaks(utterance)]
        # Of several models the one that was asked for goes first, another one may stand in.
        other = [step for step in able if _other_model(step, utterance)]
        asked = [step for step in able if step not in other]
        able = [*[step for step in asked if step is not last], *other, last]
        best = able[0]  # for the plain voice that is the plain rung
        match Fallback(utterance.fallback):
            case Fallback.NONE:
                return asked[:1]
            case Fallback.CPU:
                return [step for step in able if step is best or step is not last]
            case Fallback.PLAIN:
                return able

    def _judge(self, step: _Step, problem: EngineError | None) -> None:
        step.poor = 0 if problem is None else step.poor + 1
        if problem is not None and step.poor >= POOR_IN_A_ROW:
            self._fall(step, type(problem)(f"{problem}, {step.poor} times in a row"))

    def _fall(self, step: _Step, error: Exception) -> None:
        with self._lock:
            now = monotonic()
            before = self.rung
            code = getattr(error, "code", "failed")
            if fell := step.reason is None:
                steady = step.rose is None or now - step.rose >= STEADY
                again = min(step.retry_after * 2, LAST_RETRY)
                step.since, step.retry_after = now, FIRST_RETRY if steady else again
            # `/health` shows it to everybody: what was to be said is not in it.
            known = isinstance(error, EngineError)
            said = without_texts(str(error)) if known else f"{type(error).__name__}, see the log"
            step.reason, step.good_tries, step.poor = f"{code}: {said}", 0, 0
            if getattr(error, "sticky", False):
                step.lost, step.reason = error, f"needs restart: {step.reason}"
            step.retry_at = now + step.retry_after
            if fell:
                self._tell(step, before, "down", code)

    def _rise(self, step: _Step) -> None:
        before = self.rung
        step.reason, step.rose = None, monotonic()
        self._tell(step, before, "up", "recovered")

    def _tell(self, step: _Step, before: str, state: str, code: str) -> None:
        self.on_turn(step.name, state, code)
        if (after := self.rung) != before:
            _LOGGER.warning("ladder: from %s to %s (%s)", before, after, code)
            self.on_step(before, after, code)
        elif step.name != after:
            _LOGGER.warning("ladder: %s is %s (%s), %s speaks on", step.name, state, code, after)
        else:
            _LOGGER.warning("ladder: %s is %s (%s)", step.name, state, code)


def _other_model(step: _Step, utterance: Utterance) -> bool:
    return utterance.model != "" and model_of(step.worker.rung) not in (None, utterance.model)


def _try(worker: RungWorker) -> str | None:
    """Speak a word; what is wrong with it, None if it sounds right."""
    samples: list[np.ndarray] = []
    rate = 1
    watch = Stopwatch(monotonic())
    try:
        for chunk in worker.speak(PROBE, lambda: False):
            samples.append(chunk.samples)
            rate = chunk.sample_rate
            watch.heard(len(chunk.samples) / rate, monotonic())
    except Exception as error:
        return str(error)
    problem = wrong_sound(np.concatenate(samples) if samples else np.zeros(0), rate)
    return problem or watch.too_slow(worker.rung.bounds, monotonic(), COMFORT)


def wrong_sound(samples: np.ndarray, rate: int) -> str | None:
    """What is wrong with the sound of one spoken word, None if nothing is."""
    seconds = len(samples) / rate
    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    shortest, longest = PROBE_SECONDS
    if shortest <= seconds <= longest and level >= PROBE_LEVEL:
        return None
    return f"a word sounds wrong: {seconds:.2f} s at level {level:.4f}"
