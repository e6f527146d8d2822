"""addon/README.md as a new user follows it, in its order and word for word.

A fresh clone of a repository of its own; `docker` is podman and podman-compose, and the image is
built on the stand-in base. Everything else is done as written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from service import __version__
from tests.container.podman import ADDON, CONTAINERS, ROOT, Container, free_port, podman
from tests.service.recordings import SAID, spoken, wav

README = (ADDON / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.+?)^```$", README, re.MULTILINE | re.DOTALL)
COMMAND = r"`((?:docker compose |script/|python |ethtool |nmcli |ip )[^`]+)`"
SENTENCES = re.findall(COMMAND, re.sub(r"(?ms)^```.+?^```$", "", README))
INSTALL, DOCTOR, TOKEN, SPEAK, UPGRADE, BACK, KEEP, RESTORE = range(8)
# Commands within sentences: those that the walk says, and why it leaves out the others.
BUILD = "script/image cpu family-voices:cpu"
LOOK = "docker compose run --rm voices doctor"
REMOVE, REMOVE_ALL = "docker compose down", "docker compose down --volumes"
LEFT_OUT = {
    "script/image gpu family-voices:gpu": "it takes minutes more; docs/container.md",
    "docker compose -f compose.yaml -f compose.gpu.yaml up -d": "it needs a card; test_compose.py",
    "ethtool -s eth0 wol g": "it needs a network card that wakes",
    "nmcli connection modify NAME 802-3-ethernet.wake-on-lan magic": "as above",
    "ip link": "it only looks",
    "python -m service import-voices FOLDER": "tests/service/test_import_voices.py",
}
BEFORE_VERSION = "0.0.9"
FIELDS = {
    "name": "Mum",
    "language": "en",
    "transcript": SAID,
    "consent_name": "Anna",
    "consent": "true",
}
DOCKER = f"""#!/usr/bin/env bash
[ "$1" != info ] || exit 1 # no engine runs here
[ "$1" = compose ] || exec {CONTAINERS} podman "$@"
shift
exec {CONTAINERS} podman-compose "$@"
"""


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def release(origin: Path, version: str) -> None:
    """Put a version of this tree into the repository that people clone."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = re.sub(r'^version = ".+"$', f'version = "{version}"', project, flags=re.MULTILINE)
    (origin / "pyproject.toml").write_text(project, encoding="utf-8")
    git(origin, "add", "--all")
    git(origin, "commit", "--message", version)


class Person:
    """Somebody who types what the README says."""

    def __init__(self, home: Path, origin: Path) -> None:
        self.here = home
        self._port = free_port()
        self._project = f"voices-test-{self._port}"
        self._origin = origin
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "docker").write_text(DOCKER)
        (home / "bin" / "docker").chmod(0o755)
        # The tests' own Python brings podman-compose.
        path = f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = os.environ | {"PATH": path, "COMPOSE_PROJECT_NAME": self._project}
        self.container = Container(f"{self._project}_voices_1", self._port)

    def says(self, commands: str) -> str:
        """Type commands; returns what they print."""
        assert commands in README
        typed = (
            commands.replace("https://github.com/gptsovits-home/gptsovits-home", str(self._origin))
            .replace(
                "script/image cpu family-voices:cpu",
                "script/image cpu family-voices:cpu --stand-in",
            )
            .replace("localhost:9880", f"localhost:{self._port}")
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", typed],
            cwd=self.here,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{typed}\n{(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def installs(self) -> None:
        """Type the first block, with ports of its own in `.env`."""
        clone, build = BLOCKS[INSTALL].split("script/image", 1)
        build, start = build.split("docker compose", 1)
        self.says(clone)
        self.here /= "gptsovits-home"
        # A clone's own store would be built from nothing.
        (self.here / ".cache").mkdir()
        (self.here / ".cache" / "containers").symlink_to(ROOT / ".cache" / "containers")
        self.says("script/image" + build)
        self.here /= "addon"
        ports = f"VOICES_PORT={self.container.port}\nVOICES_WYOMING_PORT={free_port()}\n"
        (self.here / ".env").write_text(ports)
        self.says("docker compose" + start)

    def volumes(self) -> str:
        return podman("volume", "ls", "--quiet", "--filter", f"name={self._project}")


@pytest.fixture
def origin(tmp_path: Path, image: str) -> Path:
    """A repository with the previous version; its clones use this one's store of images."""
    folder = tmp_path / "origin" / "gptsovits-home"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "--initial-branch=main")
    release(folder, BEFORE_VERSION)
    return folder


@pytest.fixture
def person(tmp_path: Path, origin: Path) -> Iterator[Person]:
    person = Person(tmp_path / "home", origin)
    yield person
    podman("rm", "--force", "--time", "1", "--volumes", person.container.name, check=False)
    podman("volume", "prune", "--force", check=False)


def test_a_home_installs_speaks_upgrades_goes_back_and_restores(
    person: Person, origin: Path
) -> None:
    person.installs()
    first = person.container.ready()
    assert first["version"] == BEFORE_VERSION
    assert "plain speaks" in person.says(BLOCKS[DOCTOR])
    assert "plain voice" in person.says(LOOK)
    token = person.says(BLOCKS[TOKEN]).strip()
    person.says(BLOCKS[SPEAK])
    assert soundfile.info(person.here / "dinner.wav").duration > 0.5
    person.container.enrol(FIELDS, wav(spoken()), token)
    person.says(BLOCKS[KEEP])

    release(origin, __version__)
    person.says(BLOCKS[UPGRADE])
    assert person.container.ready()["version"] == __version__
    assert person.container.voices(token) == ["plain", "mum"]
    assert person.container.say("Dinner is ready.", token).startswith(b"RIFF")
    assert "1 of your own" in person.says(BLOCKS[DOCTOR])

    person.says(BLOCKS[BACK])
    assert person.container.ready()["version"] == BEFORE_VERSION
    assert person.container.voices(token) == ["plain", "mum"]

    person.says(REMOVE_ALL)
    assert person.volumes() == ""
    person.says("docker compose up -d")
    assert person.container.ready()["id"] != first["id"]
    person.says(BLOCKS[RESTORE])
    assert person.container.ready()["id"] == first["id"]
    assert person.container.voices(token) == ["plain", "mum"]
    person.says(REMOVE)
    assert person.volumes() != ""


def test_every_command_is_said_or_left_out_for_a_reason() -> None:
    assert len(BLOCKS) == RESTORE + 1
    assert sorted(SENTENCES) == sorted({LOOK, REMOVE, REMOVE_ALL, *LEFT_OUT})
