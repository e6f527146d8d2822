"""What the text front end hands to the synthesizer, and what each language module offers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class LanguageModule(Protocol):
    """The two functions that `zh.py`, `en.py`, `ja.py`, `ko.py` and `yue.py` offer.

    A module imports the packages of its extra at its top and is itself imported only when its
    language is spoken; a missing package then becomes a TextError that names the extra.
    Both functions are pure, linear in time and take any string: they never raise for its content.
    What comes after is the caller's: the leading `,` of short English, `UNK` for phones that the
    symbol table lacks, ids, and the second try with a leading `.`.
    """

    def normalize(self, text: str) -> str:
        """Return the text as words: the specification's `norm_text` of the run."""
        ...

    def g2p(self, text: str, symbols: str) -> tuple[list[str], list[int] | None]:
        """Return phones of a normalised text, and phones per character where the language has it.

        Args:
            text: what `normalize` returned.
            symbols: "v1" or "v2", the symbol table (and the rules) of the model.
        """
        ...


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
