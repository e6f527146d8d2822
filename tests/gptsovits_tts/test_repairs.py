"""Repairs: what is raised, what clears it, and what the fix flows settle."""

from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import pytest
from fake_service import FakeService
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator


@pytest.fixture
async def with_mum(
    hass: HomeAssistant, entry: MockConfigEntry, service: FakeService
) -> ConfigSubentry:
    """Mum as a voice of her own, set up, and then gone from the service."""
    subentry = ConfigSubentry(
        data=MappingProxyType({"voice": "mum", "style": "happy", "language": "zh", "speed": 1.1}),
        subentry_type="voice",
        title="Mum (happy)",
        unique_id=None,
    )
    hass.config_entries.async_add_subentry(entry, subentry)
    assert await async_setup_component(hass, "repairs", {})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert _issues(hass) == []
    service.voices["voices"].pop(0)
    await entry.runtime_data.async_refresh()
    return subentry


def _issues(hass: HomeAssistant) -> list[str]:
    """What is raised now, by kind."""
    raised = ir.async_get(hass).issues.values()
    return [issue.translation_key for issue in raised if issue.domain == "gptsovits_tts"]


async def _polls(hass: HomeAssistant, freezer: FrozenDateTimeFactory, times: int) -> None:
    for _ in range(times):
        freezer.tick(timedelta(seconds=31))
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)


class Fix:
    """A fix flow as the frontend drives it."""

    def __init__(self, hass: HomeAssistant, hass_client: ClientSessionGenerator) -> None:
        self._hass = hass
        self._open = hass_client
        self._flow = ""

    async def begin(self) -> dict[str, Any]:
        [(_, issue_id)] = ir.async_get(self._hass).issues
        shown = await self._post("", {"handler": "gptsovits_tts", "issue_id": issue_id})
        self._flow = f"/{shown['flow_id']}"
        return shown

    async def submit(self, fields: dict[str, Any]) -> dict[str, Any]:
        shown = await self._post(self._flow, fields)
        await self._hass.async_block_till_done()
        return shown

    async def _post(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        client = await self._open()
        response = await client.post(f"/api/repairs/issues/fix{path}", json=data)
        assert response.status == HTTPStatus.OK
        return await response.json()


@pytest.fixture
async def fix(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> Fix:
    assert await async_setup_component(hass, "repairs", {})
    return Fix(hass, hass_client)


async def test_a_service_that_stays_away_is_told_until_it_is_back(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    service.status = 503
    await _polls(hass, freezer, 1)
    assert _issues(hass) == []  # it may just be restarting
    await _polls(hass, freezer, 2)
    assert _issues(hass) == ["unreachable"]
    service.status = 200
    await _polls(hass, freezer, 1)
    assert _issues(hass) == []


async def test_looking_again_finds_the_service_back(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    fix: Fix,
) -> None:
    service.status = 503
    await _polls(hass, freezer, 3)
    shown = await fix.begin()
    assert shown["step_id"] == "confirm"
    assert shown["description_placeholders"]["name"] == "Family voices"
    still = await fix.submit({})
    assert still["errors"] == {"base": "still_there"}
    service.status = 200
    assert (await fix.submit({}))["type"] == "create_entry"
    assert _issues(hass) == []


async def test_a_service_that_stays_below_its_best_is_told(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    fix: Fix,
) -> None:
    service.health.update(status="degraded", reason="the GPU is gone")
    await _polls(hass, freezer, 2)
    assert _issues(hass) == []
    freezer.tick(timedelta(minutes=10))
    await _polls(hass, freezer, 1)
    assert _issues(hass) == ["degraded"]
    shown = await fix.begin()
    assert shown["description_placeholders"]["reason"] == "the GPU is gone"
    service.health.update(status="ok", reason=None)
    assert (await fix.submit({}))["type"] == "create_entry"
    assert _issues(hass) == []


@pytest.mark.parametrize(
    ("version", "raised"),
    [("0.0.9", ["server_too_old"]), ("0.1.0", []), ("0.2.0", []), ("my own build", [])],
)
async def test_a_service_that_is_too_old_is_told(
    hass: HomeAssistant,
    service: FakeService,
    entry: MockConfigEntry,
    version: str,
    raised: list[str],
) -> None:
    service.health["version"] = version
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert _issues(hass) == raised


async def test_issues_go_with_their_entry(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry
) -> None:
    service.health["version"] = "0.0.9"
    assert await hass.config_entries.async_setup(entry.entry_id)
    assert _issues(hass) == ["server_too_old"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert _issues(hass) == []


async def test_a_voice_that_comes_back_needs_no_fix(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry, with_mum: ConfigSubentry
) -> None:
    assert _issues(hass) == ["voice_gone"]
    assert hass.states.get("tts.mum_happy").state == "unavailable"
    service.voices["voices"].append(
        {"id": "mum", "name": "Mum", "languages": ["en"], "revision": "a9"}
    )
    await entry.runtime_data.async_refresh()
    assert _issues(hass) == []
    assert hass.states.get("tts.mum_happy").state == "unknown"


async def test_another_voice_takes_over(
    hass: HomeAssistant, entry: MockConfigEntry, with_mum: ConfigSubentry, fix: Fix
) -> None:
    menu = await fix.begin()
    assert menu["menu_options"] == ["replace", "remove"]
    assert menu["description_placeholders"] == {"voice": "Mum (happy)"}
    shown = await fix.submit({"next_step_id": "replace"})
    assert shown["step_id"] == "replace"
    assert (await fix.submit({"voice": "plain"}))["type"] == "create_entry"
    [subentry] = entry.subentries.values()
    assert dict(subentry.data) == {"voice": "plain", "speed": 1.1}
    assert subentry.title == "Plain voice"
    assert _issues(hass) == []
    assert hass.states.get("tts.mum_happy").state == "unknown"


async def test_a_voice_is_removed(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    with_mum: ConfigSubentry,
    fix: Fix,
    entity_registry: er.EntityRegistry,
) -> None:
    await fix.begin()
    shown = await fix.submit({"next_step_id": "remove"})
    assert shown["step_id"] == "remove"
    assert (await fix.submit({}))["type"] == "create_entry"
    assert entry.subentries == {}
    assert entity_registry.async_get("tts.mum_happy") is None
    assert _issues(hass) == []


async def test_an_issue_goes_with_a_voice_that_is_removed_elsewhere(
    hass: HomeAssistant, entry: MockConfigEntry, with_mum: ConfigSubentry
) -> None:
    hass.config_entries.async_remove_subentry(entry, with_mum.subentry_id)
    await hass.async_block_till_done()
    assert _issues(hass) == []


async def test_a_voice_that_is_gone_from_the_start_still_has_its_entity(
    hass: HomeAssistant, entry: MockConfigEntry, with_mum: ConfigSubentry
) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert hass.states.get("tts.mum_happy").state == "unavailable"
    assert _issues(hass) == ["voice_gone"]
