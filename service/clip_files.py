"""A clip's files while it is spoken: the sound as it comes, and its encoded form beside it."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engines.audio import AudioChunk
from service.formats import FORMATS, Format, OneRate
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
MASTER = ".wav"  # follows the name of a clip whose encoded file is not there yet
_MASTER_FORMAT = Format("audio/wav", "WAV", "PCM_16")
_BLOCK = 1 << 16  # samples that are encoded at a time


class Take:
    """One clip on its way to the disk.

    Its methods block and are called on one thread; encoding has one of its own. The last piece of a
    sentence, which may be the last of all, waits there for the next or for `complete`, so that
    it takes no time from who only wants to say that the clip is there.

    Args:
        path: where it shall be; its suffix is a key of `FORMATS`.
        sample_rate: in Hz; a format with a rate of its own ignores it.
        encoding: the encoders' thread.
    """

    def __init__(self, path: Path, sample_rate: int, encoding: ThreadPoolExecutor) -> None:
        self._path = path
        self._row = FORMATS[path.suffix[1:]]
        self._rate = OneRate(self._row.rate or sample_rate)
        self._encoding = encoding
        self._plain: _SoundFile | None = None
        self._encoded: _SoundFile | None = None
        self._held: list[NDArray[np.float32]] = []  # not given to the encoder yet
        self._end: Future[None] | None = None
        self._ending = threading.Lock()
        self._failure: Exception | None = None

    def add(self, chunk: AudioChunk) -> None:
        """Write what was spoken.

        Raises:
            OSError: the disk does not take it; so do the others.
        """
        self._let_go()
        self._write(self._rate.take(chunk))
        if not chunk.last:
            self._let_go()

    def finish(self) -> bool:
        """Complete the sound; says whether there is an encoded form to `complete`."""
        self._write(self._rate.finish())
        assert self._plain is not None
        self._plain.finish()
        return self._row.container is not None

    def complete(self) -> Future[None]:
        """Encode what is left, once, and give the end of that; returns at once, on any thread."""
        with self._ending:
            if self._end is None:
                self._end = self._encoding.submit(self._end_encoding)
            return self._end

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._plain is not None:
            self._plain.discard()
        self._encoding.submit(self._drop_encoded)

    def _write(self, samples: NDArray[np.float32]) -> None:
        rate = self._rate.sample_rate
        if self._plain is None:
            row, path = self._row, self._path
            if self._row.container:
                row, path = _MASTER_FORMAT, _master(self._path)
            self._plain = _SoundFile(path, row, rate)
        self._plain.add(samples)
        if self._row.container:
            self._held.append(samples)

    def _let_go(self) -> None:
        for samples in self._held:
            self._encoding.submit(self._encode, samples)
        self._held = []

    def _encode(self, samples: NDArray[np.float32]) -> None:
        if self._failure is not None:
            return
        try:
            if self._encoded is None:
                self._encoded = _SoundFile(self._path, self._row, self._rate.sample_rate)
            self._encoded.add(samples)
        except (OSError, soundfile.LibsndfileError) as error:
            self._failure = error

    def _end_encoding(self) -> None:
        for samples in self._held:
            self._encode(samples)
        try:
            if self._failure is not None:
                raise self._failure
            assert self._encoded is not None
            self._encoded.finish()
            _master(self._path).unlink(missing_ok=True)
        except (OSError, soundfile.LibsndfileError) as error:
            _LOGGER.error("clip %s is encoded when it is asked for: %s", self._path.name, error)
            self._drop_encoded()

    def _drop_encoded(self) -> None:
        if self._encoded is not None:
            self._encoded.discard()


def encode_master(master: Path) -> Path:
    """Encode a clip that was written and whose encoding the end of the service interrupted.

    Raises:
        StorageFailed: it cannot be written.
    """
    path = master.with_name(master.name.removesuffix(MASTER))
    try:
        with soundfile.SoundFile(master) as source:
            encoded = _SoundFile(path, FORMATS[path.suffix[1:]], source.samplerate)
            try:
                for samples in source.blocks(_BLOCK, dtype="float32"):
                    encoded.add(samples)
                encoded.finish()
            except BaseException:
                encoded.discard()
                raise
        master.unlink(missing_ok=True)
    except (OSError, soundfile.LibsndfileError) as error:
        if path.exists():  # somebody else asked for it, too
            return path
        raise cannot_write(error) from error
    return path


def cannot_write(error: Exception) -> StorageFailed:
    """What to say of an error; the library's own words hold the whole path and no reason."""
    reason = getattr(error, "strerror", None) or "the disk is full or read-only"
    return StorageFailed(f"the clip cannot be written: {reason}")


class _SoundFile:
    """A sound file that has its name only when it is whole."""

    def __init__(self, path: Path, row: Format, rate: int) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        container, subtype = row.container or ("WAV" if row.header else "RAW"), row.subtype
        self._file = soundfile.SoundFile(
            self._part, "w", rate, 1, format=container, subtype=subtype or "PCM_16"
        )

    def add(self, samples: NDArray[np.float32]) -> None:
        self._file.write(np.clip(samples, -1.0, 1.0))

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self._path)

    def discard(self) -> None:
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


def _master(path: Path) -> Path:
    return path.with_name(path.name + MASTER)
