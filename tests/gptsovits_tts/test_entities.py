"""The service's own entities, diagnostics and system health."""

from datetime import timedelta
from types import MappingProxyType
from typing import Any
from unittest.mock import ANY, patch

import pytest
from fake_service import FakeService
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import tts
from homeassistant.components.tts.entity import TTSAudioRequest
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    get_system_health_info,
    snapshot_platform,
)
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import props

from custom_components.gptsovits_tts.diagnostics import async_get_config_entry_diagnostics

READY = "binary_sensor.family_voices_ready"
DEGRADED = "binary_sensor.family_voices_below_its_best"
RUNG = "sensor.family_voices_speaks_with"
LAST = "event.family_voices_last_announcement"


async def _speak(hass: HomeAssistant) -> None:
    async def words() -> Any:
        yield "Hello."

    entity = hass.data[tts.const.DATA_COMPONENT].get_entity("tts.family_voices_speech")
    answer = await entity.async_stream_tts_audio(TTSAudioRequest("en", {}, words()))
    assert [chunk async for chunk in answer.data_gen]
    await hass.async_block_till_done()


@pytest.mark.newest  # the snapshots show what Home Assistant keeps of an entity
@pytest.mark.usefixtures("all_enabled")
@pytest.mark.freeze_time("2026-11-23 20:00:00")
@pytest.mark.parametrize("platform", ["binary_sensor", "event", "sensor", "tts"])
async def test_all_entities(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    entity_registry: er.EntityRegistry,
    snapshot: SnapshotAssertion,
    platform: str,
) -> None:
    with patch("custom_components.gptsovits_tts.PLATFORMS", [platform]):
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
    await snapshot_platform(hass, entity_registry, snapshot, entry.entry_id)


async def test_what_helps_only_in_trouble_is_off_at_first(
    hass: HomeAssistant, loaded: MockConfigEntry, entity_registry: er.EntityRegistry
) -> None:
    entities = er.async_entries_for_config_entry(entity_registry, loaded.entry_id)
    off = {each.translation_key for each in entities if each.disabled_by is not None}
    assert off == {"queue", "model"}


@pytest.mark.parametrize(
    ("status", "ready", "degraded"),
    [
        ("ok", "on", "off"),
        ("degraded", "on", "on"),
        ("loading", "off", "off"),
        ("unavailable", "off", "on"),
    ],
)
async def test_the_flags_follow_the_service(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    status: str,
    ready: str,
    degraded: str,
) -> None:
    service.health["status"] = status
    await loaded.runtime_data.async_refresh()
    assert hass.states.get(READY).state == ready
    assert hass.states.get(DEGRADED).state == degraded


async def test_an_absence_is_logged_once_and_so_is_the_return(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for status in (503, 503, 503, 200, 200):
        service.status = status
        freezer.tick(timedelta(seconds=31))
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert (hass.states.get(RUNG).state == STATE_UNAVAILABLE) is (status == 503)
        assert (hass.states.get(READY).state == "off") is (status == 503)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len([line for line in told if "cannot be reached" in line]) == 1
    back = [record for record in caplog.records if "recovered" in record.getMessage()]
    assert len(back) == 1


@pytest.mark.usefixtures("all_enabled")
@pytest.mark.parametrize(
    ("silent", "sensor"),
    [("model", "model"), ("queue", "queue_length"), ("last", "time_to_first_sound")],
)
async def test_what_a_service_does_not_tell_is_unknown(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry, silent: str, sensor: str
) -> None:
    del service.health[silent]
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert hass.states.get(f"sensor.family_voices_{sensor}").state == "unknown"
    assert hass.states.get(RUNG).state == "plain"


@pytest.mark.parametrize(
    ("rung", "state"),
    [
        ("remote", "remote"),
        ("tensorrt", "tensorrt"),
        ("onnxruntime", "onnxruntime"),
        ("plain", "plain"),
        ("of a newer service", "unknown"),
    ],
)
async def test_who_speaks_is_told_where_it_has_a_name(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry, rung: str, state: str
) -> None:
    service.health["rung"] = rung
    await loaded.runtime_data.async_refresh()
    assert hass.states.get(RUNG).state == state


async def test_the_event_tells_what_was_spoken(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    await _speak(hass)
    facts = hass.states.get(LAST).attributes
    wanted = {
        "event_type": "spoken",
        "entity_id": "tts.family_voices_speech",
        "voice": "plain",
        "rung": "plain",
        "seconds": 1.0,
        "first_audio": ANY,
    }
    assert {key: facts[key] for key in wanted} == wanted
    assert facts["first_audio"] >= 0


@pytest.mark.parametrize("when", ["instead_of_audio", "instead_of_more"])
async def test_the_event_tells_what_could_not_be_spoken(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry, when: str
) -> None:
    setattr(service, when, ["hang up"])
    with pytest.raises(HomeAssistantError):
        await _speak(hass)
    await hass.async_block_till_done()
    facts = hass.states.get(LAST).attributes
    assert facts["event_type"] == "failed"
    assert facts["message"] == "the service closed the connection"


async def test_diagnostics_tell_neither_who_nor_where(
    hass: HomeAssistant, entry: MockConfigEntry, snapshot: SnapshotAssertion
) -> None:
    hass.config_entries.async_update_entry(entry, data={**entry.data, "token": "family-only"})
    hass.config_entries.async_add_subentry(
        entry, _subentry({"voice": "mum", "style": "happy", "speed": 1.1})
    )
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    report = await async_get_config_entry_diagnostics(hass, entry)
    assert report == snapshot(exclude=props("port"))
    secrets = ("family-only", "127.0.0.1", "Mum", "mum", "happy", "3f2a")
    assert [secret for secret in secrets if secret in str(report)] == []


async def test_diagnostics_leave_the_address_out_of_a_reason(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    service.health["reason"] = (
        "remote_lost: http://gpu.fritz.box:9880 does not answer well: Cannot connect to host"
        " gpu.fritz.box:9880 ssl:default [Connect call failed ('192.168.1.9', 9880)]"
    )
    await loaded.runtime_data.async_refresh()
    reason = (await async_get_config_entry_diagnostics(hass, loaded))["health"]["reason"]
    assert reason.startswith("remote_lost: **REDACTED** does not answer well: Cannot connect")
    assert [each for each in ("fritz", "192.168", "1.9") if each in reason] == []


async def test_system_health_has_a_line_of_each(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    assert await async_setup_component(hass, "system_health", {})
    await hass.async_block_till_done()
    told = await get_system_health_info(hass, "gptsovits_tts")
    assert await told.pop("can_reach_service") == "ok"
    assert told == {
        "services": "1 / 1",
        "version": "0.1.0",
        "status": "ok",
        "rung": "plain",
        "voices": 2,
    }
    await hass.config_entries.async_unload(loaded.entry_id)
    assert await get_system_health_info(hass, "gptsovits_tts") == {"services": "0 / 1"}


def _subentry(data: dict[str, Any]) -> ConfigSubentry:
    return ConfigSubentry(
        data=MappingProxyType(data), subentry_type="voice", title="Mum (happy)", unique_id=None
    )
