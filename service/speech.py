"""The one use case: text in, audio out, in a voice of this house. Every door leads here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from sentence_stream import SentenceBoundaryDetector

from engines.audio import AudioChunk
from engines.plain import language_of
from service.errors import BadRequest, LanguageUnavailable, TextRefused, TextTooLong
from service.jobs import Job, JobQueue, SpokenChunk, Utterance
from service.voices import Voice, VoiceStore

_LOGGER = logging.getLogger(__name__)
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
    """

    text: str | AsyncIterator[str]
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    door: str = "http"


class Speaking:
    """An answer that is being spoken; its first chunk is there already.

    Attributes:
        id: id of the request.
        voice: the voice that speaks.
        rung: the rung that made the latest chunk.
        seconds: audio handed out so far.
    """

    def __init__(
        self, job: Job, voice: Voice, first: SpokenChunk, rest: AsyncIterator[SpokenChunk]
    ) -> None:
        self.id = job.id
        self.voice = voice
        self.rung = first.rung
        self.seconds = 0.0
        self._first = first
        self._rest = rest

    async def chunks(self, sentence_pause: float = 0.0) -> AsyncIterator[AudioChunk]:
        """The audio as it is made, with a pause in seconds between sentences."""
        sentence = self._first.audio.sentence
        async for spoken in self._all():
            audio = spoken.audio
            if audio.sentence != sentence:
                sentence = audio.sentence
                yield self._count(_silence(sentence_pause, audio))
            self.rung = spoken.rung
            yield self._count(audio)

    async def _all(self) -> AsyncIterator[SpokenChunk]:
        yield self._first
        async for spoken in self._rest:
            yield spoken

    def _count(self, audio: AudioChunk) -> AudioChunk:
        self.seconds += len(audio.samples) / audio.sample_rate
        return audio


class Speech:
    """Speaks for all doors.

    Args:
        queue: where sentences become audio.
        voices: who can be asked for.
        language: tag of texts that name none and whose script says nothing.
        max_text: characters that a text may have.
        sentence_pause: seconds of silence between sentences.
    """

    def __init__(
        self,
        queue: JobQueue,
        voices: VoiceStore,
        *,
        language: str = "en",
        max_text: int = 5000,
        sentence_pause: float = 0.3,
    ) -> None:
        self._queue = queue
        self._voices = voices
        self._language = language
        self._max_text = max_text
        self.sentence_pause = sentence_pause

    @contextlib.asynccontextmanager
    async def say(self, request: SpeechRequest) -> AsyncIterator[Speaking]:
        """Speak; leaving the context early stops the work.

        The context opens when the first audio is there, so that every failure before it is raised
        here and a door can still answer with an error instead of half a sound.

        Raises:
            ServiceError: the request cannot be taken (its fields, the queue) or spoken.
        """
        voice = self._voices.get(request.voice)
        self._check(request, voice)
        job = Job(uuid.uuid4().hex[:12])
        if isinstance(request.text, str):
            sentences = self._cut(self._whole(request.text))
            self._queue.submit(job)
            said = [self._utterance(text, request, voice) for text in sentences]
            self._queue.add(job, *said, complete=True)
            reader = None
        else:
            self._queue.submit(job)
            reader = asyncio.create_task(self._read(job, request, voice, request.text))
        chunks = job.chunks()
        try:
            first = await anext(chunks, None)
            if first is None:
                raise TextRefused("input: there is no word in it to say", param="input")
            speaking = Speaking(job, voice, first, chunks)
            yield speaking
            self._log(job, request, speaking)
        finally:
            self._queue.cancel(job)
            if reader is not None:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    def _check(self, request: SpeechRequest, voice: Voice) -> None:
        if not SLOWEST <= request.speed <= FASTEST:
            message = f"speed: {request.speed:g} is not from {SLOWEST:g} to {FASTEST:g}"
            raise BadRequest(message, param="speed", limit=[SLOWEST, FASTEST])
        tag = (request.language or self._language).lower().replace("_", "-")
        if request.language is not None and not {tag, tag.split("-")[0]} & set(voice.languages):
            known = ", ".join(voice.languages[:12])
            more = ", ..." if len(voice.languages) > 12 else ""
            message = f"language: {voice.id} does not speak {request.language[:40]!r}, but {known}"
            raise LanguageUnavailable(message + more, param="language")

    def _whole(self, text: str) -> str:
        if len(text) > self._max_text:
            message = f"input: {len(text)} characters, the limit is {self._max_text}"
            raise TextTooLong(message, param="input", limit=self._max_text)
        text = clean(text)
        if not any(character.isalnum() for character in text):
            message = "input: there is no word in it to say" if text.strip() else "input: is empty"
            raise TextRefused(message, param="input", limit=self._max_text)
        return text

    def _cut(self, text: str) -> list[str]:
        detector = SentenceBoundaryDetector()
        sentences = [*detector.add_chunk(text), detector.finish()]
        return [sentence for sentence in sentences if _has_words(sentence)]

    def _utterance(self, text: str, request: SpeechRequest, voice: Voice) -> Utterance:
        language = request.language or language_of(text, self._language)
        return Utterance(text, voice.id, language, request.speed)

    async def _read(
        self, job: Job, request: SpeechRequest, voice: Voice, pieces: AsyncIterator[str]
    ) -> None:
        """Feed a job from a text that is still being written; its failure is the job's."""
        detector = SentenceBoundaryDetector()
        length = 0
        try:
            async for piece in pieces:
                length += len(piece)
                if length > self._max_text:
                    message = f"input: more than {self._max_text} characters"
                    raise TextTooLong(message, param="input", limit=self._max_text)
                sentences = [text for text in detector.add_chunk(clean(piece)) if _has_words(text)]
                self._queue.add(job, *[self._utterance(text, request, voice) for text in sentences])
            last = detector.finish()
            ending = [self._utterance(last, request, voice)] if _has_words(last) else []
            self._queue.add(job, *ending, complete=True)
        except Exception as error:
            job.deliver(error)
            self._queue.cancel(job)

    def _log(self, job: Job, request: SpeechRequest, speaking: Speaking) -> None:
        first = (job.first_audio or job.queued) - job.queued
        _LOGGER.info(
            "request %s by %s: voice %s, rung %s, %.2f s of audio, first after %.0f ms, all %.2f s",
            *(job.id, request.door, speaking.voice.id, speaking.rung, speaking.seconds),
            *(first * 1000, monotonic() - job.queued),
        )


def clean(text: str) -> str:
    """Drop what no voice can say and programs choke on: control characters, half surrogates."""
    kept = (
        character
        for character in text
        if (character.isprintable() or character.isspace() or character in "\u200c\u200d\ufe0f")
        and not "\ud800" <= character <= "\udfff"
    )
    return "".join(kept)


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _silence(seconds: float, like: AudioChunk) -> AudioChunk:
    samples = np.zeros(round(seconds * like.sample_rate), np.float32)
    return AudioChunk(samples, like.sample_rate, like.sentence)
