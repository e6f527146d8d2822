"""The model in the package: unpacked, installed and enrolled without a download or PyTorch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import soundfile

from engines.backends import CheckpointFiles
from service import box
from tests.service.conftest import eventually
from tests.service.model_house import (
    REFERENCE,
    StartHouse,
    bare,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    tiny_files,  # noqa: F401
)
from training.package import pack


@pytest.fixture(scope="module")
def package(
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    model = tmp_path_factory.mktemp("official")
    shutil.copyfile(tiny_files.t2s, model / "t2s.ckpt")
    shutil.copyfile(tiny_files.sovits, model / "sovits.pth")
    shutil.copytree(tiny_files.models, model / "models")
    folder = tmp_path_factory.mktemp("shipped") / "demo"
    pack(model, folder)
    samples, rate = soundfile.read(REFERENCE)
    soundfile.write(folder / "voice.flac", samples, rate)
    (folder / "voice.txt").write_text("The kettle is on.\n")
    return folder


@pytest.fixture
def shipped(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the tiny model, where the shipped one would lie."""
    folder = tmp_path / "package" / "demo"
    shutil.copytree(package, folder)
    monkeypatch.setattr(box.Box.__init__, "__defaults__", (folder,))
    return folder


async def test_the_model_in_the_package_speaks_without_pytorch(
    house: StartHouse,  # noqa: F811
    shipped: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare(monkeypatch, None)
    home = await house()
    _, listed = await home.ask("GET", "/v1/models")
    assert listed["box"] is True
    assert listed["converting"] == "missing"
    status, job = await home.ask("POST", "/v1/models", json={"source": "box"})
    assert status == 202
    assert (await home.ended(job))["state"] == "done"
    assert (await home.listed())["demo"]["share"] == 1
    status, voice = await home.ask("GET", "/v1/voices/demo")
    assert (status, voice["cloned"], voice["usable"]) == (200, True, True)
    await eventually(lambda: home.fleet.state("demo")[0] == "ready")
    status, rung, model = await home.say("Dinner is ready.", voice="demo")
    assert (status, rung, model) == (200, "onnxruntime", "demo")


@pytest.mark.parametrize("door", ["/v1/audio/speech", "/tts"])
async def test_a_request_that_does_not_say_how_gets_what_suits_the_model(
    house: StartHouse,  # noqa: F811
    shipped: Path,
    door: str,
) -> None:
    home = await house()
    _, job = await home.ask("POST", "/v1/models", json={"source": "box"})
    await home.ended(job)
    (listed,) = (await home.listed()).values()
    suits = {"temperature": 0.6, "repetition_penalty": 1.0}
    assert listed["sampling"] == {"top_k": 15, "top_p": 1.0, **suits}
    await eventually(lambda: home.fleet.state("demo")[0] == "ready")
    fields: dict[str, object] = {
        "/v1/audio/speech": {
            "input": "Dinner is ready.",
            "voice": "demo",
            "response_format": "pcm",
            "seed": 0,
        },
        "/tts": {
            "text": "Dinner is ready.",
            "text_lang": "en",
            "ref_audio_path": "demo.wav",
            "prompt_lang": "en",
            "media_type": "raw",
            "seed": 0,
        },
    }[door]
    heard = []
    for how in ({}, suits, {"temperature": 1.0, "repetition_penalty": 1.35}):
        async with home.session.post(home.url + door, json={**fields, **how}) as answer:
            assert answer.headers["X-Speech-Rung"] == "onnxruntime", await answer.text()
            heard.append(await answer.read())
    assert heard[0] == heard[1]
    assert heard[0] != heard[2]


async def test_a_second_time_keeps_the_voice(house: StartHouse, shipped: Path) -> None:  # noqa: F811
    home = await house()
    for wanted in ("demo", "demo-2"):
        _, job = await home.ask("POST", "/v1/models", json={"source": "box"})
        assert (await home.ended(job))["model"] == wanted
    _, answer = await home.ask("GET", "/v1/voices")
    assert [voice["id"] for voice in answer["voices"] if voice["cloned"]] == ["demo"]


async def test_without_a_shipped_model_nothing_is_offered(
    house: StartHouse,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(box.Box.__init__, "__defaults__", (tmp_path / "none",))
    home = await house()
    assert (await home.ask("GET", "/v1/models"))[1]["box"] is False
    status, refused = await home.ask("POST", "/v1/models", json={"source": "box"})
    assert (status, refused["error"]["code"]) == (404, "nothing_in_the_box")
    assert (await home.ask("GET", "/v1/models/jobs"))[1]["jobs"] == []


async def test_a_damaged_package_installs_nothing(
    house: StartHouse,  # noqa: F811
    shipped: Path,
) -> None:
    (shipped / "files" / "t2s.ckpt").write_bytes(b"PK")
    home = await house()
    _, job = await home.ask("POST", "/v1/models", json={"source": "box"})
    ended = await home.ended(job)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "bad_checkpoint")
    assert await home.listed() == {}
    assert (await home.ask("GET", "/v1/voices/demo"))[0] == 404
