"""What addon/README.md tells a person to do, done as written (with podman-compose for Docker's)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.conftest import BEFORE_VERSION, CANNOT_BE_HAD
from tests.container.podman import ADDON, ROOT, Container, free_port, podman, run
from tests.service.recordings import SAID, spoken, wav

README = (ADDON / "README.md").read_text(encoding="utf-8")
FIELDS = {
    "name": "Mum",
    "language": "en",
    "transcript": SAID,
    "consent_name": "Anna",
    "consent": "true",
}
Compose = Callable[..., bytes]


def written(command: str) -> str:
    """A command that stands in the README, word for word."""
    assert re.search(rf"^\S*{re.escape(command)}$|`{re.escape(command)}`", README, re.MULTILINE)
    return command


def in_readme(start: str) -> str:
    """The README's command that starts so."""
    found = [line for line in README.splitlines() if line.startswith(start)]
    assert len(found) == 1, start
    return found[0]


@pytest.fixture
def home() -> Iterator[tuple[Container, Compose]]:
    """A project of its own: its commands, and the container that they run."""
    port = free_port()
    project = f"voices-test-{port}"
    variables = {
        "COMPOSE_PROJECT_NAME": project,
        "VOICES_PORT": str(port),
        "VOICES_WYOMING_PORT": str(free_port()),
    }

    def compose(line: str, image: str = "", data: bytes | None = None) -> bytes:
        """A line of the README, with podman-compose in the place of Docker's."""
        command = line.replace("docker compose", "podman-compose").split(" > ")[0].split(" < ")[0]
        wanted = variables | ({"VOICES_IMAGE": image} if image else {})
        return run("bash", "-c", command, data=data, **wanted).stdout

    yield Container(f"{project}_voices_1", port), compose
    run("podman-compose", "down", "--volumes", check=False, **variables)


def test_a_home_is_upgraded_and_goes_back_with_its_voices(
    image: str, before: str, home: tuple[Container, Compose]
) -> None:
    container, compose = home
    compose(written("docker compose up -d"), before)
    assert container.ready()["version"] == BEFORE_VERSION
    token = compose(written("docker compose exec voices cat /data/token")).decode().strip()
    container.enrol(FIELDS, wav(spoken()), token)
    assert container.voices(token) == ["plain", "mum"]

    compose("docker compose up -d", image)
    now = container.ready()
    assert now["version"] != BEFORE_VERSION
    assert container.voices(token) == ["plain", "mum"]
    assert container.say("Dinner is ready.", token).startswith(b"RIFF")
    report = compose(written("docker compose exec voices python -m service doctor"), image)
    assert b"of your own" in report

    assert "VOICES_IMAGE=family-voices:before docker compose up -d" in README
    compose("docker compose up -d", before)
    assert container.ready()["version"] == BEFORE_VERSION
    assert container.voices(token) == ["plain", "mum"]


def test_voices_are_kept_and_brought_back(image: str, home: tuple[Container, Compose]) -> None:
    container, compose = home
    compose("docker compose up -d", image)
    first = container.ready()["id"]
    token = container.token
    container.enrol(FIELDS, wav(spoken()), token)
    kept = compose(in_readme("docker compose exec -T voices tar -C /data -cf"), image)
    compose("docker compose down --volumes", image)
    assert podman("volume", "ls", "--quiet", "--filter", f"name={container.name[:-9]}") == ""

    compose("docker compose up -d", image)
    assert container.ready()["id"] != first
    compose(in_readme("docker compose exec -T voices tar -C /data -xf"), image, kept)
    compose("docker compose restart", image)
    assert container.ready()["id"] == first
    assert container.voices(token) == ["plain", "mum"]


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
