"""The voices of this house: the plain one, and those of people, each a folder on disk."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from engines.audio import Recording
from service.durable import write_file
from service.errors import VoiceNotFound
from service.voice import (
    ConsentMissing,
    NameTaken,
    StorageFailed,
    Style,
    StyleNotFound,
    TooManyStyles,
    TooManyVoices,
    Voice,
    VoiceFacts,
    VoiceFixed,
    folded,
)
from service.voice_disk import VoiceDisk
from service.voice_folder import (
    MAX_STYLES,
    BrokenVoice,
    VoiceFolder,
    reference_file,
    revision_of,
    seconds_of,
    style_key,
)

_LOGGER = logging.getLogger(__name__)
PLAIN = "plain"
MAX_VOICES = 500
_RESERVED = {PLAIN, "check", "default", "import"}  # routes and words that are no voice's id


class VoiceStore:
    """All voices of this house; safe to use from several threads, writing blocks.

    Args:
        folder: where the voices are; made when missing. What is not a voice in it is left alone.
        plain_languages: tags that the plain voice speaks.
        plain_version: changes whenever the plain voice would sound different.
        plain_rung: the rung that speaks it.
        forget: deletes what else is kept of a voice's speech, given its id.
        cloned: who speaks a person's voice, given its id and facts: the rung, None where there is
            none yet, and a text that changes whenever it would make the voice sound different.
    """

    def __init__(
        self,
        folder: Path,
        plain_languages: tuple[str, ...],
        plain_version: str,
        plain_rung: str,
        forget: Callable[[str], None],
        cloned: Callable[[str, VoiceFacts], tuple[str | None, str]] = lambda voice, facts: (
            None,
            "",
        ),
    ) -> None:
        self._speaker = cloned
        revision = hashlib.sha256(plain_version.encode()).hexdigest()[:12]
        self._plain = Voice(PLAIN, "Plain voice", plain_languages, revision, plain_rung)
        self._disk = VoiceDisk(folder)
        self._forget = forget
        self._lock = threading.RLock()
        self._voices: dict[str, Voice] = {}
        try:
            with self._writing():
                for voice_id, gone in self._disk.leftovers():
                    self._end_deletion(voice_id, gone)
        except StorageFailed as error:
            _LOGGER.error("voices cannot be written: %s", error)
        self.refresh()

    @property
    def default(self) -> Voice:
        """The voice of requests that name none."""
        return self._plain

    def all(self) -> list[Voice]:
        """Every voice, the default one first, also those that may not be spoken yet."""
        voices = sorted(self._voices.values(), key=lambda each: each.name.casefold())
        return [self._plain, *map(self._spoken, voices)]

    def usable(self) -> list[Voice]:
        """The voices that may be spoken, the default one first."""
        return [voice for voice in self.all() if voice.usable]

    def get(self, voice_id: str | None) -> Voice:
        """The voice to speak with, the default one for None.

        Raises:
            VoiceNotFound: there is none; the message names those that there are.
            ConsentMissing: nobody has confirmed that the person agreed.
        """
        voice = self.find(voice_id)
        if not voice.usable:
            message = f"voice: {voice.id} waits for somebody to confirm the person's consent"
            raise ConsentMissing(message, param="voice")
        return voice

    def find(self, voice_id: str | None) -> Voice:
        """The voice with this id, may it be spoken or not; the default one for None.

        Raises:
            VoiceNotFound: there is none; the message names those that there are.
        """
        if voice_id is None or voice_id == PLAIN:
            return self._plain
        try:
            return self._spoken(self._voices[voice_id])
        except KeyError:
            known = ", ".join([PLAIN, *list(self._voices)[:20]])
            message = f"voice: there is no voice {voice_id[:80]!r}; known are {known}"
            raise VoiceNotFound(message, param="voice") from None

    def is_current(self, voice: Voice) -> bool:
        """Whether the voice still is what it was when the caller got it, whoever speaks it."""
        now = self._plain if voice.id == PLAIN else self._voices.get(voice.id)
        return now is not None and now.source == voice.source

    def refresh(self, *, again: bool = False) -> None:
        """See what another process (`import-voices`) put into the folder, or a person took out.

        Args:
            again: read also the voices that are known.
        """
        with self._lock:
            try:
                found = self._disk.ids()
            except OSError as error:
                _LOGGER.error("voices cannot be read: %s", error)
                return
            known = {} if again else self._voices
            voices = {name: known.get(name) or self._load(name) for name in found}
            self._voices = {name: voice for name, voice in voices.items() if voice is not None}

    def enrol(self, facts: VoiceFacts, recording: Recording) -> Voice:
        """Keep a new voice under an id of its own.

        Raises:
            NameTaken: another voice has that name.
            TooManyVoices: one must be deleted first.
            StorageFailed: it could not be written.
        """
        with self._writing():
            self._check_name(facts.name)
            if len(self._voices) >= MAX_VOICES:
                message = f"voice: there are {MAX_VOICES} voices; delete one first"
                raise TooManyVoices(message, limit=MAX_VOICES)
            made = VoiceFolder(facts, reference_file(recording), {})
            voice = self._keep(self._disk.free_id(facts.name, _RESERVED), made)
            _LOGGER.info("voice %s: enrolled", voice.id)
            return voice

    def change(self, voice_id: str, facts: VoiceFacts) -> Voice:
        """Give a voice other facts; its reference stays.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            NameTaken: another voice has that name.
            StorageFailed: it could not be written; the voice is as it was.
        """
        with self._writing():
            voice, before = self._opened(voice_id)
            self._check_name(facts.name, besides=voice_id)
            now = replace(before, facts=replace(facts, styles=before.facts.styles))
            facts = now.facts
            if revision_of(now) != voice.source:
                self._keep(voice_id, now)
            else:
                self._disk.write_facts(voice_id, facts)
                self._voices[voice_id] = replace(voice, name=facts.name, facts=facts)
            _LOGGER.info("voice %s: its facts are changed", voice_id)
            return self._spoken(self._voices[voice_id])

    def rerecord(self, voice_id: str, facts: VoiceFacts, recording: Recording) -> Voice:
        """Give a voice another reference, and the facts that belong to it.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            StorageFailed: it could not be written; the voice is as it was.
        """
        with self._writing():
            _, before = self._opened(voice_id)
            facts = replace(facts, styles=before.facts.styles)
            now = replace(before, facts=facts, reference=reference_file(recording))
            changed = self._keep(voice_id, now)
            _LOGGER.info("voice %s: recorded anew", voice_id)
            return changed

    def add_style(self, voice_id: str, style: Style, recording: Recording) -> Voice:
        """Give a voice a further reference.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            NameTaken: the voice has a style of that name.
            TooManyStyles: one must be deleted first.
            StorageFailed: it could not be written; the voice is as it was.
        """
        with self._writing():
            voice, before = self._opened(voice_id)
            if style.name in voice.styles:
                message = f"name: {voice.id} has a style called {style.name!r}"
                raise NameTaken(message, param="name")
            if len(voice.styles) >= MAX_STYLES:
                message = f"style: {voice.id} has {MAX_STYLES} styles; delete one first"
                raise TooManyStyles(message, limit=MAX_STYLES)
            styles = tuple(
                sorted((*before.facts.styles, style), key=lambda each: each.name.casefold())
            )
            recordings = {**before.styles, style.name: reference_file(recording)}
            now = replace(before, facts=replace(before.facts, styles=styles), styles=recordings)
            return self._keep(voice_id, now, self._disk.prompts(voice_id))

    def delete_style(self, voice_id: str, name: str) -> Voice:
        """Delete a further reference for good: recording, prompts, and what the voice has said.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            StyleNotFound: it has no such style.
            StorageFailed: it could not be written; the voice is as it was.
        """
        with self._writing():
            voice, before = self._opened(voice_id)
            if name not in voice.styles:
                raise StyleNotFound(name, voice)
            styles = tuple(style for style in before.facts.styles if style.name != name)
            recordings = {key: data for key, data in before.styles.items() if key != name}
            now = replace(before, facts=replace(before.facts, styles=styles), styles=recordings)
            # Before, so that a power cut leaves nothing of it; and what was said meanwhile.
            self._forget(voice_id)
            others = self._disk.prompts(voice_id, besides=style_key(name))
            changed = self._keep(voice_id, now, others)
            self._forget(voice_id)
            return changed

    def delete(self, voice_id: str) -> None:
        """Delete a voice for good: recording, prompts, clips, cache.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            StorageFailed: something could not be deleted; if the voice is gone from the list, the
                next start deletes the rest.
        """
        with self._writing():
            self._cloned(voice_id)
            gone = self._disk.hide(voice_id)
            del self._voices[voice_id]
            self._end_deletion(voice_id, gone)
            _LOGGER.info("voice %s: deleted, with all that it has said", voice_id)

    def reference(self, voice_id: str, style: str | None = None) -> bytes:
        """A voice's reference, or that of one of its styles, as a WAV file.

        Raises:
            VoiceNotFound, VoiceFixed: there is no such voice, or it is the plain one.
            StyleNotFound: it has no such style.
            StorageFailed: it cannot be read.
        """
        with self._lock:
            voice = self._cloned(voice_id)
            if style is not None and style not in voice.styles:
                raise StyleNotFound(style, voice)
            return self._disk.recording(voice_id, style)

    def prompt(self, voice: Voice, model: str, style: str | None = None) -> Path | None:
        """Where the prompt is that a model made of a voice as it is now; None where there is none.

        Args:
            voice: a voice of this store.
            model: identity of the model.
            style: which of its further references; None for its main one.
        """
        path = self._disk.prompt(voice.id, model, style)
        return path if self.is_current(voice) and path.is_file() else None

    def keep_prompt(
        self, voice: Voice, model: str, prompt: bytes, style: str | None = None
    ) -> bool:
        """Keep what a model made of a voice; False if the voice has changed or gone meanwhile.

        Raises:
            StorageFailed: it could not be written.
        """
        with self._writing():
            if voice.facts is None or not self.is_current(voice):
                return False
            write_file(self._disk.prompt(voice.id, model, style), prompt)
            return True

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold off other threads, and other processes that work on the same folder."""
        with self._lock:
            try:
                with self._disk.held():
                    yield
            except OSError as error:
                # What is listed is what is on the disk, however far the writing came.
                self.refresh(again=True)
                reason = error.strerror or str(error)
                raise StorageFailed(f"the voice cannot be written: {reason}") from error

    def _keep(
        self, voice_id: str, now: VoiceFolder, prompts: Mapping[str, bytes] | None = None
    ) -> Voice:
        self._disk.write(voice_id, now, prompts)
        self._voices[voice_id] = self._voice(voice_id, now)
        return self._spoken(self._voices[voice_id])

    def _load(self, name: str) -> Voice | None:
        folder = self._disk.load(name)
        return None if folder is None else self._voice(name, folder)

    def _voice(self, voice_id: str, folder: VoiceFolder) -> Voice:
        facts, source = folder.facts, revision_of(folder)
        return Voice(
            id=voice_id,
            name=facts.name,
            languages=tuple(dict.fromkeys((facts.language, *self._plain.languages))),
            revision=source,
            rung=None,
            facts=facts,
            seconds=seconds_of(folder.reference),
            source=source,
        )

    def _spoken(self, voice: Voice) -> Voice:
        """The voice as it sounds now: which model speaks it may change at any time."""
        assert voice.facts is not None
        rung, version = self._speaker(voice.id, voice.facts)
        revision = hashlib.sha256((voice.source + version).encode()).hexdigest()[:12]
        return replace(voice, rung=rung, revision=revision)

    def _cloned(self, voice_id: str) -> Voice:
        voice = self.find(voice_id)
        if voice.facts is None:
            message = f"voice: {voice_id} is part of the service and stays as it is"
            raise VoiceFixed(message, param="voice")
        return voice

    def _opened(self, voice_id: str) -> tuple[Voice, VoiceFolder]:
        """A person's voice and what its folder holds now."""
        voice = self._cloned(voice_id)
        try:
            return voice, self._disk.read(voice_id)
        except BrokenVoice as error:
            self.refresh(again=True)
            raise StorageFailed(f"the voice cannot be read: {error}") from error

    def _end_deletion(self, voice_id: str, gone: Path) -> None:
        self._forget(voice_id)
        shutil.rmtree(gone)

    def _check_name(self, name: str, besides: str | None = None) -> None:
        for voice in self.all():
            if voice.id != besides and folded(voice.name) == folded(name):
                raise NameTaken(f"name: there is a voice called {voice.name!r}", param="name")
