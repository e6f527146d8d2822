"""The one use case: text in, audio out, in a voice of this house. Every door leads here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np

from engines.audio import AudioChunk
from engines.plain import SPEECH_LEVEL, language_of, speech_level
from service.account import Account
from service.cache import ClipCache
from service.chimes import RATE as CHIME_RATE
from service.chimes import Chimes
from service.errors import BadRequest, LanguageUnavailable, ServiceError, SynthesisFailed
from service.installed_model import Choice
from service.job import Job
from service.jobs import JobQueue
from service.logs import Trace, current, hide, new_trace, traced
from service.metrics import LastAnswer, Metrics
from service.recent import Recent
from service.said_before import SaidBefore
from service.sentences import SentenceCutter, cut, nothing_to_say
from service.speaking import Speaking, silence
from service.speech_request import FASTEST, SLOWEST, SpeechRequest
from service.utterance import SpokenChunk, Utterance
from service.voice import StyleNotFound, Voice
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
_LEVEL_SECONDS = 10.0  # of an answer that tell how loud its voice is


class ChooseModel(Protocol):
    """Says who speaks a request: of which voice, naming which model, under which id."""

    def __call__(
        self, voice: Voice, asked: str | None, request_id: str, *, relayed: bool
    ) -> Choice:
        """See `ModelChoice.choose`."""


class Speech:
    """Speaks for all doors.

    Args:
        queue: where sentences become audio.
        voices: who can be asked for.
        cache: what was spoken before.
        metrics: where to count.
        chimes: what may be played before the speech.
        language: tag of texts that name none and whose script says nothing.
        max_text: characters that a text may have.
        sentence_pause: seconds of silence between sentences.
        recent: remembers what was said.
        choose: who speaks a request.
    """

    def __init__(
        self,
        queue: JobQueue,
        voices: VoiceStore,
        cache: ClipCache,
        metrics: Metrics,
        chimes: Chimes,
        recent: Recent,
        *,
        language: str = "en",
        max_text: int = 5000,
        sentence_pause: float = 0.3,
        choose: ChooseModel = lambda voice, asked, request_id, *, relayed: Choice(),
    ) -> None:
        self._queue = queue
        self._voices = voices
        self._before = SaidBefore(cache, voices)
        self._metrics = metrics
        self._chimes = chimes
        self._recent = recent
        self._levels: dict[str, float] = {}  # RMS of a voice's speech, as it was heard last
        self._language = language
        self._max_text = max_text
        self._pause = sentence_pause
        self._choose = choose

    def revision(self) -> str:
        """A word that changes with the house's pause and chimes, which sound in every voice."""
        return f"{self._pause:g}-{self._chimes.revision()}"

    @contextlib.asynccontextmanager
    async def say(self, request: SpeechRequest) -> AsyncIterator[Speaking]:
        """Speak; leaving the context early stops the work.

        The context opens when the first audio is there, so that every failure before it is raised
        here and a door can still answer with an error instead of half a sound. With a chime or a
        lead-in that is when the request's turn has come, so that it plays while the speech is made.

        Raises:
            ServiceError: the request cannot be taken (its fields, the queue) or spoken.
        """
        door = current()
        with traced(Trace(door.id) if door is not None else new_trace()):
            account = Account(request.door)
            try:
                async with self._answer(request, account) as speaking:
                    account.speaking = speaking
                    yield speaking
                if speaking.complete:
                    account.outcome = "done"
                self._measure(request, speaking)
            except ServiceError as error:
                account.outcome = error.code
                raise
            finally:
                account.close(self._metrics, self._recent)

    @contextlib.asynccontextmanager
    async def _answer(self, request: SpeechRequest, account: Account) -> AsyncIterator[Speaking]:
        voice = self._voices.get(request.voice)
        account.voice = voice.id
        self._check(request, voice)
        opening = await self._opening(request, voice)
        trace = current() or new_trace()
        job = Job(
            trace.id,
            priority=request.priority,
            client=f"{request.door} {request.client}",
            expires=request.expires,
        )
        # Chosen once: whatever is promoted meanwhile, this request keeps its model to the end.
        choice = self._choose(voice, request.model, job.id, relayed=request.relayed)
        clip: Path | None = None
        said: list[Utterance] = []
        if isinstance(request.text, str):
            hide(request.text)
            sentences = cut(request.text, self._max_text)
            said = [self._utterance(text, request, voice, choice) for text in sentences]
            clip = self._before.clip(said, request, voice, choice, self._pause_of(request))
            chunks = None if request.fresh else await self._before.find(clip)
            if not request.fresh:
                self._metrics.looked_up(found=chunks is not None)
            if chunks is not None:
                first = await anext(chunks)
                yield Speaking(job.id, job.queued, voice, chunks, first, 0.0, opening)
                return
        async with self._spoken(job, request, voice, said, choice, opening) as speaking:
            yield speaking
        # The card and the CPU give a model the same voice.
        by_model = choice.model is not None and not choice.remote
        by_whom = speaking.models == {choice.id} if by_model else speaking.rungs == {voice.rung}
        as_asked = speaking.complete and by_whom
        if clip is not None and as_asked and self._voices.is_current(voice):
            speaking.keeping = self._before.keep(clip, speaking.speech, voice)

    @contextlib.asynccontextmanager
    async def _spoken(
        self,
        job: Job,
        request: SpeechRequest,
        voice: Voice,
        said: list[Utterance],
        choice: Choice,
        opening: list[AudioChunk],
    ) -> AsyncIterator[Speaking]:
        """Speak through the queue; `said` is empty where the text is still being written."""
        self._queue.submit(job)
        reader = None
        try:
            if isinstance(request.text, str):
                self._queue.add(job, *said, complete=True)
            else:
                reader = asyncio.create_task(self._read(job, request, voice, choice, request.text))
            chunks = job.chunks()
            first: SpokenChunk | None = None
            if opening:
                await job.begun.wait()
            if not opening or job.has_news:
                first = await anext(chunks, None)
                if first is None:
                    raise nothing_to_say()
            pause = self._pause_of(request)
            yield Speaking(job.id, job.queued, voice, chunks, first, pause, opening)
        finally:
            self._queue.cancel(job)
            if job.started is not None:
                self._metrics.waited(job.priority.name.lower(), job.started - job.queued)
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
        if request.style is not None and request.style not in voice.styles:
            raise StyleNotFound(request.style, voice)

    async def _opening(self, request: SpeechRequest, voice: Voice) -> list[AudioChunk]:
        """What is heard before the speech; the chime is as loud as the voice."""
        chime = None
        if request.chime is not None:
            found = await asyncio.to_thread(self._chimes.get, request.chime)
            chime = found.at(self._levels.get(voice.id, SPEECH_LEVEL))
        rate = CHIME_RATE if chime is None else chime.sample_rate
        quiet = [silence(request.lead_in, rate)] if request.lead_in else []
        return [*quiet, *([] if chime is None else [chime])]

    def _pause_of(self, request: SpeechRequest) -> float:
        return self._pause if request.pause is None else request.pause

    def _utterance(
        self, text: str, request: SpeechRequest, voice: Voice, choice: Choice
    ) -> Utterance:
        hide(text)
        language = request.language or language_of(text, self._language)
        return Utterance(
            text,
            voice.id,
            language,
            request.speed,
            request.fallback,
            request.sampling,
            request.style,
            request.relayed,
            choice.id,
            request.normalize,
            choice.named,
        )

    async def _read(
        self,
        job: Job,
        request: SpeechRequest,
        voice: Voice,
        choice: Choice,
        pieces: AsyncIterator[str],
    ) -> None:
        """Feed a job from a text that is still being written; its failure is the job's."""
        cutter = SentenceCutter(self._max_text)

        def made(texts: Iterable[str]) -> list[Utterance]:
            return [self._utterance(text, request, voice, choice) for text in texts]

        try:
            async for piece in pieces:
                self._queue.add(job, *made(cutter.add(piece)))
            ending = made(cutter.finish())
            self._queue.add(job, *ending, complete=True)
        except ServiceError as error:
            job.deliver(error)
            self._queue.cancel(job)
        except Exception:
            _LOGGER.exception("the text could not be read")
            job.deliver(SynthesisFailed("the text could not be read; the log says why"))
            self._queue.cancel(job)

    def _measure(self, request: SpeechRequest, speaking: Speaking) -> None:
        rung, first = speaking.rung, speaking.first_sound
        took = monotonic() - speaking.begun
        self._metrics.rungs.labels(speaking.voice.id, rung).inc()
        self._metrics.audio_seconds.labels(rung).inc(speaking.speech_seconds)
        self._metrics.last = LastAnswer(rung, first, speaking.seconds)
        if speaking.complete and speaking.speech:
            self._levels[speaking.voice.id] = _level(speaking.speech)
        if first is not None:
            self._metrics.first_audio.labels(rung).observe(first)
        if speaking.model is not None:
            self._metrics.models.spoke(speaking.model, first, took, speaking.speech_seconds)
        if speaking.complete and speaking.speech_seconds and isinstance(request.text, str):
            self._metrics.real_time_factor.labels(rung).observe(took / speaking.speech_seconds)


def _level(speech: list[AudioChunk]) -> float:
    """How loud an answer was, by its first seconds."""
    opening: list[np.ndarray] = []
    seconds = 0.0
    for chunk in speech:
        opening.append(chunk.samples)
        seconds += len(chunk.samples) / chunk.sample_rate
        if seconds > _LEVEL_SECONDS:
            break
    return speech_level(np.concatenate(opening), speech[0].sample_rate)
