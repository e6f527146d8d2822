"""The compose files as Docker's own compose reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.container.conftest import CANNOT_BE_HAD
from tests.container.podman import ADDON, ROOT

README = (ADDON / "README.md").read_text(encoding="utf-8")


def test_the_files_are_what_the_readme_names() -> None:
    names = set(re.findall(r"compose[\w.]*\.yaml", README)) - {"compose.override.yaml"}
    assert names == {path.name for path in Path(ADDON).glob("*.yaml")}


def as_docker_reads(*files: Path, **variables: str) -> dict[str, Any]:
    """The one service that Docker's own compose makes of the files, and its volumes."""
    named = [argument for path in files for argument in ("-f", str(path))]
    done = subprocess.run(
        [ROOT / "script" / "compose", *named, "config", "--format", "json"],
        cwd=ADDON,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode == CANNOT_BE_HAD:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    return {**read["services"]["voices"], "all volumes": read["volumes"]}


def test_docker_reads_what_is_meant() -> None:
    voices = as_docker_reads(ADDON / "compose.yaml", VOICES_PORT="9999")
    assert voices["image"] == "family-voices:cpu"
    assert (voices["read_only"], voices["cap_drop"], voices["user"]) == (True, ["ALL"], "1000:1000")
    assert voices["environment"]["GPTSOVITS_PORT"] == "9999"
    assert voices["mem_limit"] == str(3 << 30)
    assert voices["all volumes"] == {"data": {"name": "family-voices_data"}}
    assert "deploy" not in voices


def test_docker_adds_the_card_and_what_a_household_sets(tmp_path: Path) -> None:
    own = tmp_path / "compose.override.yaml"
    own.write_text("services: {voices: {environment: {GPTSOVITS_MQTT_HOST: 192.168.1.2}}}")
    plain = as_docker_reads(ADDON / "compose.yaml")
    voices = as_docker_reads(ADDON / "compose.yaml", ADDON / "compose.gpu.yaml", own)
    (card,) = voices["deploy"]["resources"]["reservations"]["devices"]
    assert card == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    added = {"GPTSOVITS_MQTT_HOST": "192.168.1.2"}
    assert voices["environment"] == plain["environment"] | added
    different = {"image", "mem_limit", "deploy", "environment"}
    assert {key: voices[key] for key in voices.keys() - different} == {
        key: plain[key] for key in plain.keys() - different
    }
