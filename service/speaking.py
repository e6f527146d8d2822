"""An answer on its way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic

import numpy as np

from engines.audio import AudioChunk
from service.jobs import SpokenChunk
from service.voice import Voice

SILENCE = 10 ** (-50 / 20)  # samples below -50 dB are not heard


class Speaking:
    """An answer that is being spoken; its first chunk is there already.

    Attributes:
        id: id of the request.
        voice: the voice that speaks.
        rung: the rung that made the latest chunk; "cache" for what was spoken before.
        rungs: all rungs that made some of it.
        model: the model that made the latest chunk, None where no model did.
        models: all of them.
        seconds: audio handed out so far.
        heard: that audio.
        complete: all of it has been handed out.
        begun: `time.monotonic()` of the request.
        first_sound: seconds from then to the first sample that is not silence, None before it.
    """

    def __init__(
        self,
        request_id: str,
        begun: float,
        voice: Voice,
        chunks: AsyncIterator[SpokenChunk],
        first: SpokenChunk,
        sentence_pause: float,
    ) -> None:
        self.id = request_id
        self.voice = voice
        self.rung = first.rung
        self.rungs = {first.rung}
        self.model = first.model
        self.models = {first.model}
        self.seconds = 0.0
        self.heard: list[AudioChunk] = []
        self.complete = False
        self.begun = begun
        self.first_sound: float | None = None
        self._chunks = chunks
        self._first = first
        self._pause = sentence_pause

    async def chunks(self) -> AsyncIterator[AudioChunk]:
        """The audio as it is made, with a pause between sentences."""
        sentence = self._first.audio.sentence
        async for spoken in self._all():
            audio = spoken.audio
            if audio.sentence != sentence:
                sentence = audio.sentence
                yield self._count(_silence(self._pause, audio))
            self.rung = spoken.rung
            self.rungs.add(spoken.rung)
            self.model = spoken.model
            self.models.add(spoken.model)
            yield self._count(audio)
        self.complete = True

    async def _all(self) -> AsyncIterator[SpokenChunk]:
        yield self._first
        async for spoken in self._chunks:
            yield spoken

    def _count(self, audio: AudioChunk) -> AudioChunk:
        self.seconds += len(audio.samples) / audio.sample_rate
        self.heard.append(audio)
        if self.first_sound is None and np.abs(audio.samples).max(initial=0.0) > SILENCE:
            self.first_sound = monotonic() - self.begun
        return audio


def _silence(seconds: float, like: AudioChunk) -> AudioChunk:
    samples = np.zeros(round(seconds * like.sample_rate), np.float32)
    return AudioChunk(samples, like.sample_rate, like.sentence)
