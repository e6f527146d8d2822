"""What goes to whoever speaks, one sentence at a time, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engines.audio import AudioChunk
from engines.text import SPEAKABLE
from service.sampling import AS_USUAL, Sampling


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence and how to say it.

    Attributes:
        fallback: how far down the ladder it may be taken, a `ladder.Fallback`.
        sampling: how a model draws it.
        style: which of the voice's further references; None for its main one.
        relayed: another box asks; it must be spoken here.
        model: id of the model that shall speak a cloned voice; empty for any.
        normalize: how home text becomes words, one of `engines.text.NORMALIZE`.
        named: id of the model that the request names, here or in another box; empty for none.
    """

    text: str
    voice: str
    language: str
    speed: float = 1.0
    fallback: int = 2
    sampling: Sampling = AS_USUAL
    style: str | None = None
    relayed: bool = False
    model: str = ""
    normalize: str = SPEAKABLE
    named: str = ""


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """A piece of audio, the rung of the ladder that made it, and its model if it has one."""

    audio: AudioChunk
    rung: str
    model: str | None = None


Speak = Callable[[Utterance, Callable[[], bool]], Iterator[SpokenChunk]]
