"""Phones of our English front end ↔ the characters that the synthesizers read, one to few.

hibari and Kokoro share one alphabet (misaki's). They are fed with *our* phones, so the length that
they report for every character is the length of one of our phones, with nothing to align.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.text.symbols import V2, symbol_ids


def _table(ours: str, theirs: str) -> dict[str, str]:
    return dict(zip(ours.split(), theirs.split(), strict=True))


_CONSONANTS = _table(
    "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH",
    "b ʧ d ð f ɡ h ʤ k l m n ŋ p ɹ s ʃ t θ v w j z ʒ",
)
_VOWELS = _table("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW", "ɑ æ ʌ ɔ W I ɛ ɜɹ A ɪ i O Y ʊ u")
_UNSTRESSED = {"AH": "ə", "ER": "əɹ"}
_STRESS = {"0": "", "1": "ˈ", "2": "ˌ"}
_MARKS = {",": ",", ".": ".", "?": "?", "!": "!", "…": "…", "-": "—"}

# Spoken without weight in running speech, whatever the dictionary says of them alone.
_WEAK = frozenset(
    word
    for line in (
        "a an the and or of to in is are was at for on by from with as it its has have had be been",
        "that this but if than so we you he she they i my your our their his her me him them us do",
        "does will would can could should may there into",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a sentence is said.

    Attributes:
        text: as the front end wrote it out.
        phone_ids: what the networks read, ids of the table "v2".
        spoken: what the synthesizers read.
        owner: for every character of `spoken`, the place in `phone_ids` that it belongs to; a
            space belongs to the phone before it.
    """

    text: str
    phone_ids: tuple[int, ...]
    spoken: str
    owner: tuple[int, ...]


def read(text: str) -> Reading | None:
    """Phones and synthesizer characters of one sentence.

    Returns:
        None where the words said one by one do not add up to the sentence (homographs, compounds
        that meet), or a phone cannot be said by the synthesizers.
    """
    from engines.text import en, phonemize  # needs packages that the GPU machine lacks

    sentences = phonemize(text, "en")
    if len(sentences) != 1 or len(sentences[0].runs) != 1:
        return None
    run = sentences[0].runs[0]
    words = [(word, en.g2p(word, V2)[0]) for word in run.text.split()]
    joined = [phone for _, phones in words for phone in phones]
    extra = len(run.phones) - len(joined)
    # The front end puts a mark before very short sentences; nobody says it.
    if extra not in (0, 1) or list(run.phones[extra:]) != joined or not joined:
        return None
    spoken, owner, place = "", [], extra
    for word, phones in words:
        weak = word.strip(",.?!").lower() in _WEAK
        for phone in phones:
            characters = _characters(phone, weak)
            if not characters:
                return None
            spoken += characters
            owner += [place] * len(characters)
            place += 1
        spoken += " "
        owner.append(max(place - 1, 0))
    return Reading(run.text, sentences[0].phone_ids, spoken[:-1], tuple(owner[:-1]))


def _characters(phone: str, weak: bool) -> str:
    if phone in _MARKS:
        return _MARKS[phone]
    if phone in _CONSONANTS:
        return _CONSONANTS[phone]
    name, stress = phone[:-1], phone[-1:]
    if name not in _VOWELS or stress not in _STRESS:
        return ""
    if stress == "0":
        return _UNSTRESSED.get(name, _VOWELS[name])
    return ("" if weak else _STRESS[stress]) + _VOWELS[name]


def silence_ids() -> frozenset[int]:
    """Ids of the phones that are pauses."""
    ids = symbol_ids(V2)
    return frozenset(ids[mark] for mark in _MARKS)


def class_table() -> dict[int, int]:
    """Phone id → class of the content encoder: 0 is silence, every audible phone its own."""
    ids = symbol_ids(V2)
    vowels = [f"{name}{stress}" for name in _VOWELS for stress in _STRESS]
    audible = [*_CONSONANTS, *(vowel for vowel in vowels if vowel in ids)]
    table = {phone: 0 for phone in silence_ids()}
    table.update({ids[phone]: place for place, phone in enumerate(audible, start=1)})
    return table
