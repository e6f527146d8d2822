from __future__ import annotations

import io
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engines.audio import Recording, load_recording
from engines.backends.torch_backend import TorchBackend
from engines.bert_features import BertFeatures
from engines.errors import PromptError
from engines.golden import Folder
from engines.prompt import LONGEST, SHORTEST, Enroller, VoicePrompt, check_recording, closed_text


def noise(seconds: float, rate: int = 32_000, level: float = 0.3) -> Recording:
    samples = np.random.default_rng(0).normal(0, level / 3, round(seconds * rate))
    return Recording(samples.clip(-level, level).astype(np.float32), rate)


@pytest.fixture(scope="module")
def enroller(tiny: TorchBackend, bert_features: BertFeatures) -> Enroller:
    return Enroller(tiny, bert_features)


def test_the_reference_becomes_the_recorded_tokens(voice: VoicePrompt, golden: Folder) -> None:
    recorded = golden.vectors("pipeline").recorded("ref.prompt_semantic")
    assert voice.semantic_tokens.tolist() == recorded.tolist()
    assert voice.bert.shape == (1024, len(voice.phone_ids))


def test_references_are_averaged_before_anything_is_derived(
    enroller: Enroller, golden: Folder, voice: VoicePrompt
) -> None:
    first = load_recording(golden.root / "ref.wav")
    other = load_recording(golden.root / "ref2.wav")
    both = enroller.enrol([first, other], [])
    lone = enroller.enrol([replace(other, samples=np.tile(other.samples, 4))], [])
    twice = enroller.enrol([first, first], [])
    np.testing.assert_allclose(twice.style, voice.style, atol=1e-6)
    np.testing.assert_allclose(twice.text_style, voice.text_style, atol=1e-6)
    thrice = enroller.enrol([first, other, other], [])
    second = 2 * both.style - voice.style
    np.testing.assert_allclose(thrice.style, (voice.style + 2 * second) / 3, atol=1e-5)
    assert np.abs(second - voice.style).max() > 1e-3
    assert np.abs(both.style - voice.style).max() < np.abs(lone.style - voice.style).max()
    # Without a text there is nothing to continue: only the style is taken.
    assert (both.semantic_tokens.size, both.phone_ids.size) == (0, 0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 96_000])
def test_any_usual_recording_serves(enroller: Enroller, rate: int, channels: int) -> None:
    buffer = io.BytesIO()
    one = noise(3.0, rate).samples
    soundfile.write(buffer, np.stack([one] * channels, axis=1), rate, "PCM_16", format="WAV")
    tokens = enroller.tokens(load_recording(buffer))
    assert len(tokens) == 89  # 3.0 s and 0.6 s of zeros, 25 a second; the last frame is lost
    assert tokens.min() >= 0


@pytest.mark.parametrize("seconds", [SHORTEST, LONGEST])
def test_the_limits_themselves_are_allowed(seconds: float) -> None:
    check_recording(noise(seconds), "reference 1", SHORTEST, LONGEST)


def spoilt(value: float) -> Recording:
    recording = noise(4)
    recording.samples[1000] = value
    return recording


def clipped() -> Recording:
    recording = noise(4)
    return replace(recording, samples=np.clip(recording.samples * 20, -1, 1))


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (noise(2.99), "reference 1: must be from 3 to 10 s long, not 2.99 s"),
        (noise(10.01), "reference 1: must be from 3 to 10 s long, not 10.01 s"),
        (noise(4, level=0.0), "reference 1: is silent"),
        (noise(4, level=0.0005), "reference 1: is silent"),
        (spoilt(np.nan), "reference 1: some samples are not numbers"),
        (spoilt(np.inf), "reference 1: some samples are not numbers"),
        (clipped(), "reference 1: is clipped"),
    ],
)
def test_a_bad_reference_is_refused(enroller: Enroller, recording: Recording, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        enroller.enrol([recording], [])
    assert caught.value.code == "bad_reference"


def test_a_bad_further_reference_is_named(enroller: Enroller) -> None:
    with pytest.raises(PromptError, match=r"reference 2: must be from 0\.5 to 60 s"):
        enroller.enrol([noise(4), noise(0.4)], [])
    with pytest.raises(PromptError, match="at least one"):
        enroller.enrol([], [])


def test_too_loud_a_reference_is_made_quieter(enroller: Enroller) -> None:
    # Peaks of a float file above full scale are scaled, not refused.
    loud = replace(noise(3), samples=noise(3).samples * 6)
    scaled = replace(loud, samples=loud.samples / np.abs(loud.samples).max())
    np.testing.assert_allclose(
        enroller.enrol([loud], []).style, enroller.enrol([scaled], []).style, atol=1e-5
    )


@pytest.mark.parametrize(
    ("text", "language", "closed"),
    [
        ("Hello there", "en", "Hello there."),
        ("Hello there!", "en", "Hello there!"),
        ("你好", "zh", "你好。"),
        ("你好。", "zh", "你好。"),
        (" two\nlines ", "en", "two lines."),
        ("  ", "en", ""),
    ],
)
def test_a_reference_text_gets_an_end(text: str, language: str, closed: str) -> None:
    assert closed_text(text, language) == closed


def test_a_voice_is_kept_in_a_file(voice: VoicePrompt, tmp_path: Path) -> None:
    voice.save(tmp_path / "voice.npz")
    loaded = VoicePrompt.load(tmp_path / "voice.npz")
    for field in fields(VoicePrompt):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(voice, field.name))
    assert loaded.model == voice.model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": np.array(99)}, "has format 99"),
        ({"style": np.zeros((1, 512, 1), np.float64)}, "style must be float32"),
        ({"style": np.full((1, 512, 1), np.nan, np.float32)}, "style is not finite"),
        ({"phone_ids": np.zeros(3, np.int64)}, "one column for every phone"),
        ({"semantic_tokens": np.zeros((2, 2), np.int64)}, "semantic_tokens must be int64"),
        ({"extra": np.zeros(3)}, "is not a voice prompt"),
        ({"bert": np.zeros((1 << 12, 1 << 12), np.float64)}, "is not a voice prompt"),
        ({"style": np.array([print], dtype=object)}, "is not a voice prompt"),
    ],
)
def test_a_spoilt_voice_file_is_refused(
    voice: VoicePrompt, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "voice.npz"
    voice.save(file)
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez_compressed(file, **(arrays | change))
    with pytest.raises(PromptError, match=message):
        VoicePrompt.load(file)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_file_that_is_no_voice_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "voice.npz").write_bytes(content)
    with pytest.raises(PromptError, match="is not a voice prompt"):
        VoicePrompt.load(tmp_path / "voice.npz")


def test_a_missing_voice_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="is not a voice prompt"):
        VoicePrompt.load(tmp_path / "nothing.npz")
