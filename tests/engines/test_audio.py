"""Recordings in, speech out: limits, rates, joints and integers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engines import audio
from engines.audio import (
    AudioChunk,
    Recording,
    best_shift,
    join,
    limit_peak,
    load_recording,
    resample_sinc,
    resample_soxr,
    to_pcm16,
)
from engines.errors import PromptError
from engines.golden import Folder

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000]


def tone(seconds: float, rate: int, hertz: float = 440.0) -> Any:
    times = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def wav(samples: Any, rate: int, subtype: str = "FLOAT", kind: str = "WAV") -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=kind)
    file.seek(0)
    return file


# --- loading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
def test_usual_rates_are_read_as_they_are(rate: int) -> None:
    samples = tone(0.1, rate)
    recording = load_recording(wav(samples, rate))
    assert (recording.sample_rate, recording.samples.dtype) == (rate, np.float32)
    np.testing.assert_array_equal(recording.samples, samples)
    assert recording.seconds == pytest.approx(0.1, abs=1 / rate)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_other_formats_are_read(kind: str) -> None:
    subtype = {"FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[kind]
    recording = load_recording(wav(tone(1, 32000), 32000, subtype, kind))
    assert recording.seconds == pytest.approx(1, abs=0.1)
    assert 0.3 < np.abs(recording.samples).max() < 0.7


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_are_averaged(channels: int) -> None:
    samples = np.linspace(-0.5, 0.5, 1000 * channels, dtype=np.float32).reshape(1000, channels)
    recording = load_recording(wav(samples, 32000))
    np.testing.assert_allclose(recording.samples, samples.mean(axis=1), atol=1e-7)


def test_a_path_is_read_like_a_file(tmp_path: Path) -> None:
    file = wav(tone(0.2, 16000), 16000)
    (tmp_path / "a.wav").write_bytes(file.getvalue())
    from_path = load_recording(tmp_path / "a.wav")
    np.testing.assert_array_equal(from_path.samples, load_recording(file).samples)


def test_clipped_and_overdriven_samples_stay_as_they_are() -> None:
    loud = 3 * tone(0.1, 32000)
    np.testing.assert_array_equal(load_recording(wav(loud, 32000)).samples, loud)
    clipped = np.clip(loud, -1, 1)
    recording = load_recording(wav(clipped, 32000, "PCM_16"))
    np.testing.assert_allclose(recording.samples, clipped, atol=1e-4)


def with_nan() -> Any:
    samples = tone(0.1, 32000)
    samples[7] = np.nan
    return samples


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (wav(tone(0.1, 7999), 7999), "7999 Hz"),
        (wav(tone(0.1, 96001), 96001), "96001 Hz"),
        (wav(np.zeros((100, 9), np.float32), 32000), "9 channels"),
        (wav(np.zeros(0, np.float32), 32000), "holds no sound"),
        (wav(with_nan(), 32000), "not numbers"),
        (wav(np.full(10, np.inf, np.float32), 32000), "not numbers"),
        (wav(np.zeros(121 * 8000, np.int16), 8000, "PCM_16"), "longer than 120 s"),
        (io.BytesIO(b""), "not an audio file"),
        (io.BytesIO(b"RIFF" + b"\0" * 60), "not an audio file"),
        (io.BytesIO(b"#!/bin/sh\nrm -rf /\n"), "not an audio file"),
    ],
)
def test_unusable_recordings_are_refused(file: io.BytesIO, message: str) -> None:
    file.seek(0)
    with pytest.raises(PromptError, match=message):
        load_recording(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        load_recording(tmp_path / "absent.wav")


def test_a_large_file_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_FILE_BYTES", 100)
    with pytest.raises(PromptError, match="at most"):
        load_recording(io.BytesIO(b"x" * 101))


@pytest.mark.parametrize("kept", [1, 100, 15999])
def test_a_truncated_file_gives_what_is_there(kept: int) -> None:
    data = wav(tone(1, 16000), 16000, "PCM_16").getvalue()
    recording = load_recording(io.BytesIO(data[: 44 + 2 * kept]))
    np.testing.assert_allclose(recording.samples, tone(1, 16000)[:kept], atol=1e-4)


@pytest.mark.parametrize("cut", [4, 20, 40, 44])
def test_a_file_cut_before_its_sound_is_refused(cut: int) -> None:
    data = wav(tone(1, 16000), 16000, "PCM_16").getvalue()
    with pytest.raises(PromptError):
        load_recording(io.BytesIO(data[:cut]))


# --- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("target", [16000, 32000])
@pytest.mark.parametrize("resample", [resample_sinc, resample_soxr])
def test_a_tone_stays_the_same_tone(resample: Any, rate: int, target: int) -> None:
    out = resample(tone(0.5, rate), rate, target)
    expected = tone(0.5, target)
    assert len(out) == -(-int(0.5 * rate) * target // rate)
    assert out.dtype == np.float32
    inner = slice(target // 20, len(expected) - target // 20)
    np.testing.assert_allclose(out[inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize("resample", [resample_sinc, resample_soxr])
def test_the_same_rate_changes_nothing(resample: Any) -> None:
    samples = tone(0.1, 32000)
    np.testing.assert_array_equal(resample(samples, 32000, 32000), samples)


@pytest.mark.parametrize("length", [1, 2, 3, 441, 442])
@pytest.mark.parametrize("resample", [resample_sinc, resample_soxr])
def test_very_short_sounds_can_be_resampled(resample: Any, length: int) -> None:
    out = resample(np.ones(length, np.float32), 44100, 32000)
    assert len(out) == -(-length * 320 // 441)
    assert np.isfinite(out).all()


def test_hubert_hears_what_the_original_heard(golden: Folder) -> None:
    vectors = golden.vectors("pipeline")
    recording = load_recording(golden.root / "ref.wav")
    heard = resample_soxr(recording.samples, recording.sample_rate, 16000)
    np.testing.assert_allclose(heard, vectors.recorded("ref.wav16k"), atol=2e-6)


# --- levels, joints, integers --------------------------------------------------------------------


@pytest.mark.parametrize(("peak", "expected"), [(0.2, 0.2), (1.0, 1.0), (1.5, 1.0), (4.0, 2.0)])
def test_peaks_are_scaled_down_by_at_most_two(peak: float, expected: float) -> None:
    assert np.abs(limit_peak(np.array([0.1, -peak], np.float32))).max() == pytest.approx(expected)


def test_an_empty_signal_has_no_peak() -> None:
    assert limit_peak(np.zeros(0, np.float32)).shape == (0,)


@pytest.mark.parametrize("shift", [0, 1, 100, 320])
def test_pieces_are_joined_where_they_match(shift: int) -> None:
    whole = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    before, after = whole[:2000], np.concatenate([np.zeros(shift, np.float32), whole[1600:]])
    joined = join(before, after, 400)
    assert best_shift(before[-400:], after[:720]) == shift
    np.testing.assert_allclose(joined[:1600], whole[:1600])
    np.testing.assert_allclose(joined[2000:], whole[2000:])
    np.testing.assert_allclose(joined, whole, atol=1e-5)


def test_joining_leaves_its_inputs_alone() -> None:
    before, after = tone(0.1, 32000), tone(0.1, 32000)
    copies = before.copy(), after.copy()
    join(before, after, 400)
    np.testing.assert_array_equal((before, after), copies)


def test_no_overlap_joins_end_to_end() -> None:
    ones, twos = np.ones(3, np.float32), np.full(2, 2, np.float32)
    np.testing.assert_array_equal(join(ones, twos, 0), [1, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (0.0, 0),
        (0.5, 16384),
        (0.9 / 32768, 0),
        (-0.9 / 32768, 0),
        (-1.0, -32768),
        (1.0, 32767),
        (7.0, 32767),
        (-7.0, -32768),
    ],
)
def test_integers_are_rounded_toward_zero_and_never_wrap(sample: float, expected: int) -> None:
    assert to_pcm16(np.array([sample], np.float32)).tolist() == [expected]


def test_a_chunk_gives_little_endian_bytes() -> None:
    chunk = AudioChunk(np.array([0.5, -0.5], np.float32), 32000, sentence=0, last=True)
    assert chunk.pcm16() == b"\x00\x40\x00\xc0"


def test_a_recording_knows_its_length() -> None:
    assert Recording(np.zeros(48000, np.float32), 16000).seconds == 3
