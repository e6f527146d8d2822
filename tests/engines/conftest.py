"""Golden vectors for the tests of the engines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engines.golden import Folder

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    """Leave the other cores to whoever shares the machine."""
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def golden() -> Folder:
    """The recorded arrays; checkpoints are written once and kept in the git-ignored cache."""
    return Folder(TESTS / "golden", TESTS.parent / ".cache" / "golden")
