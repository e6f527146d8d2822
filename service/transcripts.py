"""What is said in a recording, as a Wyoming speech-to-text server hears it: a suggestion only."""

from __future__ import annotations

import asyncio
import logging

import soxr
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient

from engines.audio import Recording, to_pcm16
from service.voice_folder import LONGEST_TRANSCRIPT

_LOGGER = logging.getLogger(__name__)
SECONDS = 20.0  # that a person may be kept waiting for a suggestion
RATE = 16_000  # Hz; what such servers expect
_PIECE = 1 << 14  # bytes


class Transcripts:
    """Asks a speech-to-text server.

    Args:
        url: where it is, `tcp://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def suggest(self, recording: Recording, language: str) -> str | None:
        """What is said, None where nothing was understood or the server is of no help.

        Args:
            recording: a few seconds of speech.
            language: its language, a tag such as `en`.
        """
        sound = await asyncio.to_thread(_as_sent, recording)
        try:
            async with asyncio.timeout(SECONDS):
                text = await self._ask(sound, language)
        except Exception as error:  # whatever it answers, the person can still write it down
            reason = str(error) or type(error).__name__
            _LOGGER.warning("%s suggests no transcript: %s", self._url, reason)
            return None
        return " ".join(text.split())[:LONGEST_TRANSCRIPT] or None

    async def _ask(self, sound: bytes, language: str) -> str:
        async with AsyncClient.from_uri(self._url) as client:
            await client.write_event(Transcribe(language=language).event())
            await client.write_event(AudioStart(RATE, 2, 1).event())
            for at in range(0, len(sound), _PIECE):
                piece = AudioChunk(RATE, 2, 1, sound[at : at + _PIECE])
                await client.write_event(piece.event())
            await client.write_event(AudioStop().event())
            while (event := await client.read_event()) is not None:
                if Transcript.is_type(event.type):
                    return str(Transcript.from_event(event).text)
        raise ConnectionError("it hung up")


def _as_sent(recording: Recording) -> bytes:
    samples = soxr.resample(recording.samples, recording.sample_rate, RATE)
    return to_pcm16(samples).astype("<i2").tobytes()
