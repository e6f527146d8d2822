"""Forms with a file: streamed to a temporary file, counted while they come."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from service.errors import BadRequest, Busy, ServiceError
from service.voice import StorageFailed

MAX_UPLOAD = 32 << 20  # bytes; two minutes of stereo WAV at 48 kHz are 23 MB
MAX_FIELDS = 12
MAX_FIELD = 4096  # bytes
MAX_AT_A_TIME = 4
UPLOAD_SECONDS = 120.0
_CHUNK = 1 << 16


class UploadTooLarge(ServiceError):
    """The form has more bytes than are taken."""

    code = "upload_too_large"
    status = 413


class UploadTimeout(ServiceError):
    """The form did not arrive in time."""

    code = "upload_timeout"
    status = 408


class TooManyUploads(Busy):
    """As many uploads come in as may at a time."""

    code = "too_many_uploads"


@dataclass(frozen=True, slots=True)
class Upload:
    """A form.

    Attributes:
        file: its file, without a name on any disk; gone when the request is.
        fields: its other fields.
    """

    file: BinaryIO
    fields: dict[str, str]


class Uploads:
    """Takes forms in, a few at a time."""

    def __init__(self) -> None:
        self._coming = 0

    @contextlib.asynccontextmanager
    async def receive(self, request: web.Request) -> AsyncIterator[Upload]:
        """Read a form whose field `file` is a file.

        Raises:
            BadRequest: it is no such form.
            UploadTooLarge, UploadTimeout: it is too much, or comes too slowly.
            TooManyUploads: others are being read.
            StorageFailed: the disk is full.
        """
        if (request.content_length or 0) > MAX_UPLOAD:
            raise _too_large()
        if request.content_type != "multipart/form-data":
            raise BadRequest("body: must be multipart/form-data", param="body")
        if self._coming >= MAX_AT_A_TIME:
            raise TooManyUploads("other recordings are being sent; try again", retry_after=5)
        self._coming += 1
        try:
            with tempfile.TemporaryFile() as file:
                try:
                    async with asyncio.timeout(UPLOAD_SECONDS):
                        fields = await _read(request, file)
                except TimeoutError as error:
                    message = f"body: did not arrive within {UPLOAD_SECONDS:g} s"
                    raise UploadTimeout(message, param="body", limit=UPLOAD_SECONDS) from error
                except (ValueError, AssertionError, HttpProcessingError) as error:
                    raise BadRequest("body: is not a whole form", param="body") from error
                except ConnectionError:
                    raise
                except OSError as error:
                    raise StorageFailed(f"body: cannot be kept: {error.strerror}") from error
                yield Upload(file, fields)
        finally:
            self._coming -= 1


async def _read(request: web.Request, file: BinaryIO) -> dict[str, str]:
    reader = await request.multipart()
    fields: dict[str, str] = {}
    names: set[str] = set()
    size = 0
    while (part := await reader.next()) is not None:
        name = part.name if isinstance(part, BodyPartReader) else None
        if not isinstance(part, BodyPartReader) or not name or name in names:
            raise BadRequest("body: every field needs a name of its own", param="body")
        names.add(name)
        if len(names) > MAX_FIELDS:
            raise BadRequest("body: has too many fields", param="body", limit=MAX_FIELDS)
        text = b""
        while data := await part.read_chunk(_CHUNK):
            size += len(data)
            if size > MAX_UPLOAD:
                raise _too_large()
            if name == "file":
                await asyncio.to_thread(file.write, data)
                continue
            text += data
            if len(text) > MAX_FIELD:
                message = f"{name[:40]}: has more than {MAX_FIELD} bytes"
                raise BadRequest(message, param=name[:40], limit=MAX_FIELD)
        if name != "file":
            fields[name] = _decoded(name, text)
    if "file" not in names:
        raise BadRequest("file: is missing", param="file")
    return fields


def _decoded(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name[:40]}: is not UTF-8", param=name[:40]) from error


def _too_large() -> UploadTooLarge:
    message = f"body: has more than {MAX_UPLOAD >> 20} MiB"
    return UploadTooLarge(message, param="body", limit=MAX_UPLOAD)
