"""The plain voice: no cloning, no model to install, always there; the ladder's last rung.

English is spoken by hibari (the voice lies inside its wheel), other languages by the `espeak-ng`
program where it is installed, as a process of its own.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from engines.audio import AudioChunk
from engines.errors import BackendUnavailableError, DeviceError, TextError
from engines.text import SPEAKABLE
from engines.text.marks import at_pauses, audible
from engines.text.speakable import speakable

Samples = NDArray[np.float32]

# hibari's memory grows with the square of what it is given at once: 400 words took it to 1.1 GB.
LONGEST_PIECE = 250
SPEECH_LEVEL = 10 ** (-20 / 20)  # RMS of the voiced parts, full scale = 1
PEAK_LIMIT = 10 ** (-1 / 20)
MAX_GAIN = 10 ** (18 / 20)
ESPEAK_WORDS_PER_MINUTE = 165
ESPEAK_TIMEOUT = 30.0  # seconds a piece; it speaks 250 characters in well under one
HIBARI_RATE = 24_000
# Tags of languages whose home text can be written out, and what the text front end calls them.
_FRONT_END = {
    **{tag: tag for tag in ("en", "zh", "yue", "ja", "ko")},
    **{"cmn": "zh", "zh-cmn": "zh", "zh-yue": "yue"},
}
SEED = 0  # the same sentence always sounds the same, so it can be cached

_BREAKS = (
    re.compile(r"(?<=[.!?…。！？])\s*"),
    re.compile(r"(?<=[,;:、，；：])\s*"),
    re.compile(r"\s+"),
)

_SCRIPTS = {
    tag: re.compile(f"[{characters}]")
    for tag, characters in {
        "ja": "\u3040-\u30ff",
        "ko": "\uac00-\ud7af\u1100-\u11ff",
        "zh": "\u3400-\u4dbf\u4e00-\u9fff",
        "ru": "\u0400-\u04ff",
        "el": "\u0370-\u03ff",
        "ar": "\u0600-\u06ff",
        "he": "\u0590-\u05ff",
        "hi": "\u0900-\u097f",
    }.items()
}


class PlainVoice:
    """Speaks with what is in the box.

    Args:
        espeak: path of the espeak-ng program; found on PATH when None, "" to do without it.

    Raises:
        BackendUnavailableError: hibari cannot be loaded.
    """

    def __init__(self, espeak: str | None = None) -> None:
        try:
            from hibari import Hibari
        except ImportError as error:
            raise BackendUnavailableError(f"hibari-tts cannot be loaded: {error}") from error
        self._hibari: Any = Hibari()
        self._espeak = (shutil.which("espeak-ng") or "") if espeak is None else espeak

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags that can be spoken here, English first."""
        others = _espeak_languages(self._espeak) if self._espeak else ()
        return ("en", *(tag for tag in others if tag.split("-")[0] != "en"))

    def speak(
        self, text: str, language: str, speed: float = 1.0, normalize: str = SPEAKABLE
    ) -> Iterator[AudioChunk]:
        """Speak one sentence, a chunk for each piece of at most 250 characters.

        Args:
            text: what to say; home text ("21.5 °C") is written out in the languages of the text
                front end, pause marks are kept.
            language: one of `languages`, or a regional form of one ("en-GB").
            speed: 1 is the voice's own tempo, 2 twice as fast.
            normalize: "exact" leaves home text to what the program of the voice makes of it.

        Raises:
            TextError: the language is not available, or nothing in the text can be said.
            DeviceError: the espeak-ng program failed.
        """
        tag = self._tag(language)
        pieces: list[str | float] = []
        for words, pause in at_pauses(audible(text)):
            pieces += split_pieces(_written_out(words, tag) if normalize == SPEAKABLE else words)
            pieces += [pause] if pause else []
        if not pieces:
            raise TextError("text: there is no word in it to say")
        for number, piece in enumerate(pieces, start=1):
            samples, rate = self._sound(piece, tag, speed)
            yield AudioChunk(samples, rate, last=number == len(pieces))

    def _sound(self, piece: str | float, tag: str, speed: float) -> tuple[Samples, int]:
        """Samples and rate of some words, or of a pause in seconds."""
        if isinstance(piece, float):
            return np.zeros(round(piece * HIBARI_RATE), np.float32), HIBARI_RATE
        if tag == "en":
            samples = np.asarray(self._hibari(piece, speed=speed, seed=SEED), np.float32)
            rate = HIBARI_RATE
        else:
            samples, rate = _run_espeak(self._espeak, piece, tag, speed)
        if not samples.size:
            raise TextError(f"text: nothing in {piece[:40]!r} can be said in {tag!r}")
        return normalise_loudness(samples, rate), rate

    def _tag(self, language: str) -> str:
        available = self.languages
        wanted = language.lower().replace("_", "-")
        general = wanted.split("-")[0]
        for tag in ("en",) if general == "en" else (wanted, general):
            if tag in available:
                return tag
        hint = "" if self._espeak else "; install the espeak-ng program to add about 100 languages"
        raise TextError(f"language: {language!r} cannot be spoken by the plain voice{hint}")


def language_of(text: str, otherwise: str) -> str:
    """Guess a language from the script that most letters are written in.

    Kana beside Chinese characters make it Japanese; a script without a row gives `otherwise`.
    """
    counts = {tag: len(pattern.findall(text)) for tag, pattern in _SCRIPTS.items()}
    if counts["ja"]:
        counts["ja"] += counts["zh"]
    tag = max(counts, key=lambda name: counts[name])
    letters = sum(character.isalpha() for character in text)
    return tag if counts[tag] * 2 > letters else otherwise


def split_pieces(text: str, longest: int = LONGEST_PIECE) -> list[str]:
    """Cut a text at sentence ends, then commas, then spaces, then anywhere, into short pieces.

    Pieces without a letter or digit are left out, so there may be none.
    """
    text = " ".join(text.split())
    pieces = _cut(text, longest, _BREAKS)
    return [piece for piece in pieces if any(character.isalnum() for character in piece)]


def normalise_loudness(samples: Samples, sample_rate: int) -> Samples:
    """Bring speech to -20 dB RMS, measured where somebody speaks, with peaks below -1 dB."""
    level = speech_level(samples, sample_rate)
    if level <= 0.0:
        return samples
    peak = float(np.abs(samples).max())
    gain = min(SPEECH_LEVEL / level, PEAK_LIMIT / peak, MAX_GAIN)
    return (samples * gain).astype(np.float32)


def speech_level(samples: Samples, sample_rate: int) -> float:
    """RMS of the parts where somebody speaks; 0 for silence.

    Frames of 20 ms that are 30 dB or more under the loudest count as silence.
    """
    frame = sample_rate // 50
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    power = np.mean(np.square(padded, dtype=np.float64), axis=1)
    loudest = power.max(initial=0.0)
    return float(np.sqrt(power[power > loudest * 1e-3].mean())) if loudest > 0.0 else 0.0


def _cut(text: str, longest: int, breaks: tuple[re.Pattern[str], ...]) -> list[str]:
    if len(text) <= longest:
        return [text]
    if not breaks:
        return [text[i : i + longest] for i in range(0, len(text), longest)]
    pieces: list[str] = []
    for part in filter(None, breaks[0].split(text)):
        if pieces and len(pieces[-1]) + 1 + len(part) <= longest:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces.extend(_cut(part, longest, breaks[1:]))
    return pieces


def _written_out(text: str, tag: str) -> str:
    base = _FRONT_END.get(tag)
    return text if base is None else speakable(text, base)


@lru_cache(maxsize=4)
def _espeak_languages(program: str) -> tuple[str, ...]:
    """Tags that this espeak-ng lists, with the general form of each ("zh" beside "cmn")."""
    try:
        listing = subprocess.run(
            [program, "--voices"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendUnavailableError(f"{program} does not answer: {error}") from error
    tags = dict.fromkeys(line.split()[1].lower() for line in listing.splitlines()[1:] if line)
    aliases = re.findall(r"\(([a-z-]+) \d+\)", listing)
    return tuple(dict.fromkeys([*tags, *aliases]))


def _run_espeak(program: str, text: str, tag: str, speed: float) -> tuple[Samples, int]:
    words_per_minute = round(ESPEAK_WORDS_PER_MINUTE * speed)
    command = [program, "-v", tag, "-s", str(words_per_minute), "-b", "1", "--stdin", "--stdout"]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=ESPEAK_TIMEOUT, check=True
        )
        samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    except (OSError, subprocess.SubprocessError, soundfile.LibsndfileError) as error:
        raise DeviceError(f"espeak-ng failed in {tag!r}: {error}") from error
    return samples, rate
