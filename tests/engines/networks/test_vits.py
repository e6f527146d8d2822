"""Properties of the second stage; its numbers are in test_golden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.checkpoint import load_sovits
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.networks import vits
from engines.networks.vits import Condition, Vits, crossfade_latent, stretched
from engines.spec import SPECS
from engines.torch_file import read_torch_file

TOKENS, PHONES = 9, 6


@pytest.fixture(scope="module", params=["s2_v2", "s2_v2Pro"])
def network(golden: Folder, request: pytest.FixtureRequest) -> Vits:
    checkpoint = load_sovits(golden.checkpoint(request.param))
    return vits.load(checkpoint.config, checkpoint.weights)


class Sentence:
    """Inputs of a batch of sentences of equal length."""

    def __init__(self, network: Vits, golden: Folder, seed: int, batch: int = 1) -> None:
        make = golden.recipe
        tensor = torch.from_numpy
        self.codes = tensor(make.integers("c", (batch, TOKENS), 0, 1024, seed))
        self.phones = tensor(make.integers("p", (batch, PHONES), 0, 322, seed))
        spectrum = tensor(make.fill("s", (batch, 1025, 12), 1.5, 0.0, seed)).abs()
        speaker = tensor(make.fill("v", (batch, 20480), 1.0, 0.0, seed))
        self.style = network.style(spectrum, speaker if network.speaker_embedding else None)
        self.condition = network.condition(self.style)
        self.noise = tensor(make.fill("n", (batch, 8, 2 * TOKENS), 1.7, 0.0, seed))

    def speak(self, network: Vits, noise: Tensor | None = None) -> Tensor:
        latent = network.latent(self.codes, self.phones, self.condition.text)
        return network.decode(latent, self.noise if noise is None else noise, self.condition)


@pytest.fixture
def sentence(network: Vits, golden: Folder) -> Sentence:
    return Sentence(network, golden, seed=1)


def test_the_same_inputs_give_the_same_samples(network: Vits, sentence: Sentence) -> None:
    assert torch.equal(sentence.speak(network), sentence.speak(network))


def test_noise_is_an_input(network: Vits, sentence: Sentence) -> None:
    assert not torch.equal(sentence.speak(network), sentence.speak(network, sentence.noise + 0.1))


@pytest.mark.parametrize("frames", [1, 7, 2 * TOKENS, 30])
def test_the_length_follows_from_the_noise(
    network: Vits, sentence: Sentence, golden: Folder, frames: int
) -> None:
    noise = torch.from_numpy(golden.recipe.fill("m", (1, 8, frames), 1.0))
    assert sentence.speak(network, noise).shape == (1, 1, 640 * frames)


def test_at_speed_one_nothing_is_interpolated(network: Vits, sentence: Sentence) -> None:
    latent = network.latent(sentence.codes, sentence.phones, sentence.condition.text)
    assert torch.equal(stretched(latent, latent.shape[-1]), latent)


def test_a_batch_equals_its_items(network: Vits, golden: Folder) -> None:
    both = Sentence(network, golden, seed=2, batch=2)
    together = both.speak(network)
    for item in range(2):
        codes, phones, noise = (t[item : item + 1] for t in (both.codes, both.phones, both.noise))
        condition = Condition(*(part[item : item + 1] for part in both.condition))
        latent = network.latent(codes, phones, condition.text)
        alone = network.decode(latent, noise, condition)
        torch.testing.assert_close(together[item : item + 1], alone, rtol=0, atol=1e-5)


def test_the_condition_holds_all_that_depends_on_the_voice(
    network: Vits, sentence: Sentence, golden: Folder
) -> None:
    own = sentence.speak(network)
    sentence.condition = Sentence(network, golden, seed=3).condition
    assert not torch.equal(own, sentence.speak(network))
    sentence.condition = network.condition(sentence.style)
    assert torch.equal(own, sentence.speak(network))


def test_samples_stay_within_bounds(network: Vits, sentence: Sentence) -> None:
    assert sentence.speak(network, 100 * sentence.noise).abs().max() <= 1


@pytest.mark.parametrize(("features", "tokens"), [(2, 1), (3, 1), (24, 12), (25, 12)])
def test_two_feature_frames_make_a_token(
    network: Vits, golden: Folder, features: int, tokens: int
) -> None:
    codes = network.extract_latent(torch.from_numpy(golden.recipe.fill("f", (1, 768, features))))
    assert codes.shape == (1, tokens)
    assert codes.dtype == torch.int64


def test_codebook_rows_are_their_own_nearest(network: Vits) -> None:
    wanted = torch.tensor([[5, 1023, 0]])
    rows = network.codebook[wanted[0]]
    half = Vits.extract_latent
    network_ssl, network.ssl_proj = network.ssl_proj, nn.Identity()  # type: ignore[assignment]
    codes = half(network, rows.T[None])
    network.ssl_proj = network_ssl
    assert torch.equal(codes, wanted)


@pytest.mark.parametrize("length", [0, 1, 4, 10])
def test_a_crossfade_leaves_the_rest_alone(length: int) -> None:
    latent, before = torch.ones(1, 3, 10), torch.zeros(1, 3, length)
    faded = crossfade_latent(latent, before)
    assert faded.shape == latent.shape
    assert torch.equal(faded[..., length:], latent[..., length:])
    assert bool((faded[..., : min(length, 1)] == 0).all())


class Speak(nn.Module):
    """The speaking half as one graph."""

    def __init__(self, network: Vits) -> None:
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor, phones: Tensor, noise: Tensor, *voice: Tensor) -> Tensor:
        condition = Condition(*voice)
        latent = self.network.latent(codes, phones, condition.text)
        return self.network.decode(latent, noise, condition)


@pytest.mark.parametrize(("tokens", "phones", "frames"), [(5, 3, 14), (12, 20, 24), (7, 2, 5)])
def test_every_length_stays_free_in_an_exported_graph(
    network: Vits, golden: Folder, exported: Any, tokens: int, phones: int, frames: int
) -> None:
    sentence = Sentence(network, golden, seed=4)
    make = golden.recipe
    feeds = (
        torch.from_numpy(make.integers("c", (1, tokens), 0, 1024)),
        torch.from_numpy(make.integers("p", (1, phones), 0, 322)),
        torch.from_numpy(make.fill("n", (1, 8, frames))),
        *sentence.condition,
    )
    torch.testing.assert_close(exported(*feeds), Speak(network)(*feeds), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def exported(network: Vits, golden: Folder) -> Any:
    """The speaking half, exported at one length of each input."""
    sentence = Sentence(network, golden, seed=1)
    lengths = [
        {axis: torch.export.Dim(name, min=2, max=4096)}
        for name, axis in (("tokens", 1), ("phones", 1), ("frames", 2))
    ]
    feeds = (sentence.codes, sentence.phones, sentence.noise, *sentence.condition)
    program = torch.export.export(Speak(network), feeds, dynamic_shapes=(*lengths, ({}, {}, {})))
    return program.module()


@pytest.mark.parametrize(("frames", "length"), [(1, 1), (1, 5), (4, 9), (28, 23), (28, 36), (9, 2)])
def test_stretching_is_linear_interpolation(golden: Folder, frames: int, length: int) -> None:
    latent = torch.from_numpy(golden.recipe.fill("l", (2, 3, frames)))
    expected = F.interpolate(latent, size=length, mode="linear", align_corners=False)
    torch.testing.assert_close(stretched(latent, length), expected, rtol=0, atol=1e-6)


def test_missing_weights_are_named(golden: Folder) -> None:
    checkpoint = load_sovits(golden.checkpoint("s2_v2"))
    del checkpoint.weights["dec.conv_pre.weight"]
    with pytest.raises(CheckpointError, match=r"dec\.conv_pre\.weight"):
        vits.load(checkpoint.config, checkpoint.weights)


def test_settings_that_contradict_the_weights_are_named(golden: Folder) -> None:
    checkpoint = load_sovits(golden.checkpoint("s2_v2"))
    config = replace(checkpoint.config, filter_channels=33)
    with pytest.raises(CheckpointError, match=r"size mismatch.*ffn_layers"):
        vits.load(config, checkpoint.weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "tensors", "values", "generator"),
    [("v2", 673, 42_389_633, None), ("v2ProPlus", 678, 86_272_257, 33_834_624)],
)
def test_official_sizes_are_the_specified_ones(
    golden: Folder, version: str, tensors: int, values: int, generator: int | None
) -> None:
    path = golden.checkpoint(f"full_s2_{version}")
    stored = read_torch_file(path)[0]["weight"]
    assert (len(stored), sum(t.numel() for t in stored.values())) == (tensors, values)
    checkpoint = load_sovits(path)
    row, config = SPECS[version], checkpoint.config
    assert checkpoint.spec is row
    assert config.gin_channels == row.gin_channels
    assert config.upsample_initial_channel == row.decoder.upsample_initial_channel
    assert config.upsample_rates == row.decoder.upsample_rates
    assert config.upsample_kernel_sizes == row.decoder.upsample_kernel_sizes
    decoder = sum(t.numel() for key, t in stored.items() if key.startswith("dec."))
    assert generator in (None, decoder)
    vits.load(config, checkpoint.weights)
