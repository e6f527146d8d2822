"""`python -m service import-voices FOLDER`: takes over voices from wyoming-piper's layout.

There a voice is a folder `<language>/<voice>/` with `ref.wav` and its text in `ref.txt`. Nobody
has said whose voices they are, so they are listed and wait until the person's consent is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.text.segment import LANGUAGES
from service.decoding import decode
from service.enrolment import now
from service.errors import ServiceError
from service.recording_checks import judge
from service.uploads import MAX_UPLOAD
from service.voice import VoiceFacts
from service.voice_folder import LONGEST_NAME, LONGEST_TRANSCRIPT
from service.voices import VoiceStore

SOUND, TEXT = "ref.wav", "ref.txt"


class NotImported(Exception):
    """A folder could not become a voice; the message says why."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one folder.

    Attributes:
        folder: the folder.
        voice: id of the voice, None where it was left out.
        reason: why it was left out, or what could be better.
    """

    folder: Path
    voice: str | None
    reason: str


def import_voices(folder: Path, voices: VoiceStore) -> Iterator[Imported]:
    """Import every `<language>/<voice>/` in a folder; blocks.

    Yields:
        What became of each, as it is done.
    """
    for sound in sorted(folder.glob(f"*/*/{SOUND}")):
        try:
            voice, advice = _import(sound.parent, voices)
            yield Imported(sound.parent, voice, advice)
        except (NotImported, ServiceError) as error:
            yield Imported(sound.parent, None, str(error))
        except OSError as error:
            yield Imported(sound.parent, None, f"cannot be read: {error.strerror}")


def _import(folder: Path, voices: VoiceStore) -> tuple[str, str]:
    language = folder.parent.name.lower().replace("_", "-").split("-")[0]
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise NotImported(f"the language {folder.parent.name!r} is not one of {known}")
    transcript = _transcript(folder / TEXT)
    if (folder / SOUND).stat().st_size > MAX_UPLOAD:
        raise NotImported(f"{SOUND} has more than {MAX_UPLOAD >> 20} MiB")
    with (folder / SOUND).open("rb") as file:
        verdict = judge(decode(file), transcript, language)
    if not verdict.accepted:
        raise NotImported(verdict.findings[0].message)
    if any(finding.code == "trimmed" for finding in verdict.findings):
        # The text is that of the whole recording; a part of it would speak in wrong words.
        raise NotImported(f"{SOUND} is too long: cut it to 10 s, and {TEXT} to what is left")
    facts = VoiceFacts(
        name=" ".join(folder.name.replace("_", " ").split())[:LONGEST_NAME],
        language=language,
        transcript=transcript,
        created=now(),
    )
    advice = " ".join(finding.message for finding in verdict.findings)
    return voices.enrol(facts, verdict.recording).id, advice


def _transcript(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(4 * LONGEST_TRANSCRIPT + 1)
    try:
        text = " ".join(data.decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise NotImported(f"{TEXT} is not UTF-8") from error
    if not 1 <= len(text) <= LONGEST_TRANSCRIPT or not text.isprintable():
        raise NotImported(f"{TEXT} must have 1 to {LONGEST_TRANSCRIPT} printable characters")
    return text
