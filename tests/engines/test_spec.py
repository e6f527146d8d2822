"""The table of versions, and that nothing else names one."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import pytest

from engines.spec import SPECS, SYMBOL_COUNTS, VitsSpec

ROOT = Path(__file__).parents[2]
# symbols.py names the two symbol tables, which are called like the versions that brought them.
MAY_NAME_VERSIONS = {"engines/spec.py", "engines/checkpoint.py", "engines/text/symbols.py"}
VERSION_NAME = re.compile(r"v[1-4](Pro(Plus)?)?")


def names_a_version(code: str) -> bool:
    """Whether a version is a string of its own in the code; docstrings may speak of them."""
    constants = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    return any(VERSION_NAME.fullmatch(str(node.value)) for node in constants)


def product_files() -> list[Path]:
    return [path for folder in ("engines", "service") for path in (ROOT / folder).rglob("*.py")]


def test_only_two_files_name_a_version() -> None:
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in product_files()
        if names_a_version(path.read_text(encoding="utf-8"))
    }
    assert naming == MAY_NAME_VERSIONS


@pytest.mark.parametrize("text", ['"v1"', "'v2ProPlus'", 'version == "v2Pro"', '{"v4": 1}'])
def test_the_search_finds_literals(text: str) -> None:
    assert names_a_version(text)


def test_rows_are_the_supported_versions() -> None:
    assert list(SPECS) == ["v1", "v2", "v2Pro", "v2ProPlus"]


@pytest.mark.parametrize(
    ("name", "phones", "bins", "gin", "speaker", "initial", "first_kernel"),
    [
        ("v1", 322, 1025, 512, False, 512, 16),
        ("v2", 732, 704, 512, False, 512, 16),
        ("v2Pro", 732, 704, 1024, True, 512, 16),
        ("v2ProPlus", 732, 704, 1024, True, 768, 20),
    ],
)
def test_a_row_is_what_the_official_files_are(
    name: str, phones: int, bins: int, gin: int, speaker: bool, initial: int, first_kernel: int
) -> None:
    spec = SPECS[name]
    assert (spec.phone_count, spec.spec_channels, spec.gin_channels) == (phones, bins, gin)
    assert spec.speaker_embedding is speaker
    assert spec.decoder.upsample_initial_channel == initial
    assert spec.decoder.upsample_kernel_sizes[0] == first_kernel
    assert spec.samples_per_token == 1280


@pytest.mark.parametrize("decoder", {spec.decoder for spec in SPECS.values()})
def test_a_decoder_stretches_each_frame_to_its_hop(decoder: VitsSpec) -> None:
    assert math.prod(decoder.upsample_rates) == decoder.hop_length
    assert len(decoder.upsample_rates) == len(decoder.upsample_kernel_sizes)


def test_symbol_tables_are_known_by_their_size() -> None:
    assert len(set(SYMBOL_COUNTS.values())) == len(SYMBOL_COUNTS)
