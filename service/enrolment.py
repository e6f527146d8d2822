"""How a person's voice comes into the house: a recording, its text, and the person's consent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO

from service.decoding import decode
from service.errors import Busy
from service.recording_checks import RecordingRefused, Verdict, judge
from service.voice import Consent, Style, Voice, VoiceFacts, VoiceFixed
from service.voices import VoiceStore

STATEMENT = (
    "I am the person in this recording, or that person has agreed: "
    "this house may make a synthetic voice of it and speak with it."
)
ATTEMPTS, WINDOW = 20, 300.0  # recordings that a client may send in so many seconds


class TooManyRecordings(Busy):
    """A client sends recordings faster than a person makes them."""

    code = "too_many_recordings"
    status = 429


class RateLimit:
    """So many attempts in so many seconds, for every client.

    Args:
        attempts: how many.
        window: seconds.
    """

    def __init__(self, attempts: int = ATTEMPTS, window: float = WINDOW) -> None:
        self._attempts = attempts
        self._window = window
        self._seen: dict[str, deque[float]] = {}

    def count(self, client: str) -> None:
        """Count an attempt.

        Raises:
            TooManyRecordings: there were too many already; this one is not counted.
        """
        now = time.monotonic()
        for key, times in list(self._seen.items()):
            while times and now - times[0] >= self._window:
                times.popleft()
            if not times:
                del self._seen[key]
        seen = self._seen.setdefault(client, deque())
        if len(seen) >= self._attempts:
            wait = int(self._window - (now - seen[0])) + 1
            message = f"more than {self._attempts} recordings in {self._window / 60:g} minutes"
            raise TooManyRecordings(message, retry_after=wait, limit=self._attempts)
        seen.append(now)


@dataclass(frozen=True, slots=True)
class Words:
    """What belongs to a recording.

    Attributes:
        transcript: what is said in the stretch that is used.
        language: its language, one of the text front end's.
        consent_of: who agreed.
    """

    transcript: str
    language: str
    consent_of: str


class Enrolment:
    """Makes voices of recordings.

    Args:
        voices: where they are kept.
    """

    def __init__(self, voices: VoiceStore) -> None:
        self._voices = voices
        # One at a time, as decoding may take a gigabyte, and also when clients have left meanwhile.
        self._reader = ThreadPoolExecutor(1, "recordings")

    async def check(
        self, file: BinaryIO, transcript: str | None = None, language: str = "en"
    ) -> Verdict:
        """Judge a recording.

        Raises:
            BadRecording: it cannot be read.
        """

        def read() -> Verdict:
            return judge(decode(file), transcript, language)

        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    async def enrol(
        self, file: BinaryIO, name: str, words: Words, model: str | None = None
    ) -> tuple[Voice, Verdict]:
        """Make a voice; `model` is the id of the one that shall speak it, None for any.

        Raises:
            BadRecording: the recording cannot be read.
            RecordingRefused: it can, but is no good as a voice.
            NameTaken, TooManyVoices, StorageFailed: as `VoiceStore.enrol`.
        """
        verdict = await self._accepted(file, words)
        facts = VoiceFacts(
            name=name,
            language=words.language,
            transcript=words.transcript,
            created=now(),
            consent=consent_of(words.consent_of),
            model=model,
        )
        voice = await asyncio.to_thread(self._voices.enrol, facts, verdict.recording)
        return voice, verdict

    async def rerecord(self, voice_id: str, file: BinaryIO, words: Words) -> tuple[Voice, Verdict]:
        """Give a voice another recording; its name and id stay.

        Raises:
            BadRecording, RecordingRefused: as `enrol`.
            VoiceNotFound, VoiceFixed, StorageFailed: as `VoiceStore.rerecord`.
        """
        verdict = await self._accepted(file, words)
        before = self._voices.find(voice_id)
        if before.facts is None:
            raise VoiceFixed(f"voice: {voice_id} has no recording", param="voice")
        facts = replace(
            before.facts,
            language=words.language,
            transcript=words.transcript,
            consent=consent_of(words.consent_of),
        )
        voice = await asyncio.to_thread(self._voices.rerecord, voice_id, facts, verdict.recording)
        return voice, verdict

    async def add_style(
        self, voice_id: str, file: BinaryIO, name: str, words: Words
    ) -> tuple[Voice, Verdict]:
        """Give a voice a further reference.

        Raises:
            BadRecording, RecordingRefused: as `enrol`.
            NameTaken, TooManyStyles, VoiceNotFound, VoiceFixed, StorageFailed: as
                `VoiceStore.add_style`.
        """
        verdict = await self._accepted(file, words)
        style = Style(
            name=name,
            language=words.language,
            transcript=words.transcript,
            created=now(),
            consent=consent_of(words.consent_of),
        )
        voice = await asyncio.to_thread(self._voices.add_style, voice_id, style, verdict.recording)
        return voice, verdict

    async def _accepted(self, file: BinaryIO, words: Words) -> Verdict:
        verdict = await self.check(file, words.transcript, words.language)
        if not verdict.accepted:
            raise RecordingRefused(verdict)
        return verdict


def consent_of(who: str) -> Consent:
    """A consent that is given now."""
    return Consent(who, now(), STATEMENT)


def now() -> str:
    """Date and time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
