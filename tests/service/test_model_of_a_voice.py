"""Which model speaks a voice: chosen when it is enrolled, and changed later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.service.model_house import (  # noqa: F401
    House,
    StartHouse,
    golden,
    house,
    install,
    tiny_files,
    tiny_model,
)
from tests.service.recordings import spoken, wav
from tests.service.test_voices_api import FIELDS, form

HOUSE_S_CHOICE = (200, "onnxruntime", "old")


async def enrol(home: House, **fields: str) -> tuple[int, Any]:
    body = form(wav(spoken()), {**FIELDS, **fields})
    return await home.ask("POST", "/v1/voices", data=body)


@pytest.fixture
async def home(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> House:
    install(tmp_path, tiny_model, "old", "new")
    return await house(model="old")


@pytest.mark.parametrize(
    ("fields", "kept", "spoken_by"),
    [({"model": "new"}, "new", "new"), ({"model": ""}, None, "old"), ({}, None, "old")],
    ids=["chosen", "the house's choice", "not asked"],
)
async def test_a_voice_is_enrolled_with_its_model(
    home: House, fields: dict[str, str], kept: str | None, spoken_by: str
) -> None:
    status, made = await enrol(home, **fields)
    assert (status, made["model"]) == (201, kept)
    assert await home.say("Good morning.") == (200, "onnxruntime", spoken_by)


async def test_a_model_that_is_not_there_makes_no_voice(home: House, tmp_path: Path) -> None:
    status, refused = await enrol(home, model="other")
    assert (status, refused["error"]["code"]) == (404, "model_not_found")
    assert "installed: new, old" in refused["error"]["message"]
    assert {path.name for path in (tmp_path / "voices").iterdir()} == {".lock"}


async def test_the_model_is_changed_later_and_outlives_a_new_recording(home: House) -> None:
    await enrol(home, model="new")
    body = form(wav(spoken()), {key: FIELDS[key] for key in FIELDS if key != "name"})
    assert (await home.ask("PUT", "/v1/voices/mum/reference", data=body))[1]["model"] == "new"
    assert (await home.ask("PATCH", "/v1/voices/mum", json={"model": None}))[1]["model"] is None
    assert await home.say("Good morning.") == HOUSE_S_CHOICE
