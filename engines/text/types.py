"""What the text front end hands to the synthesizer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of one language inside a sentence.

    Attributes:
        language: base language that was applied: zh, en, ja, ko or yue.
        text: normalised text of the stretch.
        phones: phone symbols of the stretch.
        word_to_phone: phones per character of `text` (zh and yue), else None.
    """

    language: str
    text: str
    phones: tuple[str, ...]
    word_to_phone: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PhonemizedText:
    """One sentence, ready for the text-to-semantic network.

    Attributes:
        text: normalised text of the whole sentence.
        language: the mode it was phonemized in.
        phone_ids: ids in the model's symbol table, all runs joined.
        runs: the stretches, in order; their phones add up to `phone_ids`.
        pause: silence in seconds that the author asked for after the sentence.
    """

    text: str
    language: str
    phone_ids: tuple[int, ...]
    runs: tuple[Run, ...]
    pause: float = 0.0
