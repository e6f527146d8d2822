"""The two symbol tables of the official models: position in the table is the phone's id."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from engines.errors import TextError
from engines.text.data import read_table

V1 = "v1"
V2 = "v2"
TABLES = (V1, V2)

UNKNOWN = "UNK"
PUNCTUATION = frozenset("!?…,.-")
# Phones that a model can be given but that nobody can hear as speech.
SILENT = PUNCTUATION | {UNKNOWN, "_", "SP", "SP2", "SP3", "[", "]", "停", "空"}


@cache
def symbol_ids(symbols: str) -> dict[str, int]:
    """Map every phone of the table "v1" (322 phones) or "v2" (732) to its id.

    Raises:
        TextError: there is no such table.
    """
    if symbols not in TABLES:
        raise TextError(f"symbols: no table {symbols!r}, only {', '.join(TABLES)}")
    table = read_table("symbols.json")
    # The second table is the first with Korean and Cantonese appended, so one list holds both.
    names: list[str] = table["symbols"][: table[symbols]]
    return {name: index for index, name in enumerate(names)}


def known_phones(phones: Iterable[str], symbols: str) -> tuple[str, ...]:
    """Replace every phone that the table lacks by `UNK`."""
    ids = symbol_ids(symbols)
    return tuple(phone if phone in ids else UNKNOWN for phone in phones)


def phone_ids(phones: Iterable[str], symbols: str) -> tuple[int, ...]:
    """Look up ids of phones that `known_phones` returned."""
    ids = symbol_ids(symbols)
    return tuple(ids[phone] for phone in phones)
