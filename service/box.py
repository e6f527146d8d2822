"""What comes in the package itself: a small model, and a voice that belongs to nobody.

Where no weights are shipped the folder is missing, and nothing offers it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from engines.audio import load_recording
from engines.compact import RECIPE, unpack
from service.enrolment import now
from service.voice import Consent, NameTaken, VoiceFacts
from service.voices import VoiceStore

FOLDER = Path(__file__).with_name("demo")
NAME = "Demo"
_NOBODY = Consent(
    "nobody", "2026-11-24", "A synthesizer spoke this recording; it is no person's voice."
)


class Box:
    """The demo model and its voice.

    Args:
        folder: made by `training.package`.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @property
    def is_there(self) -> bool:
        """Whether a model was shipped."""
        return (self._folder / RECIPE).is_file()

    def unpack(self, target: Path) -> None:
        """Write the converted model into a new folder; errors as `engines.compact.unpack`."""
        unpack(self._folder, target)

    def enrol(self, voices: VoiceStore) -> None:
        """Keep the voice, unless one of its name is there already.

        Raises:
            TooManyVoices, StorageFailed: as `VoiceStore.enrol`.
            OSError: the recording cannot be read.
        """
        said = (self._folder / "voice.txt").read_text(encoding="utf-8").strip()
        recording = load_recording(self._folder / "voice.flac")
        with contextlib.suppress(NameTaken):
            voices.enrol(VoiceFacts(NAME, "en", said, now(), _NOBODY), recording)
