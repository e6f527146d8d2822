"""The real image, built once for all tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.container.podman import CONTAINERS, ROOT, Container, free_port, podman

IMAGE = "localhost/family-voices:test"
CANNOT_BE_HAD = 3  # exit status of script/containers and script/stand-in-base
# An ordinary user without rights in a system that cannot be written, as compose.yaml says.
CONFINED = ("--user", "1000:1000", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all")


@pytest.fixture(scope="session")
def image() -> str:
    """The image as this tree makes it."""
    installed = subprocess.run([CONTAINERS, "install"], capture_output=True, text=True)
    if installed.returncode == CANNOT_BE_HAD:
        reason = f"no image is built here: {installed.stderr.strip()}"
        sys.__stderr__.write(f"\n{reason}\n")  # type: ignore[union-attr]
        pytest.skip(reason)
    assert installed.returncode == 0, installed.stderr
    built = subprocess.run(
        [ROOT / "script" / "image", "cpu", IMAGE, "--stand-in"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]
    return IMAGE


StartContainer = Callable[..., Container]


@pytest.fixture
def start(image: str) -> Iterator[StartContainer]:
    """Start the image with podman's arguments; what is started is removed at the end."""
    started: list[Container] = []

    def begin(*arguments: str | Path) -> Container:
        port = free_port()
        container = Container(f"voices-test-{port}", port)
        started.append(container)
        podman(
            *("run", "--detach", "--name", container.name, "--network", "host"),
            *("--env", f"GPTSOVITS_PORT={port}", "--env", "GPTSOVITS_WYOMING_PORT=0"),
            *("--env", "GPTSOVITS_ANNOUNCE=false", "--memory", "512m"),
            *(*arguments, image),
        )
        return container

    yield begin
    for container in started:
        podman("rm", "--force", "--time", "1", "--volumes", container.name, check=False)
