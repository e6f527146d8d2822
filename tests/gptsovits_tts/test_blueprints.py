"""The blueprints: what Home Assistant thinks of them, and each run once on the fake service."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_service import FakeService
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.media_player.const import MediaPlayerEntityFeature
from homeassistant.const import STATE_IDLE
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from homeassistant.util import yaml
from pytest_homeassistant_custom_component.common import (
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.gptsovits_tts import interruption

pytestmark = pytest.mark.usefixtures("loaded")
FOLDER = Path(__file__).parents[2] / "blueprints" / "automation"
NAMES = sorted(path.stem for path in (FOLDER / "gptsovits_tts").glob("*.yaml"))
KITCHEN = "media_player.kitchen"
Use = Callable[[str, dict[str, Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def played(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> list[ServiceCall]:
    monkeypatch.setattr(interruption, "longest", lambda text: 0.0)
    # It tells its volume: frozen time is the event loop's own, so nobody may wait for it here.
    settable = {"supported_features": MediaPlayerEntityFeature.VOLUME_SET, "volume_level": 0.3}
    hass.states.async_set(KITCHEN, STATE_IDLE, settable)
    return async_mock_service(hass, "media_player", "play_media")


@pytest.fixture(autouse=True)
def turned(hass: HomeAssistant) -> list[ServiceCall]:
    return async_mock_service(hass, "media_player", "volume_set")


@pytest.fixture
async def use(hass: HomeAssistant, tmp_path: Path) -> AsyncIterator[Use]:
    """Makes an automation of a blueprint; it is stopped after the test."""

    async def make(name: str, inputs: dict[str, Any]) -> None:
        hass.config.config_dir = str(tmp_path)
        shutil.copytree(FOLDER, tmp_path / "blueprints" / "automation")
        blueprint = {
            "path": f"gptsovits_tts/{name}.yaml",
            "input": {"players": {"entity_id": [KITCHEN]}, **inputs},
        }
        config = {"automation": {"id": name, "alias": name, "use_blueprint": blueprint}}
        assert await async_setup_component(hass, "automation", config)
        await hass.async_block_till_done()
        assert hass.states.get(f"automation.{name}").state == "on"

    yield make
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)


async def _later(hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float) -> None:
    freezer.tick(seconds)
    async_fire_time_changed(hass)
    # Volumes are given back in the background.
    await hass.async_block_till_done(wait_background_tasks=True)


def _said(service: FakeService) -> list[str]:
    return [message["text"] for message in service.received if message["type"] == "text"]


def _volumes(turned: list[ServiceCall]) -> list[float]:
    return [call.data["volume_level"] for call in turned]


@pytest.mark.parametrize("name", NAMES)
def test_home_assistant_takes_it(name: str) -> None:
    data = yaml.load_yaml(FOLDER / "gptsovits_tts" / f"{name}.yaml")
    blueprint = Blueprint(data, expected_domain="automation", schema=AUTOMATION_BLUEPRINT_SCHEMA)
    assert blueprint.validate() is None  # the version is new enough
    assert blueprint.metadata["source_url"].endswith(f"/{name}.yaml")
    assert {"players", "voice", "text"} <= blueprint.inputs.keys()


def test_all_four_are_here() -> None:
    assert NAMES == ["bedtime", "doorbell", "low_battery", "washing_machine"]


async def test_the_washing_machine_is_done_in_mums_voice(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    use: Use,
    freezer: FrozenDateTimeFactory,
) -> None:
    hass.states.async_set("sensor.washer", "800")
    await use("washing_machine", {"power": "sensor.washer", "voice": "Mum"})
    hass.states.async_set("sensor.washer", "2")
    await hass.async_block_till_done()
    await _later(hass, freezer, 60)
    assert played == []
    await _later(hass, freezer, 130)
    assert _said(service) == ["The washing machine is done."]
    assert service.received[0]["voice"] == "mum"
    assert service.received[0]["chime"] == "ding"
    assert [call.data["entity_id"] for call in played] == [KITCHEN]


@pytest.mark.parametrize(
    ("doorbell", "before", "pressed"),
    [
        ("binary_sensor.door", "off", "on"),
        ("event.door", "2026-11-23T10:00:00", "2026-11-23T11:00:00"),
    ],
)
async def test_the_doorbell_rings_once(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    turned: list[ServiceCall],
    use: Use,
    freezer: FrozenDateTimeFactory,
    doorbell: str,
    before: str,
    pressed: str,
) -> None:
    hass.states.async_set(doorbell, before)
    await use("doorbell", {"doorbell": doorbell})
    for state in (pressed, before, pressed):
        hass.states.async_set(doorbell, state)
        await _later(hass, freezer, 1)
    assert _said(service) == ["Somebody is at the door."]
    start = service.received[0]
    assert (start["chime"], start["priority"], start["expires"]) == ("doorbell", "alert", 20)
    assert len(played) == 1
    assert _volumes(turned) == [0.6, 0.3]
    hass.states.async_set(doorbell, "unavailable")
    await _later(hass, freezer, 60)
    assert len(played) == 1


@pytest.mark.parametrize(("day", "times"), [(26, 1), (27, 0)])
async def test_bedtime_comes_on_its_days(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    turned: list[ServiceCall],
    use: Use,
    freezer: FrozenDateTimeFactory,
    day: int,
    times: int,
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to(f"2026-11-{day}T19:29:30+00:00")  # the 26th is a Thursday
    await use("bedtime", {"voice": "Mum", "style": "happy"})
    await _later(hass, freezer, 31)
    assert len(_said(service)) == len(played) == times
    assert _volumes(turned) == [0.25, 0.3] * times
    manners = [m for m in service.received if m["type"] == "start"]
    assert [(m["style"], m["speed"]) for m in manners] == [("happy", 0.9)] * times


@pytest.mark.parametrize(("level", "said"), [("9", True), ("80", False), ("unknown", False)])
async def test_empty_batteries_are_named(
    hass: HomeAssistant,
    service: FakeService,
    use: Use,
    freezer: FrozenDateTimeFactory,
    level: str,
    said: bool,
) -> None:
    await hass.config.async_set_time_zone("UTC")
    facts = {"device_class": "battery"}
    hass.states.async_set("sensor.remote", level, {**facts, "friendly_name": "Remote"})
    hass.states.async_set("sensor.lock", "90", {**facts, "friendly_name": "Lock"})
    freezer.move_to("2026-11-26T17:59:30+00:00")
    await use("low_battery", {})
    await _later(hass, freezer, 31)
    assert _said(service) == ["These batteries are nearly empty: Remote."] * said
