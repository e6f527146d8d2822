"""What Home Assistant's own checks would look at: manifest, translations, icon."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from custom_components import gptsovits_tts

FOLDER = Path(gptsovits_tts.__file__).parent
ENGLISH = json.loads((FOLDER / "translations" / "en.json").read_text())


def _texts(tree: dict[str, Any], path: str = "") -> dict[str, str]:
    """Every text by its path."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        inner = _texts(value, f"{path}/{key}") if isinstance(value, dict) else None
        found |= {f"{path}/{key}": value} if inner is None else inner
    return found


def _keys(tree: dict[str, Any], path: str = "") -> set[str]:
    """Every path to a text."""
    found = set()
    for key, value in tree.items():
        found |= _keys(value, f"{path}/{key}") if isinstance(value, dict) else {f"{path}/{key}"}
    return found


def test_manifest_keys_are_in_home_assistants_order() -> None:
    keys = list(json.loads((FOLDER / "manifest.json").read_text()))
    assert keys == ["domain", "name", *sorted(set(keys) - {"domain", "name"})]


@pytest.mark.parametrize("language", ["zh-Hans"])
def test_every_language_has_every_text(language: str) -> None:
    text = (FOLDER / "translations" / f"{language}.json").read_text(encoding="utf-8")
    assert _keys(json.loads(text)) == _keys(ENGLISH)


@pytest.mark.parametrize("language", ["zh-Hans"])
def test_every_text_is_translated_and_names_the_same(language: str) -> None:
    text = (FOLDER / "translations" / f"{language}.json").read_text(encoding="utf-8")
    theirs, ours = _texts(json.loads(text)), _texts(ENGLISH)
    names = {path: sorted(re.findall(r"{\w+}", text)) for path, text in ours.items()}
    assert {path: sorted(re.findall(r"{\w+}", text)) for path, text in theirs.items()} == names
    same = {text for path, text in theirs.items() if text == ours[path]}
    assert same == {"{name}", "Top k", "Top p", "GPU", "CPU"}


def test_the_icon_is_a_png_of_256_pixels() -> None:
    start = (FOLDER / "brand" / "icon.png").read_bytes()[:24]
    assert start[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", start[16:24]) == (256, 256)
