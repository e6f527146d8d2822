"""The folder of all voices on disk: every change is whole, and one process's at a time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.durable import hide_folder, recover, write_file, write_folder
from service.voice import StorageFailed, VoiceFacts
from service.voice_folder import (
    FACTS,
    REFERENCE,
    BrokenVoice,
    VoiceFolder,
    facts_file,
    prompt_name,
    read_folder,
    style_file,
)

_LOGGER = logging.getLogger(__name__)
_LONGEST_ID = 40


class VoiceDisk:
    """Folders of voices; what is not a voice among them is left alone.

    Args:
        folder: where they are; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._skipped: dict[str, str] = {}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold off other processes that work on the same folder.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / ".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def leftovers(self) -> Iterator[tuple[str, Path]]:
        """End what a power cut interrupted; ids and hidden folders of deletions that had begun.

        Raises:
            OSError: the folder cannot be read or written.
        """
        return recover(self._folder)

    def ids(self) -> list[str]:
        """Names of all that may be a voice.

        Raises:
            OSError: the folder cannot be read.
        """
        return sorted(p.name for p in self._folder.iterdir() if not p.name.startswith("."))

    def load(self, voice_id: str) -> VoiceFolder | None:
        """What a voice's folder holds; None, and a line in the log, where it is no whole voice."""
        try:
            folder = self.read(voice_id)
        except BrokenVoice as error:
            if self._skipped.get(voice_id) != str(error):
                _LOGGER.warning("voices/%s is left out: %s", voice_id[:80], error)
                self._skipped[voice_id] = str(error)
            return None
        self._skipped.pop(voice_id, None)
        return folder

    def read(self, voice_id: str) -> VoiceFolder:
        """What a voice's folder holds.

        Raises:
            BrokenVoice: it is no whole voice.
        """
        return read_folder(self._folder / voice_id)

    def write(
        self, voice_id: str, now: VoiceFolder, prompts: Mapping[str, bytes] | None = None
    ) -> None:
        """Put a voice in the place of what was there; prompts that are not given are gone.

        Raises:
            OSError: it could not be written; what was there before still is.
        """
        # The whole folder changes at once: prompts of what the voice was never stay beside it.
        styles = {style_file(name): data for name, data in now.styles.items()}
        files = {FACTS: facts_file(now.facts), REFERENCE: now.reference, **styles}
        write_folder(self._folder / voice_id, {**files, **(prompts or {})})

    def write_facts(self, voice_id: str, facts: VoiceFacts) -> None:
        """Give a voice other facts, such that it sounds as before.

        Raises:
            OSError: they could not be written; those of before still are.
        """
        write_file(self._folder / voice_id / FACTS, facts_file(facts))

    def hide(self, voice_id: str) -> Path:
        """Take a voice out of the way for good; what is left to do is to delete the result.

        Raises:
            OSError: it is still there.
        """
        return hide_folder(self._folder / voice_id)

    def recording(self, voice_id: str, style: str | None) -> bytes:
        """A voice's reference, or that of one of its styles, as a WAV file.

        Raises:
            StorageFailed: it cannot be read.
        """
        file = REFERENCE if style is None else style_file(style)
        try:
            return (self._folder / voice_id / file).read_bytes()
        except OSError as error:
            raise StorageFailed(f"the voice cannot be read: {error.strerror}") from error

    def prompt(self, voice_id: str, model: str, style: str | None) -> Path:
        """Where the prompt is, or would be, that a model makes of a voice or its style."""
        return self._folder / voice_id / prompt_name(model, style)

    def prompts(self, voice_id: str, besides: str | None = None) -> dict[str, bytes]:
        """All prompts of a voice by file name, but those whose names begin with `besides`.

        Raises:
            OSError: one cannot be read.
        """
        found = (self._folder / voice_id).glob("*prompt-*.npz")
        return {
            path.name: path.read_bytes()
            for path in found
            if besides is None or not path.name.startswith(besides)
        }

    def free_id(self, name: str, reserved: set[str]) -> str:
        """An id for a voice of that name, nobody else's and safe as a folder's name."""
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_ID].strip("-") or "voice"
        candidate, number = slug, 1
        while candidate in reserved or (self._folder / candidate).exists():
            number += 1
            candidate = f"{slug}-{number}"
        return candidate
