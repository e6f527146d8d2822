"""The plain voice for real: hibari always, espeak-ng as a stand-in program that the tests write."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BackendUnavailableError, DeviceError, TextError
from engines.plain import PlainVoice, language_of, normalise_loudness, split_pieces
from engines.text.speakable import speakable
from service.formats import streaming_wav_header

LISTING = """Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  cmn             --/M      Chinese            sit/cmn              (zh-cmn 5)(zh 5)
 5  de              --/M      German             gmw/de
 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)
"""


@pytest.fixture(scope="module")
def english() -> PlainVoice:
    return PlainVoice(espeak="")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that answers like espeak-ng: a voice list, or a WAV with a streamed header."""
    path = tmp_path / "espeak-ng"
    (tmp_path / "voices").write_text(LISTING)
    speech = streaming_wav_header(22050) + np.full(11025, 4096, "<i2").tobytes()
    (tmp_path / "speech.wav").write_bytes(speech)
    path.write_text(
        f"""#!/bin/sh
case "$1" in --voices) cat {tmp_path}/voices; exit;; esac
echo "$@" > {tmp_path}/arguments
grep -q FAIL - && exit 3
cat {tmp_path}/speech.wav
"""
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_english_is_spoken_from_the_box(english: PlainVoice) -> None:
    (chunk,) = english.speak("The washing machine is done.", "en-GB")
    assert chunk.sample_rate == 24000
    assert chunk.last
    assert 1.0 < len(chunk.samples) / chunk.sample_rate < 4.0
    assert 0.05 < np.sqrt(np.mean(np.square(chunk.samples))) < 0.2
    assert np.abs(chunk.samples).max() <= 0.9


def test_the_same_sentence_sounds_the_same(english: PlainVoice) -> None:
    first, second = (next(english.speak("Same again.", "en")) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)


def test_home_text_is_written_out(english: PlainVoice) -> None:
    written, spelt = (
        next(english.speak(text, "en"))
        for text in ("It is -4.5 °C.", "It is minus four point five degrees celsius.")
    )
    assert len(written.samples) == pytest.approx(len(spelt.samples), rel=0.1)


def test_home_text_is_left_alone_when_it_is_asked_for(english: PlainVoice) -> None:
    text = "It is -4.5 °C."
    assert speakable(text, "en") != text
    said = []
    for words, how in ((text, "speakable"), (text, "exact"), (speakable(text, "en"), "exact")):
        said.append(next(english.speak(words, "en", normalize=how)).samples)
    np.testing.assert_array_equal(said[0], said[2])
    assert not np.array_equal(said[0], said[1])


def test_pause_marks_are_kept(english: PlainVoice) -> None:
    chunks = list(english.speak('Ready. [pause 500ms] Steady. <break time="1s"/>', "en"))
    seconds = [len(chunk.samples) / chunk.sample_rate for chunk in chunks]
    assert [chunk.samples.any() for chunk in chunks] == [True, False, True, False]
    assert (seconds[1], seconds[3]) == (0.5, 1.0)
    assert [chunk.last for chunk in chunks] == [False, False, False, True]


def test_speed_shortens(english: PlainVoice) -> None:
    slow, fast = (next(english.speak("How fast is this?", "en", speed)) for speed in (0.8, 1.6))
    assert len(fast.samples) < 0.7 * len(slow.samples)


def test_long_text_is_spoken_in_pieces(english: PlainVoice) -> None:
    chunks = list(english.speak("word " * 120, "en"))
    assert len(chunks) == 3
    assert [chunk.last for chunk in chunks] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "language", "message"),
    [
        ("Bonjour", "fr", "language: 'fr' cannot be spoken .* install the espeak-ng"),
        ("...", "en", "text: there is no word"),
        ("你好", "en", "text: nothing in '你好'"),
    ],
)
def test_what_cannot_be_said_is_told(
    english: PlainVoice, text: str, language: str, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        list(english.speak(text, language))


def test_espeak_adds_its_languages(program: Path) -> None:
    voice = PlainVoice(espeak=str(program))
    assert voice.languages == ("en", "cmn", "de", "zh-cmn", "zh")
    (chunk,) = voice.speak("Guten Tag", "de-AT", speed=2.0)
    assert chunk.sample_rate == 22050
    assert len(chunk.samples) == 11025
    arguments = (program.parent / "arguments").read_text().split()
    assert arguments == ["-v", "de", "-s", "330", "-b", "1", "--stdin", "--stdout"]


def test_text_is_never_an_argument_of_espeak(program: Path) -> None:
    list(PlainVoice(espeak=str(program)).speak("-w /tmp/x gefährlich", "de"))
    assert "-w" not in (program.parent / "arguments").read_text()


def test_a_failing_espeak_is_a_device_error(program: Path) -> None:
    with pytest.raises(DeviceError, match="espeak-ng failed in 'de'"):
        list(PlainVoice(espeak=str(program)).speak("FAIL", "de"))


def test_an_espeak_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError):
        _ = PlainVoice(espeak=str(tmp_path / "nothing")).languages


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Short.", ["Short."]),
        ("One sentence. Another one.", ["One sentence.", "Another one."]),
        ("first part, second part", ["first part,", "second part"]),
        ("abcdefghij" * 2 + "klm", ["abcdefghijabcdef", "ghijklm"]),
        ("  spread \n out  ", ["spread out"]),
    ],
)
def test_pieces_end_where_a_speaker_would_breathe(text: str, pieces: list[str]) -> None:
    assert split_pieces(text, longest=16) == pieces


@pytest.mark.parametrize("level", [0.01, 0.1, 0.9])
def test_loudness_does_not_depend_on_the_recording(level: float) -> None:
    rng = np.random.default_rng(1)
    speech = (rng.uniform(-level, level, 24000)).astype(np.float32)
    padded = np.concatenate([speech, np.zeros(48000, np.float32)])
    louder = normalise_loudness(padded, 24000)[:24000]
    assert np.sqrt(np.mean(np.square(louder))) == pytest.approx(0.1, rel=0.6)
    assert np.abs(louder).max() < 0.9


def test_peaks_stay_under_the_limit() -> None:
    clicks = np.full(24000, 0.01, np.float32)
    clicks[::4000] = 0.5
    assert 0.8 < np.abs(normalise_loudness(clicks, 24000)).max() < 0.9


def test_silence_stays_silence() -> None:
    assert not normalise_loudness(np.zeros(100, np.float32), 24000).any()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("洗衣机洗好了。", "zh"),
        ("洗濯が終わりました", "ja"),
        ("세탁이 끝났습니다", "ko"),
        ("Стирка закончена", "ru"),
        ("The 洗 machine is done", "en"),
        ("123", "en"),
    ],
)
def test_the_script_tells_the_language(text: str, language: str) -> None:
    assert language_of(text, "en") == language
