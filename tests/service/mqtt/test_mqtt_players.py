"""Players that a stand-in for Home Assistant knows, asked through a real Mosquitto."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from tests.lab.mqtt_client import Visitor
from tests.service.conftest import RunningService, eventually
from tests.service.mqtt.conftest import HomeAssistant, StartHouse, answers

KITCHEN = "media_player.kitchen"


async def test_players_are_asked_to_play(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    url = str(home_assistant.server.make_url("/"))
    await start_house(
        home_assistant_url=url, home_assistant_token="s3cret", mqtt_players="media_player.kitchen"
    )
    visitor.say(text="One.", id="named", players=["media_player.kitchen"])
    visitor.say(text="One.", id="default")
    visitor.say(text="One.", id="nobody", players=[])
    named, default, nobody = await answers(visitor, 3)
    assert home_assistant.tokens == ["Bearer s3cret"] * 2
    assert home_assistant.played == [
        {
            "entity_id": ["media_player.kitchen"],
            "media_content_id": each["url"],
            "media_content_type": "music",
            "announce": True,
        }
        for each in (named, default)
    ]
    assert nobody["players"] == []


async def test_players_are_asked_through_the_supervisor(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    url = str(home_assistant.server.make_url("/core"))
    await start_house(home_assistant_url=url, home_assistant_token="supervisors")
    visitor.say(text="One.", players=KITCHEN, volume=0.5)
    [said] = await answers(visitor, 1)
    assert (said["players"], said["volume"]) == ([KITCHEN], 0.5)
    assert home_assistant.paths == ["/core/api/services/media_player/play_media"]
    assert home_assistant.tokens == ["Bearer supervisors"]


@pytest.mark.parametrize(
    ("player", "status", "code"),
    [
        ("media_player.moon", 200, "player_not_found"),
        ("media_player.attic", 200, "player_not_found"),
        ("media_player.kitchen", 401, "player_failed"),
        ("media_player.kitchen", 500, "player_failed"),
    ],
)
async def test_a_player_that_does_not_play_is_a_failure(
    start_house: StartHouse,
    visitor: Visitor,
    home_assistant: HomeAssistant,
    player: str,
    status: int,
    code: str,
) -> None:
    home_assistant.status = status
    await start_house(home_assistant_url=str(home_assistant.server.make_url("/")))
    visitor.say(text="One.", players=player)
    [failed] = await answers(visitor, 1)
    assert failed["code"] == code


async def test_a_home_assistant_that_is_away_is_a_failure(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house(home_assistant_url="http://127.0.0.1:1")
    visitor.say(text="One.", players="media_player.kitchen")
    [failed] = await answers(visitor, 1)
    assert failed["code"] == "player_failed"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Players begin at once."""
    monkeypatch.setattr("service.players._TO_START", 0.0)
    monkeypatch.setattr("service.volumes._LOOK", 0.02)
    monkeypatch.setattr("service.volumes._NEXT_TRY", 0.02)


async def _at_kitchen(start: StartHouse, home: HomeAssistant) -> RunningService:
    return await start(home_assistant_url=str(home.server.make_url("/")), mqtt_players=KITCHEN)


async def test_players_are_as_loud_as_asked_and_then_as_before(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="Dinner!", volume=0.8)
    [said] = await answers(visitor, 1)
    assert said["volume"] == 0.8
    assert (home_assistant.turned, len(home_assistant.played)) == ([0.8], 1)
    home_assistant.kitchen["state"] = "idle"
    await eventually(lambda: home_assistant.turned == [0.8, 0.2])


async def test_a_player_that_is_off_is_turned_when_it_plays(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen = {"state": "off", "attributes": {}}
    home_assistant.awake = {"state": "playing", "attributes": {"volume_level": 0.4}}
    visitor.say(text="Dinner!", volume=0.8)
    [said] = await answers(visitor, 1)
    assert said["volume"] == 0.8
    home_assistant.kitchen = {"state": "off", "attributes": {}}
    await eventually(lambda: home_assistant.turned == [0.8, 0.4])


async def test_a_player_that_never_tells_its_volume_is_not_turned(
    start_house: StartHouse,
    visitor: Visitor,
    home_assistant: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.players._TO_WAKE", 0.1)
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen = {"state": "off", "attributes": {}}
    visitor.say(text="Dinner!", volume=0.8)
    [said] = await answers(visitor, 1)
    assert said["volume"] is None
    assert home_assistant.turned == []


async def test_two_announcements_give_back_what_was_before_the_first(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    visitor.say(text="Two.", volume=0.9)
    await answers(visitor, 2)
    home_assistant.kitchen["state"] = "idle"
    await eventually(lambda: home_assistant.turned == [0.8, 0.9, 0.2])


async def test_who_turned_a_player_meanwhile_is_heeded(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    home_assistant.kitchen = {"state": "idle", "attributes": {"volume_level": 0.5}}
    await eventually(lambda: _kept(tmp_path) == {})
    assert home_assistant.turned == [0.8]


async def test_volumes_are_given_back_after_the_next_start(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    house = await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    await house.stop()
    assert _kept(tmp_path) == {KITCHEN: 0.2}
    home_assistant.kitchen["state"] = "idle"
    await _at_kitchen(start_house, home_assistant)
    await eventually(lambda: home_assistant.volume == 0.2)
    await eventually(lambda: _kept(tmp_path) == {})


async def test_what_home_assistant_knew_ten_seconds_ago_is_not_given_back(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.actual = {"state": "idle", "attributes": {"volume_level": 0.6}}
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    await eventually(lambda: home_assistant.turned == [0.8, 0.6])


async def test_a_player_that_tells_nothing_does_not_keep_an_announcement_waiting(
    start_house: StartHouse,
    visitor: Visitor,
    home_assistant: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.players._TO_TELL", 0.02)
    await _at_kitchen(start_house, home_assistant)
    home_assistant.hold = told = asyncio.Event()
    visitor.say(text="One.", volume=0.8)
    [said] = await answers(visitor, 1)
    assert said["volume"] == 0.8
    told.set()
    await eventually(lambda: home_assistant.turned == [0.8, 0.2])


async def test_who_turned_a_player_between_announcements_is_heeded(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    home_assistant.kitchen = {"state": "playing", "attributes": {"volume_level": 0.5}}
    visitor.say(text="Two.", volume=0.9)
    await answers(visitor, 2)
    home_assistant.kitchen["state"] = "idle"
    await eventually(lambda: home_assistant.turned == [0.8, 0.9, 0.5])


async def test_a_volume_is_not_given_back_in_the_next_announcement(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    home_assistant.kitchen["state"] = "idle"
    home_assistant.answer = told = asyncio.Event()
    await eventually(lambda: home_assistant.answer is None)
    visitor.say(text="Two.", volume=0.8)
    await answers(visitor, 2)
    home_assistant.kitchen["state"] = "playing"
    looks = home_assistant.looks
    told.set()
    await eventually(lambda: home_assistant.looks >= looks + 2)
    assert home_assistant.turned == [0.8, 0.8]
    home_assistant.kitchen["state"] = "idle"
    await eventually(lambda: home_assistant.turned == [0.8, 0.8, 0.2])


async def test_what_cannot_be_turned_is_heard_all_the_same(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.volume_status = 400
    visitor.say(text="One.", volume=0.8)
    [said] = await answers(visitor, 1)
    assert said["volume"] is None
    assert len(home_assistant.played) == 1


async def test_home_assistant_is_asked_until_the_volume_is_given_back(
    start_house: StartHouse, visitor: Visitor, home_assistant: HomeAssistant
) -> None:
    await _at_kitchen(start_house, home_assistant)
    home_assistant.kitchen["state"] = "playing"
    visitor.say(text="One.", volume=0.8)
    await answers(visitor, 1)
    home_assistant.volume_status = 500
    home_assistant.kitchen["state"] = "idle"
    await eventually(lambda: len(home_assistant.turned) > 3)
    home_assistant.volume_status = 200
    turned = len(home_assistant.turned)
    await eventually(lambda: len(home_assistant.turned) > turned)
    assert home_assistant.turned[0] == 0.8
    assert set(home_assistant.turned[1:]) == {0.2}


def _kept(folder: Path) -> object:
    with sqlite3.connect(folder / "mqtt.sqlite") as store:
        found = store.execute("SELECT value FROM choice WHERE key = 'volumes'").fetchone()
    store.close()
    return json.loads(found[0])
