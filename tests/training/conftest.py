"""Tiny networks, and a few utterances that need no synthesizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.backends import CheckpointFiles
from engines.spec import HubertConfig, T2SConfig, VitsConfig
from training import sizes
from training.corpus import Corpus
from training.export import export
from training.shards import RATE, Utterance
from training.sovits import Sovits
from training.t2s import start
from training.tokenizer import Tokenizer, encode

HUBERT = replace(
    sizes.HUBERT,
    conv_dim=(16,) * 7,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=4,
)
SOVITS = replace(
    sizes.SOVITS,
    inter_channels=16,
    hidden_channels=16,
    filter_channels=32,
    n_layers=2,
    upsample_initial_channel=32,
    ssl_channels=32,
)
T2S = replace(sizes.T2S, hidden_dim=32, head=2, n_layer=2)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def hubert_config() -> HubertConfig:
    return HUBERT


@pytest.fixture(scope="session")
def sovits_config() -> VitsConfig:
    return SOVITS


@pytest.fixture(scope="session")
def t2s_config() -> T2SConfig:
    return T2S


def buzz(number: int, seconds: float) -> Utterance:
    """Two speakers in turns; every phone is a tone of its own."""
    rng = np.random.default_rng(number)
    phones = rng.choice(np.arange(8, 70), 12)
    ends = np.linspace(0, seconds * RATE, 13)[1:].astype(np.int64)
    pitch = np.repeat(110 + 4 * phones, np.diff(ends, prepend=0)) * (1 + 0.5 * (number % 2))
    phase = 2 * np.pi * np.cumsum(pitch / RATE)
    wave = 0.5 * np.sin(phase) + 0.2 * np.sin(3 * phase) + 0.01 * rng.standard_normal(len(phase))
    samples = (wave * 20000).astype(np.int16)
    return Utterance(f"speaker {number % 2}", f"sentence {number}", samples, phones, ends)


@pytest.fixture(scope="session")
def utterances() -> list[Utterance]:
    return [buzz(number, 2.0 + 0.5 * number) for number in range(4)]


@pytest.fixture(scope="session")
def corpus(utterances: list[Utterance]) -> Corpus:
    return Corpus.of(utterances, "cpu")


@pytest.fixture
def tokenizer() -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(HUBERT)


@pytest.fixture(scope="session")
def codes(corpus: Corpus) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return encode(Tokenizer(HUBERT), corpus)


@pytest.fixture(scope="session")
def trained(hubert_config: HubertConfig, sovits_config: VitsConfig) -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {
        "tokenizer": Tokenizer(hubert_config).eval(),
        "sovits": Sovits(sovits_config).eval(),
    }


@pytest.fixture(scope="session")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    trained: dict[str, torch.nn.Module],
    hubert_config: HubertConfig,
    sovits_config: VitsConfig,
    t2s_config: T2SConfig,
) -> CheckpointFiles:
    folder = tmp_path_factory.mktemp("exported")
    export(
        trained["tokenizer"].state_dict(),
        trained["sovits"].state_dict(),
        start(t2s_config).state_dict(),
        folder,
        hubert_config,
        sovits_config,
        t2s_config,
    )
    return CheckpointFiles(folder / "t2s.ckpt", folder / "sovits.pth", folder / "models")
