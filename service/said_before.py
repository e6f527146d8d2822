"""What was said before is said again from its clip, and what is said now is kept as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import astuple
from pathlib import Path

from engines.audio import AudioChunk
from engines.text import SPEAKABLE
from service.cache import ClipCache
from service.installed_model import Choice
from service.speech_request import SpeechRequest
from service.utterance import SpokenChunk, Utterance
from service.voice import Voice
from service.voices import VoiceStore

CACHED = "cache"  # the rung of what was spoken before


class SaidBefore:
    """Finds and keeps the clips of requests; used on the event loop.

    Args:
        cache: where they are.
        voices: tells whether a voice is still what it was.
    """

    def __init__(self, cache: ClipCache, voices: VoiceStore) -> None:
        self._cache = cache
        self._voices = voices
        self._keeping: dict[Path, asyncio.Task[bool]] = {}

    def clip(
        self,
        said: list[Utterance],
        request: SpeechRequest,
        voice: Voice,
        choice: Choice,
        pause: float,
    ) -> Path:
        """Where a request's speech is kept, without what is heard before it: that is put on anew.

        Args:
            said: its sentences.
            request, voice, choice: how they are said, in which voice, by which model.
            pause: seconds between them.
        """
        sentences = [[each.text, each.language, each.speed] for each in said]
        # The plain voice draws nothing.
        drawn = None if voice.facts is None else [*astuple(request.sampling), request.style]
        # Not the revision: with shares dealt by request, one voice sounds in several models.
        sound = [voice.revision, choice.named]
        if choice.model is not None and not choice.remote:
            sound = [voice.source, choice.model.sound]
        read = [] if request.normalize == SPEAKABLE else [request.normalize]
        return self._cache.path(voice.id, sound, pause, drawn, sentences, *read)

    async def find(self, clip: Path) -> AsyncIterator[SpokenChunk] | None:
        """What was kept, None where nothing was; waits for what is being kept just now."""
        if clip in self._keeping:
            await asyncio.wait({self._keeping[clip]})
        found = await asyncio.to_thread(self._cache.read, clip)
        return None if found is None else _chunks(found)

    def keep(self, clip: Path, heard: list[AudioChunk], voice: Voice) -> asyncio.Task[bool]:
        """Write a clip in the background: whoever asked has the whole answer and may be gone."""

        def write() -> bool:
            kept = self._cache.keep(clip, heard)
            if self._voices.is_current(voice):
                return kept
            self._cache.delete_voice(voice.id)  # it was deleted or changed meanwhile
            return False

        task = asyncio.create_task(asyncio.to_thread(write))
        self._keeping[clip] = task
        task.add_done_callback(lambda done: self._keeping.pop(clip, None))
        return task


async def _chunks(found: Iterator[AudioChunk]) -> AsyncIterator[SpokenChunk]:
    while (audio := await asyncio.to_thread(next, found, None)) is not None:
        yield SpokenChunk(audio, CACHED)
