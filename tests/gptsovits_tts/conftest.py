"""Fixtures: the fake service on a real socket, and a config entry that points at it."""

# First of all, so that the kit's own `custom_components` does not hide ours.
import custom_components.gptsovits_tts  # isort: skip

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import PropertyMock, patch

import pytest
from aiohttp.test_utils import TestServer
from fake_service import FakeService
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

assert custom_components.gptsovits_tts


@pytest.fixture(autouse=True)
def _our_integration(enable_custom_integrations: None, socket_enabled: None) -> None:
    """Let Home Assistant load the integration, and the integration reach the fake service."""


@pytest.fixture(autouse=True)
def tts_cache(tmp_path: Path) -> Iterator[Path]:
    with patch("homeassistant.components.tts._init_tts_cache_dir", return_value=str(tmp_path)):
        yield tmp_path


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Snapshots that leave out what differs from run to run."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture
def all_enabled() -> Iterator[None]:
    """Have even those entities that are off at first."""
    switch = "homeassistant.helpers.entity.Entity.entity_registry_enabled_default"
    with patch(switch, new_callable=PropertyMock, return_value=True):
        yield


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def server(service: FakeService) -> AsyncIterator[TestServer]:
    async with TestServer(service.application()) as server:
        yield server


@pytest.fixture
def entry(hass: HomeAssistant, server: TestServer) -> MockConfigEntry:
    entry = MockConfigEntry(
        domain="gptsovits_tts",
        title="Family voices",
        unique_id="3f2a",
        data={CONF_HOST: server.host, CONF_PORT: server.port},
    )
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
async def second(hass: HomeAssistant) -> AsyncIterator[FakeService]:
    """Another service, set up as `tts.office_speech`."""
    service = FakeService()
    service.health["id"] = "9c1d"
    async with TestServer(service.application()) as server:
        data = {CONF_HOST: server.host, CONF_PORT: server.port}
        entry = MockConfigEntry(domain="gptsovits_tts", title="Office", unique_id="9c1d", data=data)
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        yield service


@pytest.fixture
async def loaded(hass: HomeAssistant, entry: MockConfigEntry) -> MockConfigEntry:
    assert await async_setup_component(hass, "media_source", {})
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    return entry
