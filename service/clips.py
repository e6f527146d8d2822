"""Finished announcements under an address, for players and messages that want a file.

A clip's name cannot be guessed, so its address needs no token: media players cannot send one. It
stays for some minutes and can be fetched again and again, since many players ask twice.

What is heard is written as it comes. An MP3 or an Opus file is made beside it, its last piece when
the address is given out: whoever fetches it waits for that; who only wants its address does not.
Where it cannot be encoded, fetching it tries once more from what was heard, and says what failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic

import soundfile

from engines.audio import AudioChunk
from service.clip_files import MASTER, Take, cannot_write, encode_master
from service.errors import ServiceError
from service.formats import FORMATS

_ANSWER_FIRST = 0.02  # seconds before a clip that nobody fetches yet is encoded to its end
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
        # One thread each, so that what belongs to one clip is done in its order.
        self._writing = ThreadPoolExecutor(1, "clips")
        self._encoding = ThreadPoolExecutor(1, "encoder")
        self._unfinished: dict[str, Take] = {}

    async def record(
        self, chunks: AsyncIterator[AudioChunk], name: str, sample_rate: int, voice: str
    ) -> str:
        """Write a clip while it is spoken and give its file name.

        Args:
            chunks: the whole announcement, of any rates.
            name: a key of `FORMATS`.
            sample_rate: in Hz; a format with a rate of its own ignores it.
            voice: id of the voice that speaks, so that its clips can be found.

        Raises:
            StorageFailed: it cannot be written (the disk is full or read-only).
            ServiceError: what `chunks` raises.
        """
        folder = self._folder / voice
        path = folder / f"{secrets.token_urlsafe(16)}.{name}"
        loop = asyncio.get_running_loop()
        take = Take(path, sample_rate, self._encoding)
        try:
            await loop.run_in_executor(self._writing, self._prepare, folder)
            self._made[path.name] = math.inf  # until it is whole
            async for chunk in chunks:
                await loop.run_in_executor(self._writing, take.add, chunk)
            encodes = await loop.run_in_executor(self._writing, take.finish)
            self._made[path.name] = monotonic()
        except BaseException as error:
            self._writing.submit(take.discard)
            self._made.pop(path.name, None)
            if isinstance(error, OSError | soundfile.LibsndfileError):
                raise cannot_write(error) from error
            raise
        if encodes:
            self._unfinished[path.name] = take
            loop.call_later(_ANSWER_FIRST, self._complete, path.name, take)
        return path.name

    def path(self, file: str) -> Path:
        """Where a clip is; blocks until all of it is there.

        Raises:
            ClipNotFound: there is none of that name, or its time is over.
            ServiceError: it cannot be encoded.
        """
        if not _NAME.fullmatch(file):
            raise ClipNotFound("there is no such clip", param="clip")
        if (unfinished := self._unfinished.get(file)) is not None:
            wait([self._complete(file, unfinished)])
        for found in (*self._folder.glob(f"*/{file}"), *self._folder.glob(f"*/{file}{MASTER}")):
            if not self._is_over(found):
                return found if found.name == file else encode_master(found)
        raise ClipNotFound("there is no such clip, or its time is over", param="clip")

    def delete_voice(self, voice: str) -> None:
        """Delete what a voice has said.

        Raises:
            OSError: something could not be deleted.
        """
        if (self._folder / voice).is_dir():
            shutil.rmtree(self._folder / voice)

    def _complete(self, file: str, take: Take) -> Future[None]:
        encoded = take.complete()
        encoded.add_done_callback(lambda done: self._unfinished.pop(file, None))
        return encoded

    def _prepare(self, folder: Path) -> None:
        """Make room, by what nobody will ask for any more."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*/*"):
            if self._is_over(path):
                with contextlib.suppress(OSError):
                    path.unlink()
        now = monotonic()
        over = [name for name, made in list(self._made.items()) if now - made >= self._lifetime]
        for name in over:
            self._made.pop(name, None)

    def _is_over(self, path: Path) -> bool:
        clip = _NAME.match(path.name)  # its master and what is being written begin like it
        made = self._made.get(clip[0] if clip else path.name, self._started)
        return monotonic() - made >= self._lifetime
