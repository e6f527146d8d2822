import pytest

from engines.text.sorted_lines import SortedLines

TABLE = SortedLines.sorted_from([b"b\t2", b"a b\t3", b"a\t1", b"abc\tx y", b"a'b\t4", b"a\t5"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a", "5"),
        ("a b", "3"),
        ("a'b", "4"),
        ("abc", "x y"),
        ("b", "2"),
        ("ab", None),
        ("", None),
        ("c", None),
        ("\ud800", None),
    ],
)
def test_finds_the_last_line_of_exactly_this_key(key: str, value: str | None) -> None:
    assert TABLE.get(key) == value


@pytest.mark.parametrize(
    ("prefix", "found"), [("a ", True), ("ab", True), ("b ", False), ("c", False)]
)
def test_prefix(prefix: str, found: bool) -> None:
    assert TABLE.has_prefix(prefix) is found


def test_an_empty_table_has_nothing() -> None:
    assert SortedLines(b"").get("a") is None


@pytest.mark.parametrize("name", ["en_words.txt.gz", "en_names.txt.gz", "en_tagger.txt.gz"])
def test_carried_tables_are_sorted(name: str) -> None:
    lines = SortedLines.carried(name)._block.splitlines()
    assert lines == sorted(lines)
    assert {line.count(b"\t") for line in lines} == {1}
