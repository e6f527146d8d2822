"""An answer on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic

import numpy as np

from engines.audio import AudioChunk
from service.utterance import SpokenChunk
from service.voice import Voice

PENDING = "pending"  # the rung of an answer whose chime plays while nobody has spoken yet
SILENCE = 10 ** (-50 / 20)  # samples below -50 dB are not heard


class Speaking:
    """An answer that is being spoken; its first sound is there already.

    Args:
        chunks: what is spoken.
        first: the first of it, None where only `before` is there yet.
        sentence_pause: seconds of silence between sentences.
        before: silence and chime that are heard before the speech.

    Attributes:
        id: id of the request.
        voice: the voice that speaks.
        rung: the rung that made the latest chunk; "cache" for what was spoken before, "pending"
            before anything was spoken.
        rungs: all rungs that made some of it.
        model: the model that made the latest chunk, None where no model did.
        models: all of them.
        seconds: audio handed out so far.
        heard: that audio.
        speech: what of it is speech, with the pauses between sentences.
        complete: all of it has been handed out.
        keeping: writes it to the cache, and says whether it lies there then; None where it is not
            to be kept. Set when the answer is through.
        begun: `time.monotonic()` of the request.
        first_sound: seconds from then to the first sample of speech that is not silence, None
            before it.
    """

    def __init__(
        self,
        request_id: str,
        begun: float,
        voice: Voice,
        chunks: AsyncIterator[SpokenChunk],
        first: SpokenChunk | None,
        sentence_pause: float,
        before: Sequence[AudioChunk] = (),
    ) -> None:
        self.id = request_id
        self.voice = voice
        self.rung = PENDING if first is None else first.rung
        self.rungs = set() if first is None else {first.rung}
        self.model = None if first is None else first.model
        self.models = set() if first is None else {first.model}
        self.seconds = 0.0
        self.heard: list[AudioChunk] = []
        self.speech: list[AudioChunk] = []
        self.complete = False
        self.keeping: asyncio.Task[bool] | None = None
        self.begun = begun
        self.first_sound: float | None = None
        self._chunks = chunks
        self._first = first
        self._pause = sentence_pause
        self._before = before

    @property
    def speech_seconds(self) -> float:
        """Speech handed out so far."""
        return sum(len(each.samples) / each.sample_rate for each in self.speech)

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        """The audio as it is made, with a pause between sentences."""
        for audio in self._before:
            yield self._count(audio)
        sentence: int | None = None
        async for spoken in self._all():
            audio = spoken.audio
            if sentence is not None and audio.sentence != sentence:
                yield self._spoken(silence(self._pause, audio.sample_rate, audio.sentence))
            sentence = audio.sentence
            self.rung = spoken.rung
            self.rungs.add(spoken.rung)
            self.model = spoken.model
            self.models.add(spoken.model)
            yield self._spoken(audio)
        self.complete = True

    async def _all(self) -> AsyncIterator[SpokenChunk]:
        if self._first is not None:
            yield self._first
        async for spoken in self._chunks:
            yield spoken

    def _spoken(self, audio: AudioChunk) -> AudioChunk:
        self.speech.append(audio)
        if self.first_sound is None and np.abs(audio.samples).max(initial=0.0) > SILENCE:
            self.first_sound = monotonic() - self.begun
        return self._count(audio)

    def _count(self, audio: AudioChunk) -> AudioChunk:
        self.seconds += len(audio.samples) / audio.sample_rate
        self.heard.append(audio)
        return audio


def silence(seconds: float, sample_rate: int, sentence: int = 0) -> AudioChunk:
    """So much silence."""
    return AudioChunk(np.zeros(round(seconds * sample_rate), np.float32), sample_rate, sentence)
