"""The graphics card's rung beside the CPU's, made ill at every stage: the same voice goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.model_rung import ModelRung
from service.restart import Restarts
from service.rung_worker import Bounds
from tests.service.card_double import PAUSE, Card
from tests.service.conftest import eventually
from tests.service.model_house import (
    House,
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)

STAGES = ("t2s_prefill", "t2s_decode", "vits_generate")
AT_EASE = Bounds(3600.0, 3600.0)
CARD, CPU = (200, "tensorrt", "ours"), (200, "onnxruntime", "ours")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card whose engines are there, and limits that no slow machine breaks."""
    made = Card()

    async def built(task: str, *arguments: Any, hear: Callable[..., None], **_: Any) -> None:
        assert task == "build"
        for graph in arguments[arguments.index("--only") + 1 :]:
            hear({"graph": graph, "state": "kept", "seconds": 0.0, "reason": ""})

    monkeypatch.setattr("service.engine_builds.run_child", built)
    monkeypatch.setattr("service.model_rung.open_backend", made.open)
    return made


@pytest.fixture
async def start(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    card: Card,
) -> Callable[[], Awaitable[House]]:
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)

    async def begin() -> House:
        home = await house(backend="tensorrt", cache_mb=0, max_queue=100, max_wait=3600)
        for rung in rungs(home).values():
            rung.patience, rung.bounds = 600.0, AT_EASE
        return home

    return begin


def rungs(home: House) -> dict[str, ModelRung]:
    return {rung.name: rung for rung in home.fleet._rungs["ours"]}


def told(home: House, name: str) -> dict[str, Any]:
    return next(rung for rung in home.fleet.rungs("ours") if rung["name"] == name)


async def until_ready(home: House) -> None:
    await eventually(lambda: {each["state"] for each in home.fleet.rungs("ours")} == {"ready"})


async def until_well(home: House) -> None:
    """Let the ladder try at once what it would try later."""

    def up() -> bool:
        for step in home.health.ladder._steps:
            step.retry_at = 0.0
        return home.health.snapshot()["status"] == "ok"

    await eventually(up)


async def test_a_model_has_the_card_and_the_cpu_below_it(
    start: Callable[[], Awaitable[House]], card: Card
) -> None:
    home = await start()
    await until_ready(home)
    names = [rung["name"] for rung in home.health.snapshot()["rungs"]]
    assert names == ["tensorrt", "onnxruntime", "plain"]
    assert await home.say("Dinner is ready.") == CARD
    assert await home.say("Good night.", voice="plain") == (200, "plain", "")
    (model,) = (await home.listed()).values()
    assert (model["state"], model["rungs"][0]["name"]) == ("ready", "tensorrt")
    rungs(home)["tensorrt"].unload()
    assert [len(touched) for touched in card.threads] == [1], "one thread touches the device"


async def test_a_card_is_warm_before_it_speaks(
    start: Callable[[], Awaitable[House]], card: Card
) -> None:
    seen: list[str] = []
    for stage in ("warm_up", "t2s_prefill"):
        card.mood[stage] = partial(seen.append, stage)
    await until_ready(await start())
    assert seen[:2] == ["warm_up", "t2s_prefill"]


async def test_a_card_without_room_to_be_warm_speaks_all_the_same(
    start: Callable[[], Awaitable[House]], card: Card
) -> None:
    card.mood["warm_up"] = card.fill
    home = await start()
    await until_ready(home)
    assert await home.say("Dinner is ready.") == CARD


@pytest.mark.parametrize("how", ["fail", "hang", "slow"])
async def test_the_cpu_speaks_in_the_same_voice_until_the_card_is_well(
    start: Callable[[], Awaitable[House]], card: Card, how: str
) -> None:
    home = await start()
    await until_ready(home)
    rung = rungs(home)["tensorrt"]
    for stage in STAGES:
        assert await home.say(f"Before {stage}.") == CARD
        card.mood[stage] = getattr(card, how)
        rung.patience = {"hang": 0.3}.get(how, 600.0)
        rung.bounds = {"slow": Bounds(PAUSE, 3600.0)}.get(how, AT_EASE)
        heard = await asyncio.gather(*(home.say(f"Number {each}.") for each in range(6)))
        assert set(heard) <= {CARD, CPU}
        assert heard[-1] == await home.say("And another.", fallback="cpu") == CPU
        health = home.health.snapshot()
        assert (health["status"], health["rung"]) == ("degraded", "onnxruntime")
        assert told(home, "tensorrt")["state"] == "failed"
        assert home.fleet.state("ours") == ("ready", None)
        card.mood.clear()
        card.release.set()
        rung.patience, rung.bounds = 600.0, AT_EASE
        await until_well(home)
        card.release.clear()
    assert await home.say("As before.") == CARD
    assert len(card.threads[0]) == 1


async def test_a_card_that_is_lost_asks_for_a_new_process(
    start: Callable[[], Awaitable[House]], card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Restarts, "allowed", lambda self: False)
    home = await start()
    await until_ready(home)
    card.mood["t2s_decode"] = card.lose
    assert await home.say("Dinner is ready.") == CPU
    assert "illegal address" in (home.health.ladder.needs_restart or "")
    card.mood.clear()
    assert await home.say("Good night.") == CPU


@pytest.mark.parametrize("stage", ["load", "t2s_prefill"], ids=["load", "warm-up"])
@pytest.mark.parametrize("how", ["fail", "hang", "lose"])
async def test_a_card_that_does_not_come_up_leaves_the_cpu(
    start: Callable[[], Awaitable[House]],
    card: Card,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    how: str,
) -> None:
    monkeypatch.setattr(Restarts, "allowed", lambda self: False)
    monkeypatch.setattr("service.model_rung.LOAD_WITHIN", {"hang": 0.3}.get(how, 600.0))
    card.mood[stage] = getattr(card, how)
    home = await start()
    await eventually(lambda: told(home, "tensorrt")["state"] == "failed")
    monkeypatch.setattr("service.model_rung.LOAD_WITHIN", 600.0)
    await eventually(lambda: told(home, "onnxruntime")["state"] == "ready")
    assert await home.say("Dinner is ready.") == CPU
    health = home.health.snapshot()
    assert (health["status"], health["rung"]) == ("degraded", "onnxruntime")
    words = {"fail": "launch failure", "hang": "not come back", "lose": "illegal address"}
    assert words[how] in health["reason"]
    lost = home.health.ladder.needs_restart
    assert (lost is not None) == (how == "lose")
    card.mood.clear()
    card.release.set()
    monkeypatch.setattr("service.model_fleet.RETRY_AFTER", 0.0)
    await eventually(
        lambda: told(home, "tensorrt")["state"] == {"lose": "failed"}.get(how, "ready")
    )
    assert await home.say("Good night.") == {"lose": CPU}.get(how, CARD)


async def test_what_the_cpu_said_is_kept_for_the_card(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    card: Card,
) -> None:
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)
    card.mood["load"] = card.fail
    home = await house(backend="tensorrt")
    await eventually(lambda: told(home, "tensorrt")["state"] == "failed")
    assert await home.say("Dinner is ready.") == CPU
    card.mood.clear()
    rungs(home)["tensorrt"].load()
    assert (await home.say("Good night."))[1] == "tensorrt"
    assert (await home.say("Dinner is ready."))[1] == "cache"
