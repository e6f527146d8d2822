"""Spoken clips on disk, so that what was said before is said at once, GPU or not."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from engines.audio import AudioChunk

_LOGGER = logging.getLogger(__name__)
_VERSION = 1  # of the layout and the key; another one finds nothing
_BLOCK_SECONDS = 2


class ClipCache:
    """Clips by key, a folder a voice, the least recently used gone first.

    Args:
        folder: where the clips are; made when missing, and whatever else is in it is left alone.
        limit: bytes that the clips may take; 0 keeps none.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        found = [(path.stat(), path) for path in folder.glob("*/*.flac")]
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            self._sizes[path] = stat.st_size
        for part in folder.glob("*/*.part"):  # what a power cut left behind
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        self._shrink()

    @property
    def bytes(self) -> int:
        """What the clips take on disk."""
        return sum(self._sizes.values())

    def path(self, voice: str, *facts: object) -> Path:
        """Where the clip of a voice is kept, given everything that changes its sound.

        Args:
            voice: id of the voice.
            facts: what JSON can hold: text, revision, language, speed and so on.
        """
        key = hashlib.sha256(json.dumps([_VERSION, voice, *facts]).encode()).hexdigest()
        return self._folder / voice / f"{key}.flac"

    def read(self, path: Path) -> Iterator[AudioChunk] | None:
        """The clip's audio in pieces of two seconds, None when there is no such clip."""
        with self._lock:
            if path not in self._sizes:
                return None
            self._sizes.move_to_end(path)
        try:
            file = soundfile.SoundFile(path)
        except (OSError, soundfile.LibsndfileError) as error:
            _LOGGER.warning("a cached clip cannot be read and is forgotten: %s", error)
            self._forget(path)
            return None
        with contextlib.suppress(OSError):
            path.touch()  # keeps the order of use over a restart
        return _chunks(file)

    def keep(self, path: Path, chunks: Sequence[AudioChunk]) -> bool:
        """Store a clip; all chunks must have one rate. A full disk is logged, not raised.

        Returns:
            Whether it lies there now.
        """
        samples = np.concatenate([chunk.samples for chunk in chunks])
        part = path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(part, np.clip(samples, -1, 1), chunks[0].sample_rate, format="FLAC")
            size = part.stat().st_size  # in its place another thread may already have let it go
            part.replace(path)
        except (OSError, soundfile.LibsndfileError) as error:
            _LOGGER.warning("a clip cannot be kept: %s", error)
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return False
        with self._lock:
            self._sizes[path] = size
            self._sizes.move_to_end(path)
        self._shrink()
        return path in self._sizes

    def delete_voice(self, voice: str) -> None:
        """Delete every clip of a voice for good.

        Raises:
            OSError: something could not be deleted.
        """
        folder = self._folder / voice
        with self._lock:
            for path in [path for path in self._sizes if path.parent == folder]:
                del self._sizes[path]
        if folder.is_dir():
            shutil.rmtree(folder)

    def _shrink(self) -> None:
        with self._lock:
            gone: list[Path] = []
            left = self.bytes
            while self._sizes and left > self._limit:
                path, size = self._sizes.popitem(last=False)
                left -= size
                gone.append(path)
        for path in gone:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._sizes.pop(path, None)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _chunks(file: soundfile.SoundFile) -> Iterator[AudioChunk]:
    rate = file.samplerate
    with file:
        for block in file.blocks(_BLOCK_SECONDS * rate, dtype="float32"):
            yield AudioChunk(block, rate, last=file.tell() == file.frames)
