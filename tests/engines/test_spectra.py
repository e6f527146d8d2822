"""The spectra in numpy, as they are used, against the same formulas in torch, as they were made."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from engines import spectra
from engines.checkpoint import load_speaker
from engines.golden import Folder
from engines.networks import eres2net
from engines.spec import MELS, MelSpec


@pytest.fixture(scope="module")
def speech(golden: Folder) -> Any:
    """Three seconds of the recorded reference."""
    return golden.vectors("pipeline").recorded("ref.wav16k")[:48000]


def test_magnitudes_differ_from_the_recorded_by_rounding_only(golden: Folder) -> None:
    vectors = golden.vectors("audio")
    recorded = vectors.recorded("spec.out")[0]
    ours = spectra.magnitudes(vectors.input("spec.in")[0])
    assert ours.dtype == np.float32
    assert np.abs(ours - recorded).max() < 3e-7 * recorded.max()


def test_quiet_bands_are_the_only_ones_that_differ(golden: Folder) -> None:
    vectors = golden.vectors("audio")
    recorded = vectors.recorded("fbank.out")
    difference = np.abs(spectra.filterbank(vectors.input("fbank.in")) - recorded)
    assert difference.max() < 1e-3
    assert np.quantile(difference, 0.99) < 2e-5


def test_the_speaker_is_heard_the_same_in_numpy(golden: Folder, speech: Any) -> None:
    network = eres2net.load(load_speaker(golden.checkpoint("sv_tiny")))
    ours = network(torch.from_numpy(spectra.filterbank(speech))[None])
    theirs = network(spectra.filterbank(torch.from_numpy(speech), torch)[None])
    assert (ours - theirs).abs().max() < 2e-5


@pytest.mark.parametrize("spec", MELS.values())
def test_mels_are_the_same_in_numpy(speech: Any, spec: MelSpec) -> None:
    ours = spectra.log_mel(speech, spec)
    theirs = spectra.log_mel(torch.from_numpy(speech), spec, torch).numpy()
    assert ours.shape == (spec.bands, len(speech) // spec.hop_length)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(("length", "frames"), [(400, 1), (559, 1), (560, 2), (16000, 98)])
def test_a_filterbank_has_whole_frames_only(length: int, frames: int) -> None:
    assert spectra.filterbank(np.zeros(length, np.float32)).shape == (frames, 80)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(
        spectra.filterbank(np.zeros(400, np.float32)), np.log(np.float32(1.1920929e-07))
    )


@pytest.mark.parametrize(("length", "frames"), [(705, 1), (1280, 2), (32000, 50)])
def test_a_spectrum_has_a_frame_every_640_samples(length: int, frames: int) -> None:
    assert spectra.magnitudes(np.zeros(length, np.float32)).shape == (1025, frames)


def test_enrolling_needs_no_torch() -> None:
    program = "import sys, engines.audio, engines.spectra; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
