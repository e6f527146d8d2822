"""The ladder: who speaks now, and who speaks when that one cannot."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from engines.audio import AudioChunk
from engines.errors import EngineError, TextError
from service.errors import from_engine
from service.jobs import SpokenChunk, Utterance

_LOGGER = logging.getLogger(__name__)


class Rung(Protocol):
    """Something that can speak."""

    @property
    def name(self) -> str:
        """What answers call it: tensorrt, onnxruntime, plain."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags that it speaks."""

    def speak(self, utterance: Utterance) -> Iterator[AudioChunk]:
        """Speak one sentence.

        Raises:
            TextError: it cannot say this.
            EngineError: it cannot speak.
        """


class Ladder:
    """Rungs, the best first; at least one."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)

    @property
    def rung(self) -> str:
        """The rung that would speak now."""
        return self._rungs[0].name

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags that some rung speaks, the best rung's first."""
        return tuple(dict.fromkeys(tag for rung in self._rungs for tag in rung.languages))

    def speak(self, utterance: Utterance) -> Iterator[SpokenChunk]:
        """Speak on the best rung that can; a rung that fails hands the sentence to the next.

        A rung that fails in the middle of a sentence makes the next one say the whole sentence: a
        word heard twice is better than one never heard.

        Raises:
            ServiceError: no rung could say it.
        """
        failure: EngineError | None = None
        for rung in self._rungs:
            try:
                for audio in rung.speak(utterance):
                    yield SpokenChunk(audio, rung.name)
                return
            except EngineError as error:
                level = logging.INFO if isinstance(error, TextError) else logging.ERROR
                _LOGGER.log(level, "rung %s could not speak: %s", rung.name, error.code)
                failure = error
        assert failure is not None
        raise from_engine(failure) from failure
