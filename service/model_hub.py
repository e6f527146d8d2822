"""Downloads files from the Hugging Face Hub, or what speaks its protocol; runs in `model_child`.

The library finds the files and fetches them; here is what it leaves to its callers: parts that a
later process resumes, and a look at every file's hash. Only the configured hub is asked, and only
where it sends us (its content network) something else is fetched.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engines.errors import EngineError

TRIES = 5  # of one file, counted anew whenever bytes have come
ASKED = 3  # times that the hub is asked for a file when it does not answer
PAUSE = 1.0  # seconds before the next try, doubled each time
TELL_EVERY = 0.25  # seconds between two lines of progress
MOST_BYTES = 8 << 30  # of all files together
_SHA256 = 64  # digits
_BLOCK = 1 << 20
_CHUNK = 1 << 16
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class HubError(EngineError):
    """The hub does not answer, or has not what is wanted."""

    code = "hub_failed"


class WrongChecksum(HubError):
    """What came is not what the hub says that it sends."""

    code = "wrong_checksum"


class DiskFull(HubError):
    """There is not enough room."""

    code = "storage_failed"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub describes it: its name in the repository, where, how much, which hash."""

    name: str
    url: str
    size: int
    etag: str
    headers: dict[str, str]


def main(arguments: list[str]) -> int:
    """Download files into a folder; returns 0.

    Raises:
        HubError: a file could not be had (named); what has come is kept for the next try.
    """
    parser = argparse.ArgumentParser(prog="download")
    parser.add_argument("--repository", required=True)
    parser.add_argument("--endpoint", default="", help="empty: HF_ENDPOINT, or the library's own")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("files", nargs="+")
    wanted = parser.parse_args(arguments)
    files = describe(wanted.repository, wanted.files, wanted.endpoint or None)
    fetch(files, wanted.to, _Teller())
    return 0


def describe(repository: str, names: list[str], endpoint: str | None) -> list[RemoteFile]:
    """Ask the hub for files; all of one commit.

    Raises:
        HubError: the hub cannot be reached, or has no such file.
    """
    library = importlib.import_module("huggingface_hub")
    utils = importlib.import_module("huggingface_hub.utils")
    found: list[RemoteFile] = []
    revision = None
    for name in names:
        url = library.hf_hub_url(repository, name, revision=revision, endpoint=endpoint)
        headers = utils.build_hf_headers()
        told = _ask(partial(library.get_hf_file_metadata, url, endpoint=endpoint), name, url)
        revision = revision or told.commit_hash
        if told.size is None or not told.etag:
            raise HubError(f"{name}: the hub does not tell its size and hash")
        if urlsplit(told.location).netloc != urlsplit(url).netloc:
            headers.pop("authorization", None)  # the content network has no use for our token
        found.append(RemoteFile(name, told.location, told.size, told.etag, headers))
    return found


def _ask(ask: Callable[[], Any], name: str, url: str) -> Any:
    for tried in range(1, ASKED + 1):
        try:
            return ask()
        except Exception as error:
            host = urlsplit(url).netloc
            if getattr(error, "response", None) is not None:
                raise HubError(f"{name}: {host} says: {_reason(error)}") from error
            if tried == ASKED:
                raise HubError(f"{host} does not answer: {_reason(error)}") from error
            time.sleep(PAUSE * tried)
    return None


def fetch(files: list[RemoteFile], folder: Path, tell: Callable[[int, int, str], None]) -> None:
    """Download files, those that are there already excepted.

    Args:
        files: as `describe` found them.
        folder: where they go, under their names.
        tell: told bytes done, bytes in all, and the file at hand.

    Raises:
        HubError: a file could not be had (named).
    """
    total = sum(file.size for file in files)
    if total > MOST_BYTES:
        raise HubError(f"the files have {total} bytes, at most {MOST_BYTES} are taken")
    folder.mkdir(parents=True, exist_ok=True)
    parts = {file.name: _part(folder, file) for file in files}
    lacking = total - sum(_size(folder / file.name) or _size(parts[file.name]) for file in files)
    if lacking > shutil.disk_usage(folder).free:
        message = f"{folder}: {lacking >> 20} MiB are to come, there is not so much room"
        raise DiskFull(message)
    done = 0
    for file in files:
        target, before = folder / file.name, done

        def progress(size: int, file: RemoteFile = file, before: int = before) -> None:
            tell(before + size, total, file.name)

        progress(0)
        if not _right(target, file):
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(file, parts[file.name], progress)
            parts[file.name].replace(target)
        done += file.size
        tell(done, total, file.name)


def _fetch(file: RemoteFile, part: Path, progress: Callable[[int], None]) -> None:
    http_get = importlib.import_module("huggingface_hub.file_download").http_get
    # What came of a chunk is lost when the connection breaks, and the library's have 10 MB.
    constants: Any = importlib.import_module("huggingface_hub.constants")
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    if _size(part) > file.size:
        part.unlink()
    tries = 0
    while (begun := _size(part)) < file.size or not part.exists():
        try:
            with part.open("ab") as stream:
                http_get(
                    file.url,
                    stream,
                    resume_size=begun,
                    headers=dict(file.headers),
                    expected_size=file.size,
                    tqdm_class=_bar(begun, progress),
                )
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise DiskFull(f"{file.name}: {error.strerror}") from error
            tries = 1 if _size(part) > begun else tries + 1
            if tries >= TRIES:
                raise HubError(f"{file.name}: {_reason(error)}") from error
            time.sleep(PAUSE * 2 ** (tries - 1))
    if not _right(part, file):
        part.unlink()
        raise WrongChecksum(f"{file.name}: what came is not what the hub announced")


def _right(path: Path, file: RemoteFile) -> bool:
    if _size(path) != file.size or not path.exists():
        return False
    large = len(file.etag) == _SHA256
    # Small files are described by git's own hash, which covers a header before the content.
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % file.size)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == file.etag


def _part(folder: Path, file: RemoteFile) -> Path:
    """Where a file grows; another content grows elsewhere."""
    return folder / f"{hashlib.sha256(f'{file.name} {file.etag}'.encode()).hexdigest()[:24]}.part"


def _bar(begun: int, progress: Callable[[int], None]) -> type:
    """What the library shows its progress with, made to tell it."""
    base: Any = importlib.import_module("huggingface_hub.utils").tqdm

    class Bar(base):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})
            self._size = int(options.get("initial") or begun)

        def update(self, n: float | None = 1) -> None:
            self._size += int(n or 0)
            progress(self._size)

    return Bar


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


class _Teller:
    """Writes progress for the parent, not more often than somebody looks."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY or done == total:
            self._told = now
            sys.stdout.write(json.dumps({"done": done, "total": total, "what": what}) + "\n")
            sys.stdout.flush()
