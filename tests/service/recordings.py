"""Recordings to make voices of, spoken by the plain voice."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
import soundfile

from engines.audio import Recording
from engines.plain import PlainVoice

SAID = "The washing machine is done, and dinner is ready in five minutes."
SENTENCES = (
    "The washing machine is done.",
    "Dinner is ready, come down to the kitchen please.",
    "Somebody is at the door, I think it is the postman.",
    "It will rain in the afternoon so take your umbrella with you.",
    "Good night everybody, sleep well and dream of something nice.",
)


@cache
def spoken(text: str = SAID) -> Recording:
    """A sentence, about 4 s."""
    chunks = list(PlainVoice().speak(text, "en", 1.0))
    return Recording(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate)


@cache
def story(pause: float = 0.6) -> Recording:
    """Five sentences, about 18 s, with pauses between them."""
    rate = spoken(SENTENCES[0]).sample_rate
    silence = np.zeros(round(pause * rate), np.float32)
    parts = [part for text in SENTENCES for part in (spoken(text).samples, silence)]
    return Recording(np.concatenate(parts), rate)


def noisy(recording: Recording, decibels: float) -> Recording:
    """The recording with white noise of that level (dB of full scale) behind it."""
    noise = np.random.default_rng(0).normal(0, 10 ** (decibels / 20), len(recording.samples))
    return Recording((recording.samples + noise).astype(np.float32), recording.sample_rate)


def silence(seconds: float, rate: int = 24_000) -> Recording:
    return Recording(np.zeros(round(seconds * rate), np.float32), rate)


def as_file(
    samples: npt.ArrayLike, rate: int = 24_000, container: str = "WAV", subtype: str | None = None
) -> bytes:
    """An audio file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples), rate, format=container, subtype=subtype)
    return buffer.getvalue()


def wav(recording: Recording) -> bytes:
    return as_file(recording.samples, recording.sample_rate)
