"""Finished announcements under an address, for players and messages that want a file.

A clip's name cannot be guessed, so its address needs no token: media players cannot send one. It
stays for some minutes and can be fetched again and again, since many players ask twice.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import numpy as np
import soundfile
import soxr

from engines.audio import AudioChunk
from service.errors import ServiceError
from service.formats import FORMATS
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_-]{22}\.(?:" + "|".join(FORMATS) + ")")


class ClipNotFound(ServiceError):
    """There is no such clip, or no longer."""

    code = "clip_not_found"
    status = 404


class ClipShelf:
    """Clips on disk, each for a limited time.

    Args:
        folder: where they are kept; made when missing.
        lifetime: seconds that a clip stays; one of before the service started stays as long from
            then on, so that nothing depends on what the clock on the wall says.
    """

    def __init__(self, folder: Path, lifetime: float = 600.0) -> None:
        self._folder = folder
        self._lifetime = lifetime
        self._started = monotonic()
        self._made: dict[str, float] = {}

    def put(self, chunks: Sequence[AudioChunk], name: str, sample_rate: int, voice: str) -> str:
        """Write a clip and give its file name; blocks.

        Args:
            chunks: the whole announcement, of any rates.
            name: a key of `FORMATS`.
            sample_rate: in Hz; a format with a rate of its own ignores it.
            voice: id of the voice that speaks, so that its clips can be found.

        Raises:
            StorageFailed: it cannot be written (the disk is full or read-only).
        """
        row = FORMATS[name]
        rate = row.rate or sample_rate
        samples = np.concatenate(
            [soxr.resample(each.samples, each.sample_rate, rate) for each in chunks]
        )
        file = f"{secrets.token_urlsafe(16)}.{name}"
        folder = self._folder / voice
        part = folder / f"{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            container, subtype = row.container or ("WAV" if row.header else "RAW"), row.subtype
            soundfile.write(
                part, np.clip(samples, -1, 1), rate, format=container, subtype=subtype or "PCM_16"
            )
            part.replace(folder / file)
            self._made[file] = monotonic()
        except (OSError, soundfile.LibsndfileError) as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            # The library's own words hold the whole path and no reason.
            reason = getattr(error, "strerror", None) or "the disk is full or read-only"
            raise StorageFailed(f"the clip cannot be written: {reason}") from error
        return file

    def path(self, file: str) -> Path:
        """Where a clip is.

        Raises:
            ClipNotFound: there is none of that name, or its time is over.
        """
        for path in self._folder.glob(f"*/{file}") if _NAME.fullmatch(file) else ():
            if not self._is_over(path):
                return path
        raise ClipNotFound("there is no such clip, or its time is over", param="clip")

    def delete_voice(self, voice: str) -> None:
        """Delete what a voice has said.

        Raises:
            OSError: something could not be deleted.
        """
        if (self._folder / voice).is_dir():
            shutil.rmtree(self._folder / voice)

    def sweep(self) -> None:
        """Delete the clips whose time is over."""
        for path in self._folder.glob("*/*"):
            if self._is_over(path):
                with contextlib.suppress(OSError):
                    path.unlink()
        now = monotonic()
        for file in [
            name for name, made in list(self._made.items()) if now - made >= self._lifetime
        ]:
            self._made.pop(file, None)

    def _is_over(self, path: Path) -> bool:
        return monotonic() - self._made.get(path.name, self._started) >= self._lifetime
