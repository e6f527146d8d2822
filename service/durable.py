"""Files and folders that a power cut leaves in their old or their new state, never between.

What is being made has a hidden name until it is complete and on the disk; a rename, which a file
system does whole or not at all, then puts it in its place. Hidden names that are still there at the
next start are leftovers, and `recover` ends what they began.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

# A hidden folder's name tells what was going on and what it was called: .gone-1f2e3d4c-grandma
_HIDDEN = re.compile(r"\.(new|old|gone)-[0-9a-f]{8}-([a-z0-9-]+)")


def write_file(path: Path, data: bytes) -> None:
    """Write or replace a file.

    Raises:
        OSError: it could not be written; a file that was there before is untouched.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        _write(part, data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder of files, or put one in the place of the folder that is there.

    Raises:
        OSError: it could not be written; a folder that was there before is untouched.
    """
    new = _hidden(path, "new")
    try:
        new.mkdir(mode=0o700)
        for name, data in files.items():
            _write(new / name, data)
        sync_folder(new)
        if path.exists():
            _swap(path, new)
        else:
            new.rename(path)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(path.parent)


def hide_folder(path: Path) -> Path:
    """Take a folder out of the way for good; what is left to do is to `shutil.rmtree` the result.

    Raises:
        OSError: it could not be moved and is still there.
    """
    gone = _hidden(path, "gone")
    path.rename(gone)
    sync_folder(path.parent)
    return gone


def recover(folder: Path) -> Iterator[tuple[str, Path]]:
    """End what a power cut interrupted among the folders in `folder`.

    Yields:
        Name and hidden path of every folder whose deletion had begun; the caller finishes it.

    Raises:
        OSError: the folder cannot be read or written.
    """
    for path in sorted(folder.iterdir()):
        match = _HIDDEN.fullmatch(path.name)
        if match is None:
            continue
        what, name = match.groups()
        if what == "gone":
            yield name, path
        elif what == "old" and not (folder / name).exists():
            path.rename(folder / name)
        else:
            shutil.rmtree(path)
    for part in folder.glob("*/.*.part"):
        part.unlink()


def sync_folder(path: Path) -> None:
    """Make the names in a folder last over a power cut."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # network shares know no such thing
            raise
    finally:
        os.close(number)


def _swap(path: Path, new: Path) -> None:
    old = _hidden(path, "old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    # The new state stands; what cannot be cleared away now goes at the next start.
    shutil.rmtree(old, ignore_errors=True)


def _hidden(path: Path, what: str) -> Path:
    return path.with_name(f".{what}-{secrets.token_hex(4)}-{path.name}")


def _write(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.fsync(number)
    finally:
        os.close(number)
