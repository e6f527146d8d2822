import pytest

from engines.errors import TextError
from engines.text.symbols import known_phones, phone_ids, symbol_ids


def test_second_table_begins_with_the_first() -> None:
    first, second = symbol_ids("v1"), symbol_ids("v2")
    assert (len(first), len(second)) == (322, 732)
    assert list(second)[:322] == list(first)
    assert list(second.values()) == list(range(732))


@pytest.mark.parametrize(("symbols", "phones"), [("v1", ("UNK", "a")), ("v2", ("[", "a"))])
def test_phone_that_a_table_lacks_is_unknown(symbols: str, phones: tuple[str, ...]) -> None:
    assert known_phones(["[", "a"], symbols) == phones


def test_ids_are_positions() -> None:
    assert phone_ids(["!", ",", "UNK"], "v2") == (0, 1, symbol_ids("v2")["UNK"])


def test_unknown_table_is_refused() -> None:
    with pytest.raises(TextError, match="symbols"):
        symbol_ids("v9")
