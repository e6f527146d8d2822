"""A disk that turns read-only under a real service, as a dying memory card does."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.ground import REPOSITORY
from tests.lab.process import Process, free_port
from tests.service.test_chaos import ask, enrol, patch, speak, voices

pytestmark = pytest.mark.slow
# While the file exists, nothing below the folder can be written, made, renamed or deleted.
DISK = """
import errno, os, sys
from service import __main__
switch, folder = sys.argv.pop(1), sys.argv.pop(1)
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.link"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
seen = os.path.exists

def disk(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if (writes or event in CHANGES) and str(arguments[0]).startswith(folder) and seen(switch):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

sys.addaudithook(disk)
sys.exit(__main__.main())
"""


@dataclass
class OnDisk:
    """A service on such a disk."""

    url: str
    port: int
    switch: Path

    def lock(self) -> None:
        self.switch.touch()

    def unlock(self) -> None:
        self.switch.unlink()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[OnDisk]:
    port = free_port()
    data = folder / "data"
    flags = ["--port", str(port), "--data", str(data)]
    command = [sys.executable, "-c", DISK, str(folder / "switch"), str(data), *flags]
    with Process("the service", *command, log=folder / "log", cwd=REPOSITORY) as program:
        program.wait_for("readiness", lambda: "ready: plain speaks" in program.log.read_text(), 60)
        yield OnDisk(f"http://127.0.0.1:{port}", port, folder / "switch")
    assert "Traceback" not in program.log.read_text()


def test_a_disk_that_turns_read_only_does_not_silence_the_house(tmp_path: Path) -> None:
    clip = json.dumps({"input": "Hello.", "response_format": "wav"}).encode()
    with serving(tmp_path) as service:
        assert enrol(service, "Dad")[0] == 201
        assert speak(service, "All is well.") > 10_000
        service.lock()
        assert speak(service, "The disk is read-only.") > 10_000
        assert speak(service, "All is well.") > 10_000
        for status, answer in (
            enrol(service, "Mum"),
            ask(service, "/v1/clips", clip),
            patch(service, "dad", {"name": "Father"}),
        ):
            assert (status, answer["error"]["code"]) == (507, "storage_failed")
            assert str(tmp_path) not in answer["error"]["message"]
        assert voices(service) == {"plain", "dad"}
        assert ask(service, "/health")[1]["status"] == "ok"
        service.unlock()
        assert patch(service, "dad", {"name": "Father"})[1]["name"] == "Father"
        assert enrol(service, "Mum")[0] == 201
        assert ask(service, "/v1/clips", clip)[0] == 200
        service.lock()
    # What a power cut left behind cannot be cleared away.
    (tmp_path / "data" / "cache" / "plain" / "a.part").touch()
    for left in ("voices/.new-01234567-aunt", "models/.gone-01234567-old", "incoming/.work-1"):
        (tmp_path / "data" / left).mkdir(parents=True)
    with serving(tmp_path) as service:
        assert voices(service) == {"plain", "dad", "mum"}
        assert speak(service, "Started on a disk that cannot be written.") > 10_000
        assert enrol(service, "Aunt")[1]["error"]["code"] == "storage_failed"
