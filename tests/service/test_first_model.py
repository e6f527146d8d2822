"""A house whose image has no PyTorch: it is fetched for the first model, or refused early."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from engines.backends import CheckpointFiles
from engines.spec import OFFICIAL_FILES
from service import converter
from service.converter import Converter
from service.model_errors import ConverterFailed
from tests.service.conftest import eventually
from tests.service.model_house import (
    StartHouse,
    bare,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)
from tests.service.test_models_api import form, left

# In pip's place: make what it would make, `--data FOLDER` being the last two arguments.
MAKES = """
import pathlib, sys
for name in ("torch", "onnx"):
    pathlib.Path(sys.argv[-1], "converter", name).mkdir(parents=True)
"""
FAILS = "import sys; sys.exit('cannot be fetched: no network')"
HUB = {"source": "hub", "version": next(iter(OFFICIAL_FILES))}


def fetching(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(converter, "COMMAND", (sys.executable, "-c", code))


async def test_where_nothing_converts_official_files_are_refused_before_they_come(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    official = tmp_path / "incoming" / "official"
    official.mkdir(parents=True)
    (official / "a.ckpt").touch()
    (official / "a.pth").touch()
    shutil.copytree(tiny_model, tmp_path / "incoming" / "converted")
    bare(monkeypatch, None)
    home = await house(hub_url="http://127.0.0.1:9")
    assert (await home.ask("GET", "/v1/models"))[1]["converting"] == "missing"
    folder = {"source": "folder", "folder": "official"}
    for given in ({"json": HUB}, {"json": folder}, {"data": form(tiny_files)}):
        status, refused = await home.ask("POST", "/v1/models", **given)
        assert (status, refused["error"]["code"]) == (409, "converter_missing")
        assert "convert them on another machine" in refused["error"]["message"]
    assert (await home.ask("GET", "/v1/models/jobs"))[1]["jobs"] == []

    _, job = await home.ask("POST", "/v1/models", json=folder | {"folder": "converted"})
    assert (await home.ended(job))["state"] == "done"


async def test_what_converts_is_fetched_with_the_first_model_while_the_plain_voice_speaks(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enrol(tmp_path)
    bare(monkeypatch, tmp_path)
    began, gate = tmp_path / "began", tmp_path / "gate"
    waits = f"""
import pathlib, time
pathlib.Path({str(began)!r}).touch()
while not pathlib.Path({str(gate)!r}).exists():
    time.sleep(0.05)
"""
    fetching(monkeypatch, waits + MAKES)
    home = await house()
    assert (await home.ask("GET", "/v1/models"))[1]["converting"] == "fetched first"
    _, job = await home.ask("POST", "/v1/models", data=form(tiny_files, name="Our model"))
    await eventually(began.exists)
    _, job = await home.ask("GET", f"/v1/models/jobs/{job['id']}")
    assert (job["state"], job["stage"]) == ("running", "fetch")
    assert "PyTorch" in job["message"]
    assert (await home.say("Dinner is ready."))[:2] == (200, "plain")
    gate.touch()
    job = await home.ended(job)
    assert (job["state"], job["error"]) == ("done", None)
    assert (await home.ask("GET", "/v1/models"))[1]["converting"] == "here"


async def test_a_fetch_that_fails_comes_before_any_download(
    house: StartHouse,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare(monkeypatch, tmp_path)
    fetching(monkeypatch, FAILS)
    home = await house(hub_url="http://127.0.0.1:9")
    _, job = await home.ask("POST", "/v1/models", json=HUB)
    job = await home.ended(job)
    assert job["error"] == {
        "code": "converter_failed",
        "message": "PyTorch cannot be fetched: no network",
    }
    assert left(tmp_path) == set()


async def test_it_is_fetched_once_for_all_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare(monkeypatch, tmp_path)
    fetching(monkeypatch, MAKES)  # which fails where the folders are there already
    ours = Converter(tmp_path)
    await asyncio.gather(ours.bring(), ours.bring(), ours.bring_in_the_background())
    assert ours.state == "here"


async def test_who_is_cancelled_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare(monkeypatch, tmp_path)
    started = tmp_path / "started"
    fetching(monkeypatch, f"open({str(started)!r}, 'w').close(); import time; time.sleep(600)")
    ours = Converter(tmp_path)
    fetch = asyncio.create_task(ours.bring())
    await eventually(started.exists)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    fetching(monkeypatch, FAILS)
    with pytest.raises(ConverterFailed, match="no network"):
        await ours.bring()
