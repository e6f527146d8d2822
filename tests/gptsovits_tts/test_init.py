"""A config entry comes, follows the service, and goes."""

import copy
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestServer
from fake_service import FakeService
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.gptsovits_tts import async_remove_config_entry_device

SPEECH = "tts.family_voices_speech"


async def _next_poll(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    freezer.tick(timedelta(seconds=31))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_load_and_unload(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    assert hass.states.get(SPEECH).state == STATE_UNKNOWN
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert loaded.state is ConfigEntryState.NOT_LOADED
    assert hass.states.get(SPEECH).state == STATE_UNAVAILABLE


async def test_the_service_is_a_device(
    hass: HomeAssistant, loaded: MockConfigEntry, device_registry: dr.DeviceRegistry
) -> None:
    [device] = dr.async_entries_for_config_entry(device_registry, loaded.entry_id)
    assert device.identifiers == {("gptsovits_tts", "3f2a")}
    assert device.name == "Family voices"
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    assert device.sw_version == "0.1.0"


async def test_setup_is_tried_again_later(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry
) -> None:
    service.status = 503
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY


async def test_a_token_that_is_refused_is_asked_for(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry
) -> None:
    service.token = "family-only"
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    [flow] = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH
    assert flow["step_id"] == "reauth_confirm"


async def test_a_token_that_is_refused_later_is_asked_for(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    service.token = "family-only"
    await _next_poll(hass, freezer)
    [flow] = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == SOURCE_REAUTH


async def test_a_device_that_nothing_stands_behind_may_be_deleted(
    hass: HomeAssistant, loaded: MockConfigEntry, device_registry: dr.DeviceRegistry
) -> None:
    [current] = dr.async_entries_for_config_entry(device_registry, loaded.entry_id)
    stale = device_registry.async_get_or_create(
        config_entry_id=loaded.entry_id, identifiers={("gptsovits_tts", "a voice of before")}
    )
    assert not await async_remove_config_entry_device(hass, loaded, current)
    assert await async_remove_config_entry_device(hass, loaded, stale)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ok", STATE_UNKNOWN),
        ("degraded", STATE_UNKNOWN),
        ("loading", STATE_UNAVAILABLE),
        ("unavailable", STATE_UNAVAILABLE),
    ],
)
async def test_available_while_the_service_can_speak(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    status: str,
    state: str,
) -> None:
    service.health["status"] = status
    await _next_poll(hass, freezer)
    assert hass.states.get(SPEECH).state == state


async def test_unavailable_while_the_service_is_away(
    hass: HomeAssistant,
    service: FakeService,
    server: TestServer,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    service.status = 503
    await _next_poll(hass, freezer)
    assert hass.states.get(SPEECH).state == STATE_UNAVAILABLE
    service.status = 200
    await _next_poll(hass, freezer)
    assert hass.states.get(SPEECH).state == STATE_UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        lambda service: service.health.update(rung="tensorrt"),
        lambda service: service.voices.update(default="mum"),
        lambda service: service.voices.update(revision="another chime"),
        lambda service: service.voices["voices"][0].update(revision="a2"),
        lambda service: service.voices["voices"].pop(1),
    ],
)
async def test_whatever_changes_the_sound_changes_the_revision(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    change,
) -> None:
    before = copy.copy(loaded.runtime_data.data.revision)
    await _next_poll(hass, freezer)
    assert loaded.runtime_data.data.revision == before
    change(service)
    await _next_poll(hass, freezer)
    assert loaded.runtime_data.data.revision != before
