"""Model files that are cut short, garbage, of another kind or not what was written: the house says
which, goes on speaking, and takes the model back when it is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.backends import CheckpointFiles
from engines.model_folder import MANIFEST, WEIGHTS
from tests.service.conftest import eventually
from tests.service.model_house import (
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)
from tests.service.test_models_api import form


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    path.write_bytes(b"\0garbage" * (path.stat().st_size // 8) + b"?" * (path.stat().st_size % 8))


def rot(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def other_kind(path: Path) -> None:
    path.write_text(json.dumps({"format": 99}))


# File of an installed model, what happens to it, and what is said of it.
AT_START = {
    "cut short": (WEIGHTS, cut, "must have"),
    "gone": (WEIGHTS, Path.unlink, "must have"),
    "a manifest cut short": (MANIFEST, cut, "cannot be read"),
    "another format": (MANIFEST, other_kind, "format is 99"),
    "garbage": (WEIGHTS, garble, "is damaged"),
    "one bit": (WEIGHTS, rot, "is damaged"),
    "a garbled graph": ("vits_flow.onnx", garble, "is damaged"),
}


@pytest.mark.parametrize("what", AT_START)
async def test_a_model_that_broke_since_is_told_and_stood_in_for(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.setattr("service.model_fleet.RETRY_AFTER", 0.0)
    monkeypatch.setattr("service.model_fleet.REFRESH_EVERY", 1)
    name, happen, said = AT_START[what]
    install(tmp_path, tiny_model, "ours")
    # Somebody chose it; that it is there again must be enough to make it speak again.
    weights = {"format": 1, "weights": {"ours": 1.0}, "sticky": "voice", "history": [{"ours": 2.0}]}
    (tmp_path / "models" / "traffic.json").write_text(json.dumps(weights | {"setting": ""}))
    enrol(tmp_path)
    happen(tmp_path / "models" / "ours" / name)
    home = await house(cache_mb=0)
    await eventually(lambda: said in (home.health.snapshot()["reason"] or ""))
    assert home.health.snapshot()["status"] == "degraded"
    assert (await home.say("Dinner is ready."))[:2] == (200, "plain")
    shutil.copyfile(tiny_model / name, tmp_path / "models" / "ours" / name)
    await eventually(lambda: home.fleet.state("ours")[0] == "ready")
    assert home.health.snapshot()["status"] == "ok"
    assert await home.say("Good night.") == (200, "onnxruntime", "ours")


async def test_a_setting_that_names_no_model_does_not_silence_the_house(
    house: StartHouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    enrol(tmp_path)
    home = await house(model=str(tmp_path / "nowhere"))
    health = home.health.snapshot()
    assert (health["status"], health["rung"]) == ("degraded", "plain")
    assert "nowhere is not a converted model" in health["reason"]
    assert (await home.say("Dinner is ready."))[:2] == (200, "plain")


def swap(files: Path) -> None:
    shutil.copyfile(files / "sovits.pth", files / "t2s.ckpt")


@pytest.mark.parametrize(
    ("happen", "code"),
    [
        (lambda files: cut(files / "t2s.ckpt"), "bad_checkpoint"),
        (lambda files: garble(files / "sovits.pth"), "bad_checkpoint"),
        (swap, "bad_checkpoint"),
    ],
    ids=["cut short", "garbage", "another kind"],
)
async def test_broken_official_files_are_not_installed(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
    happen: Callable[[Path], None],
    code: str,
) -> None:
    files = tmp_path / "given"
    files.mkdir()
    shutil.copyfile(tiny_files.t2s, files / "t2s.ckpt")
    shutil.copyfile(tiny_files.sovits, files / "sovits.pth")
    happen(files)
    given = CheckpointFiles(files / "t2s.ckpt", files / "sovits.pth", tiny_files.models)
    home = await house()
    job = await home.ended((await home.ask("POST", "/v1/models", data=form(given)))[1])
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert any(name in job["message"] for name in ("t2s.ckpt", "sovits.pth"))
    assert await home.listed() == {}
    assert list((tmp_path / "models").glob(".work-*")) == []
    assert (await home.say("Dinner is ready.", voice="plain"))[:2] == (200, "plain")


@pytest.mark.parametrize(
    ("name", "happen"), [(WEIGHTS, cut), (WEIGHTS, rot), (MANIFEST, other_kind)]
)
async def test_a_broken_converted_folder_is_not_installed(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    name: str,
    happen: Callable[[Path], None],
) -> None:
    shutil.copytree(tiny_model, tmp_path / "incoming" / "theirs")
    happen(tmp_path / "incoming" / "theirs" / name)
    home = await house()
    body = {"source": "folder", "folder": "theirs"}
    job = await home.ended((await home.ask("POST", "/v1/models", json=body))[1])
    assert (job["state"], job["error"]["code"]) == ("failed", "bad_checkpoint")
    assert await home.listed() == {}
    assert list((tmp_path / "models").glob(".work-*")) == []
