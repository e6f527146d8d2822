"""What a door asks for: a text, a voice, and how to say it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from engines.text import SPEAKABLE
from service.job import Priority
from service.ladder import Fallback
from service.sampling import AS_USUAL, Sampling

SLOWEST, FASTEST = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What a door asks for.

    Attributes:
        text: a whole text, or its pieces as they are written.
        voice: id of a voice, None for the default one.
        language: tag of the text's language; None to go by its script, then by the settings.
        speed: 0.25 to 4; 1 is the voice's own tempo.
        door: who asks: http, websocket, wyoming or mqtt.
        client: who asks behind that door; clients take turns.
        priority: alerts go before normal requests, those before background ones.
        expires: seconds after which it is not worth saying, None for always.
        fallback: how far down the ladder it may be taken.
        model: id of the model that shall speak a cloned voice, None for the house's own choice.
        fresh: speak again even what was spoken before.
        sampling: how a model draws it.
        pause: seconds of silence between sentences, None for the house's own.
        lead_in: seconds of silence before the first sound, for players that swallow it.
        chime: name of a chime that plays while the speech is being made, None for none.
        style: name of one of the voice's further references, None for its main one.
        normalize: how home text becomes words, one of `engines.text.NORMALIZE`.
        relayed: another box asks; it must be spoken here.
    """

    text: str | AsyncIterator[str]
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    door: str = "http"
    client: str = ""
    priority: Priority = Priority.NORMAL
    expires: float | None = None
    fallback: Fallback = Fallback.PLAIN
    model: str | None = None
    fresh: bool = False
    sampling: Sampling = AS_USUAL
    pause: float | None = None
    lead_in: float = 0.0
    chime: str | None = None
    style: str | None = None
    normalize: str = SPEAKABLE
    relayed: bool = False
