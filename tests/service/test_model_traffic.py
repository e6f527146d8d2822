"""Who speaks how much, and that the same key always meets the same model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from service.model_traffic import FILE, Traffic, read_traffic, write_traffic

BOTH = {"old", "new"}


def dealt(traffic: Traffic, among: set[str], keys: int = 10_000) -> Counter[str | None]:
    return Counter(traffic.pick(f"voice-{number}", among) for number in range(keys))


@pytest.mark.parametrize(("old", "new"), [(90, 10), (0.9, 0.1), (1, 1), (99, 1)])
def test_shares_are_what_the_weights_say(old: float, new: float) -> None:
    counts = dealt(Traffic({"old": old, "new": new}), BOTH)
    assert counts["new"] / 10_000 == pytest.approx(new / (old + new), abs=0.01)
    assert counts.keys() <= BOTH


def test_a_key_keeps_its_model_and_most_do_when_shares_change() -> None:
    before, after = Traffic({"old": 90, "new": 10}), Traffic({"old": 80, "new": 20})
    keys = [f"voice-{number}" for number in range(2000)]
    first = [before.pick(key, BOTH) for key in keys]
    assert [before.pick(key, BOTH) for key in keys] == first
    moved = {(a, b) for a, b in zip(first, [after.pick(key, BOTH) for key in keys], strict=True)}
    assert ("new", "old") not in moved, "who was on the model that gains stays there"


def test_a_model_that_is_down_leaves_its_part_to_the_others() -> None:
    traffic = Traffic({"old": 90, "new": 10})
    assert dealt(traffic, {"old"}, 100) == {"old": 100}
    assert traffic.pick("voice", {"third"}) is None
    assert Traffic().pick("voice", BOTH) is None


def test_back_returns_to_the_shares_of_before() -> None:
    first = Traffic().to({"old": 1.0})
    canary = first.to({"old": 90.0, "new": 10.0})
    promoted = canary.to({"new": 1.0})
    assert promoted.share("new") == 1.0
    assert promoted.back() == canary
    assert canary.back() == first
    assert first.back() is None
    assert promoted.without("old").back() == Traffic({"new": 10.0})


def test_it_is_kept(tmp_path: Path) -> None:
    assert read_traffic(tmp_path) == Traffic()
    traffic = Traffic({"a": 9.0, "b": 1.0}, "request", ({"a": 1.0},), "/models/a")
    write_traffic(tmp_path, traffic)
    assert read_traffic(tmp_path) == traffic
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 2}',
        '{"format":1,"weights":{"a":"x"},"sticky":"voice","history":[],"setting":""}',
        '{"format":1,"weights":{"a":-1},"sticky":"voice","history":[],"setting":""}',
        '{"format":1,"weights":{},"sticky":"moon","history":[],"setting":""}',
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=r"^traffic\.json: "):
        read_traffic(tmp_path)
