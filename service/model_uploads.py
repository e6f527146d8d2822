"""A model's files in a form: streamed to their places on disk, counted while they come.

They lie in the job's folder, which nobody but the converting process ever opens, and that one reads
tensors only (`engines.torch_file`).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from service.errors import BadRequest
from service.model_files import MOST_BYTES, UPLOADS, Place
from service.model_job import InstallJob
from service.uploads import UploadTimeout, UploadTooLarge
from service.voice import StorageFailed

IDLE_SECONDS = 60.0  # that may pass without a byte
MAX_FIELD = 1024  # bytes
FIELDS = ("name", "precision")
_CHUNK = 1 << 20


async def receive(request: web.Request, job: InstallJob) -> dict[str, str]:
    """Read a form into a job's folder; returns its fields that are no files.

    Raises:
        BadRequest: it is no such form, or a field is unknown or twice there (named).
        UploadTooLarge: a file, or all of it, is too large (named).
        UploadTimeout: it stopped coming.
        StorageFailed: the disk is full (the file is named).
    """
    total = request.content_length or 0
    if total > MOST_BYTES:
        raise _too_large("body", MOST_BYTES)
    if request.content_type != "multipart/form-data":
        raise BadRequest("body: must be multipart/form-data", param="body")
    job.state = "receiving"
    try:
        return await _Form(job, total).read(request)
    except TimeoutError as error:
        message = f"body: no byte came for {IDLE_SECONDS:g} s"
        raise UploadTimeout(message, param="body", limit=IDLE_SECONDS) from error
    except (ValueError, AssertionError, HttpProcessingError) as error:
        raise BadRequest("body: is not a whole form", param="body") from error


class _Form:
    """A form that is coming in."""

    def __init__(self, job: InstallJob, total: int) -> None:
        self._job = job
        self._total = total
        self._came = 0

    async def read(self, request: web.Request) -> dict[str, str]:
        reader = await request.multipart()
        fields: dict[str, str] = {}
        names: set[str] = set()
        while (part := await asyncio.wait_for(reader.next(), IDLE_SECONDS)) is not None:
            name = part.name if isinstance(part, BodyPartReader) else None
            if not isinstance(part, BodyPartReader) or not name or name in names:
                raise BadRequest("body: every field needs a name of its own", param="body")
            names.add(name)
            if name in UPLOADS:
                await self._file(part, name, UPLOADS[name])
            elif name in FIELDS:
                fields[name] = await self._text(part, name)
            else:
                known = ", ".join([*FIELDS, *UPLOADS])
                message = f"{name[:40]}: is unknown; known are {known}"
                raise BadRequest(message, param=name[:40])
        for name in ("t2s", "sovits"):
            if name not in names:
                raise BadRequest(f"{name}: is missing", param=name)
        return fields

    async def _file(self, part: BodyPartReader, name: str, place: Place) -> None:
        path = self._job.work / place.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                size = 0
                while data := await self._chunk(part):
                    size += len(data)
                    if size > place.limit:
                        raise _too_large(name, place.limit)
                    await asyncio.to_thread(file.write, data)
                    self._tell(name)
                await asyncio.to_thread(_sync, file)
        except ConnectionError:
            raise
        except OSError as error:
            message = f"{name}: {Path(place.path).name} cannot be kept: {error.strerror}"
            raise StorageFailed(message, param=name) from error
        if not size:
            raise BadRequest(f"{name}: is empty", param=name)

    async def _text(self, part: BodyPartReader, name: str) -> str:
        text = b""
        while data := await self._chunk(part):
            text += data
            if len(text) > MAX_FIELD:
                message = f"{name}: has more than {MAX_FIELD} bytes"
                raise BadRequest(message, param=name, limit=MAX_FIELD)
        return text.decode()

    async def _chunk(self, part: BodyPartReader) -> bytes:
        data = await asyncio.wait_for(part.read_chunk(_CHUNK), IDLE_SECONDS)
        self._came += len(data)
        return bytes(data)

    def _tell(self, name: str) -> None:
        share = 100 * self._came / self._total if self._total else 0.0
        self._job.at("receive", min(share, 100.0), f"{name}: {self._came >> 20} MiB have come")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _too_large(name: str, limit: int) -> UploadTooLarge:
    message = f"{name}: has more than {limit >> 20} MiB"
    return UploadTooLarge(message, param=name, limit=limit)
