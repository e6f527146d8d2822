"""Golden vectors, and a tiny random model with a voice, for the tests of the engines."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engines.audio import load_recording
from engines.backends import CheckpointFiles
from engines.bert_features import BertFeatures
from engines.golden import Folder
from engines.prompt import Enroller, VoicePrompt
from engines.text.types import PhonemizedText, Run

if TYPE_CHECKING:
    from engines.backends.torch_backend import TorchBackend

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny networks gain nothing from more, and lose a lot on a busy machine by waiting."""
    # Where engines are tested on a card there need be no PyTorch.
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> Folder:
    """The recorded arrays; checkpoints are written once and kept in the git-ignored cache."""
    return Folder(TESTS / "golden", TESTS.parent / ".cache" / "golden")


@pytest.fixture(scope="session")
def tiny_files(golden: Folder, tmp_path_factory: pytest.TempPathFactory) -> CheckpointFiles:
    """Small random checkpoints laid out as a user's."""
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(golden.checkpoint("hubert_pipe").parent, models / "chinese-hubert-base")
    return CheckpointFiles(golden.checkpoint("s1_pipe"), golden.checkpoint("s2_v2"), models)


@pytest.fixture(scope="session")
def tiny(tiny_files: CheckpointFiles) -> TorchBackend:
    """Those checkpoints, ready to run."""
    from engines.backends.torch_backend import TorchBackend

    return TorchBackend(tiny_files)


@pytest.fixture(scope="session")
def tiny_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those checkpoints, converted; TINY_MODEL names them where there is no PyTorch to do it."""
    if made := os.environ.get("TINY_MODEL"):
        return Path(made)
    from engines.export import convert

    tiny_files: CheckpointFiles = request.getfixturevalue("tiny_files")
    folder = tmp_path_factory.mktemp("converted") / "tiny"
    convert(tiny_files, folder)
    return folder


@pytest.fixture(scope="session")
def bert_features(tiny: TorchBackend, tiny_files: CheckpointFiles) -> BertFeatures:
    """No BERT: the sentences of `make_sentence` are English."""
    return BertFeatures(tiny, tiny_files.tokenizer)


def make_sentence(phones: int, seed: int = 0, pause: float = 0.0) -> PhonemizedText:
    ids = np.random.default_rng(seed).integers(1, 700, phones)
    run = Run("en", f"sentence {seed}", ("AH0",) * phones)
    return PhonemizedText(run.text, "en", tuple(ids.tolist()), (run,), pause)


@pytest.fixture(name="make_sentence", scope="session")
def sentence_maker() -> Callable[..., PhonemizedText]:
    """(phones, seed, pause) -> a sentence of random phones."""
    return make_sentence


@pytest.fixture(scope="session")
def voice(tiny: TorchBackend, bert_features: BertFeatures, golden: Folder) -> VoicePrompt:
    """The recorded reference as a voice of the tiny model."""
    recording = load_recording(golden.root / "ref.wav")
    return Enroller(tiny, bert_features).enrol([recording], [make_sentence(12, seed=99)])
