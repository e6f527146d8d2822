"""The service or its child is killed while a model is being installed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from engines.backends import CheckpointFiles
from service.model_jobs import ModelJobs
from service.models import ModelStore
from tests.lab.speech_service import SpeechService
from tests.service.model_house import golden, tiny_files, tiny_model  # noqa: F401

ROOT = Path(__file__).parents[2]
WAIT = 120.0  # seconds
OTHER = """
import sys
from pathlib import Path
from service.model_jobs import ModelJobs
from service.models import ModelStore
ModelJobs(ModelStore(Path(sys.argv[1]), None), Path("incoming"))
"""


def ask(url: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
    headers = {"Content-Type": kind} if kind else {}
    request = urllib.request.Request(url + path, body, headers)
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return json.load(answer)


def upload(url: str, files: CheckpointFiles) -> dict[str, Any]:
    boundary = uuid.uuid4().hex
    given = {
        "t2s": files.t2s,
        "sovits": files.sovits,
        "hubert_config": files.hubert / "config.json",
        "hubert": files.hubert / "pytorch_model.bin",
    }
    body = b""
    for name, path in given.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="x"'
        body += f"{head}\r\n\r\n".encode() + path.read_bytes() + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    job: dict[str, Any] = ask(url, "/v1/models", body, f"multipart/form-data; boundary={boundary}")
    return job


def children(parent: int) -> list[int]:
    """The processes that convert for a service."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"service.model_child" in words and str(parent).encode() in words:
            found.append(int(path.parts[2]))
    return found


def until(condition: Any) -> Any:
    deadline = time.monotonic() + WAIT
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def converting(service: SpeechService, job: dict[str, Any]) -> bool:
    now = ask(service.url, f"/v1/models/jobs/{job['id']}")
    assert now["error"] is None
    return bool(now["stage"] == "convert" and now["percent"] > 0)


@pytest.mark.slow
def test_a_killed_service_leaves_no_child_and_no_half_model(
    tmp_path: Path,
    tiny_files: CheckpointFiles,  # noqa: F811
) -> None:
    with SpeechService(tmp_path, "") as service:
        job = upload(service.url, tiny_files)
        until(lambda: converting(service, job))
        pid = service._child.pid
        assert len(children(pid)) == 1
        service.signal(signal.SIGKILL)
        service.wait(WAIT)
        until(lambda: children(pid) == [])
    models = tmp_path / "data" / "models"
    assert [path.name for path in models.glob(".work-*")] == [f".work-{job['id']}"]
    store = ModelStore(models)
    ModelJobs(store, tmp_path / "incoming")
    assert store.all() == []
    assert list(models.glob(".work-*")) == []


@pytest.mark.slow
def test_a_killed_child_is_a_failure_that_says_so(
    tmp_path: Path,
    tiny_files: CheckpointFiles,  # noqa: F811
) -> None:
    with SpeechService(tmp_path, "") as service:
        job = upload(service.url, tiny_files)
        until(lambda: converting(service, job))
        (child,) = children(service._child.pid)
        os.kill(child, signal.SIGKILL)
        ended = until(
            lambda: (now := ask(service.url, f"/v1/models/jobs/{job['id']}"))["error"] and now
        )
        assert (ended["state"], "killed (signal 9)" in ended["message"]) == ("failed", True)
        models = tmp_path / "data" / "models"
        until(lambda: not list(models.glob(".work-*")))
        assert service.ready()


async def test_another_process_does_not_clear_away_what_is_being_installed(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    jobs = ModelJobs(store, tmp_path / "incoming")
    job = jobs.begin("upload", "Ours")
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OTHER, tmp_path / "models"), cwd=ROOT
    )
    assert await other.wait() == 0
    assert job.work.is_dir()
    await jobs.drop(job)
    assert not job.work.exists()


def test_a_folder_is_installed_from_the_command_line(tmp_path: Path, tiny_model: Path) -> None:  # noqa: F811
    command = [sys.executable, "-m", "service", "install-model"]
    data = ["--data", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tiny_model), *data], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "tiny is installed as tiny" in done.stdout
    assert [model.id for model in ModelStore(tmp_path / "models").all()] == ["tiny"]
    (tmp_path / "empty").mkdir()
    refused = subprocess.run(
        [*command, str(tmp_path / "empty"), *data],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "error (bad_request): folder: empty must hold one .ckpt file" in refused.stderr
    usage = subprocess.run([*command, *data], cwd=ROOT, capture_output=True, check=False)
    assert usage.returncode == 2
