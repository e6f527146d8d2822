"""A rung on a thread of its own: one that hangs is left behind, and the house goes on speaking."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from engines.audio import AudioChunk
from engines.errors import EngineError
from service.logs import Trace, current, traced
from service.utterance import Utterance

Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rung must keep to be worth listening to.

    Attributes:
        first_audio: seconds from being asked to the first sound of a sentence.
        real_time_factor: time that a sentence takes over its length; above 1 playing stutters.
    """

    first_audio: float
    real_time_factor: float


class Rung(Protocol):
    """Something that can speak."""

    @property
    def name(self) -> str:
        """What answers call it: tensorrt, onnxruntime, plain."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags that it speaks."""

    @property
    def patience(self) -> float | None:
        """Seconds that its next chunk may take; None for one that cannot hang."""

    @property
    def bounds(self) -> Bounds | None:
        """How slow it may be, sentence after sentence; None for as slow as it likes."""

    @property
    def ready(self) -> bool:
        """Whether it could speak now, as far as it knows itself: loaded, and reached before."""

    @property
    def failure(self) -> str | None:
        """Why it is not ready although it should be, for a person."""

    def speaks(self, utterance: Utterance) -> bool:
        """Whether it has the voice; the ladder's last rung stands in for any."""

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence; ends early once `cancelled()` is true.

        Raises:
            TextError, RungDeclines: it cannot say this.
            EngineError: it cannot speak.
        """


class RungDeclines(EngineError):
    """A rung that is well cannot say this one; the next may."""

    code = "rung_declines"


class RungSlow(EngineError):
    """A rung took longer than its patience, or than its bounds again and again."""

    code = "rung_slow"


class RungSilent(RungDeclines):
    """What a rung made has nothing to hear in it."""

    code = "rung_silent"


class RungGone(RungDeclines):
    """A rung was taken out of the ladder."""

    code = "rung_gone"


def model_of(rung: Rung) -> str | None:
    """Id of the model that a rung speaks; None for rungs that speak whatever is asked for."""
    model: str | None = getattr(rung, "model_id", None)
    return model


@dataclass(frozen=True, slots=True)
class _Task:
    utterance: Utterance
    cancelled: Cancelled
    trace: Trace | None = field(default_factory=current)
    left: threading.Event = field(default_factory=threading.Event)
    out: queue.SimpleQueue[AudioChunk | Exception | None] = field(default_factory=queue.SimpleQueue)

    def unwanted(self) -> bool:
        return self.left.is_set() or self.cancelled()


class RungWorker:
    """Speaks with a rung and waits for it no longer than its patience.

    A rung without a limit to its patience speaks on the caller's thread.
    """

    def __init__(self, rung: Rung) -> None:
        self.rung = rung
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Lock()
        self._closed = False

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence.

        Raises:
            RungSlow: the rung kept silent for too long; what it still says is dropped.
            RungGone: the rung was taken out.
            TextError, EngineError: as the rung's.
        """
        if self.rung.patience is None:
            yield from self.rung.speak(utterance, cancelled)
            return
        task = _Task(utterance, cancelled)
        with self._closing:
            if self._closed:
                raise RungGone(f"{self.rung.name} was taken out")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.rung.name, daemon=True)
                self._thread.start()
            self._tasks.put(task)
        try:
            yield from self._wait(task, self.rung.patience)
        finally:
            task.left.set()

    def close(self) -> None:
        """Let the thread end when it is done with what it does."""
        with self._closing:
            self._closed = True
            self._tasks.put(None)

    def _wait(self, task: _Task, patience: float) -> Iterator[AudioChunk]:
        while True:
            try:
                item = task.out.get(timeout=patience)
            except queue.Empty:
                message = f"{self.rung.name} kept silent for {patience:g} s"
                raise RungSlow(message) from None
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if task.unwanted():
                task.out.put(None)
                continue
            with traced(task.trace):
                self._serve(task)

    def _serve(self, task: _Task) -> None:
        try:
            for chunk in self.rung.speak(task.utterance, task.unwanted):
                task.out.put(chunk)
                if task.unwanted():
                    break
            task.out.put(None)
        except Exception as error:  # handed to whoever waits, who logs it
            task.out.put(error)
