"""Chimes: a sound before the speech, played while the speech is being made.

The built-in ones are struck here, partial by partial; a person's own are WAV files in the data
folder's `chimes`.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.audio import AudioChunk
from engines.plain import PEAK_LIMIT, speech_level
from service.decoding import BadRecording, decode
from service.errors import ServiceError

_LOGGER = logging.getLogger(__name__)
RATE = 48_000  # Hz of the built-in ones
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
LONGEST = 10.0  # seconds
MAX_FILE = 8 << 20  # bytes; ten seconds of stereo at 96 kHz and 32 bit
MOST_FILES = 50
GAP = 0.15  # seconds between a chime and the first word

Samples = NDArray[np.float32]
# Ratio to the stroke's pitch, level, seconds until the partial has fallen by 60 dB.
_BELL = ((1.0, 1.0, 1.4), (2.0, 0.45, 1.0), (3.01, 0.2, 0.6), (4.17, 0.12, 0.4), (5.43, 0.06, 0.25))
_BAR = ((1.0, 1.0, 0.9), (3.93, 0.25, 0.25), (9.24, 0.06, 0.1))
_GONG = (
    *((0.5, 0.5, 3.2), (1.0, 1.0, 2.8), (1.48, 0.6, 2.4), (1.93, 0.5, 2.0), (2.57, 0.35, 1.6)),
    *((3.16, 0.25, 1.2), (4.21, 0.15, 0.9)),
)
_ATTACK = 0.003  # seconds; a stroke that begins at once clicks
_FADE = 0.03  # seconds at the end


@dataclass(frozen=True, slots=True)
class _Tune:
    """Strokes on one instrument.

    Attributes:
        strokes: when in seconds, pitch in Hz, level.
        seconds: length of the whole.
    """

    partials: tuple[tuple[float, float, float], ...]
    strokes: tuple[tuple[float, float, float], ...]
    seconds: float


BUILT_IN = {
    "alert": _Tune(_BAR, ((0, 880, 1), (0.16, 1108.7, 1), (0.32, 1318.5, 1)), 0.9),
    "ding": _Tune(_BELL, ((0, 1046.5, 1),), 1.2),
    "dingdong": _Tune(_BELL, ((0, 659.3, 1), (0.55, 523.3, 0.9)), 1.8),
    "doorbell": _Tune(
        _BELL, tuple((0.055 * n, (1568.0, 1318.5)[n % 2], 0.8) for n in range(16)), 1.5
    ),
    "gong": _Tune(_GONG, ((0, 196.0, 1),), 2.6),
}


class ChimeNotFound(ServiceError):
    """No chime has that name."""

    code = "chime_not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Chime:
    """A sound of the house.

    Attributes:
        samples: float32 (n,).
        sample_rate: in Hz.
        built_in: it is one of ours, not a file.
    """

    name: str
    samples: Samples
    sample_rate: int
    built_in: bool

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.sample_rate

    def at(self, level: float) -> AudioChunk:
        """The chime as loud as speech of this level, and the gap behind it.

        Args:
            level: RMS of the speech where somebody speaks, as `engines.plain.speech_level`.
        """
        own = speech_level(self.samples, self.sample_rate)
        peak = float(np.abs(self.samples).max(initial=0.0))
        gain = min(level / own, PEAK_LIMIT / peak) if own > 0 else 0.0
        gap = np.zeros(round(GAP * self.sample_rate), np.float32)
        return AudioChunk(
            np.concatenate([self.samples * np.float32(gain), gap]), self.sample_rate, last=True
        )


class Chimes:
    """All chimes of this house; safe to use from several threads, every method blocks.

    Args:
        folder: where a person's own are, `<name>.wav`; one named like a built-in one goes before
            it. Files that are no chimes are left out and logged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[str, tuple[tuple[int, int], Chime | None]] = {}

    def all(self) -> list[Chime]:
        """Every chime, by name."""
        with self._lock:
            own = {path.stem: self._own(path) for path in self._files()}
        chimes = {name: built_in(name) for name in BUILT_IN}
        chimes |= {name: chime for name, chime in own.items() if chime is not None}
        return [chimes[name] for name in sorted(chimes)]

    def get(self, name: str) -> Chime:
        """The chime of that name.

        Raises:
            ChimeNotFound: there is none; the message names those that there are.
        """
        with self._lock:
            # Listed, then compared: what a client names is never made part of a path.
            for path in self._files():
                if path.stem == name and (chime := self._own(path)) is not None:
                    return chime
        if name in BUILT_IN:
            return built_in(name)
        known = [chime.name for chime in self.all()]
        message = f"chime: there is no chime {name[:40]!r}; known are {', '.join(known)}"
        raise ChimeNotFound(message, param="chime", limit=known)

    def revision(self) -> str:
        """A word that changes whenever a person's own chimes do."""
        digest = hashlib.sha256()
        with self._lock:
            for path in self._files():
                if self._own(path) is not None:
                    digest.update(f"{path.stem} {self._read[path.stem][0]}\n".encode())
        return digest.hexdigest()[:12]

    def _files(self) -> list[Path]:
        try:
            found = sorted(self._folder.glob("*.wav"))
        except OSError as error:
            _LOGGER.warning("chimes cannot be listed: %s", error)
            return []
        good = [path for path in found if NAME.fullmatch(path.stem) and not path.is_symlink()]
        return good[:MOST_FILES]

    def _own(self, path: Path) -> Chime | None:
        """A file as a chime; read again only when it has changed."""
        try:
            facts = path.stat()
            state = facts.st_size, facts.st_mtime_ns
            seen, chime = self._read.get(path.stem, (None, None))
            if seen != state:
                chime = _load(path, facts.st_size)
                self._read[path.stem] = state, chime
        except OSError as error:
            _LOGGER.warning("chimes/%s cannot be read: %s", path.name, error.strerror)
            return None
        return chime


def _load(path: Path, size: int) -> Chime | None:
    try:
        if not path.is_file() or size > MAX_FILE:
            raise BadRecording(f"file: must be a file of at most {MAX_FILE} bytes")
        with path.open("rb") as file:
            recording = decode(file)
        if not 0 < recording.seconds <= LONGEST:
            raise BadRecording(f"file: lasts {recording.seconds:.1f} s, at most {LONGEST:g} may be")
    except BadRecording as error:
        _LOGGER.warning("chimes/%s is left out: %s", path.name, error)
        return None
    return Chime(path.stem, recording.samples, recording.sample_rate, built_in=False)


@cache
def built_in(name: str) -> Chime:
    """One of our own; made on its first use, in some milliseconds."""
    tune = BUILT_IN[name]
    samples = np.zeros(round(tune.seconds * RATE))
    for at, pitch, level in tune.strokes:
        begin = round(at * RATE)
        samples[begin:] += level * _stroke(tune.partials, pitch, len(samples) - begin)
    samples *= np.minimum(1.0, np.arange(len(samples))[::-1] / (_FADE * RATE))
    samples /= np.abs(samples).max()
    return Chime(name, samples.astype(np.float32), RATE, built_in=True)


def _stroke(
    partials: tuple[tuple[float, float, float], ...], pitch: float, length: int
) -> NDArray[np.float64]:
    """Sines that die away, each in its own time (-60 dB after its seconds)."""
    time = np.arange(length) / RATE
    sound = np.zeros(length)
    for ratio, level, fall in partials:
        sound += level * np.sin(2 * np.pi * pitch * ratio * time) * 10 ** (-3 * time / fall)
    return np.asarray(sound * np.minimum(1.0, time / _ATTACK))
