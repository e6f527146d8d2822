"""The config flow of a service that is found or told of, and the ways to mend an entry."""

from ipaddress import ip_address
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp.test_utils import TestServer
from fake_service import FakeService
from homeassistant.config_entries import (
    SOURCE_HASSIO,
    SOURCE_ZEROCONF,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_SSL, CONF_TOKEN, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry


def _announced(host: str, port: int | None, properties: dict[str, Any]) -> ZeroconfServiceInfo:
    return ZeroconfServiceInfo(
        ip_address=ip_address(host),
        ip_addresses=[ip_address(host)],
        port=port,
        hostname="gptsovits-3f2a.local.",
        type="_gptsovits._tcp.local.",
        name="gptsovits-3f2a._gptsovits._tcp.local.",
        properties=properties,
    )


async def _zeroconf(
    hass: HomeAssistant, host: str, port: int | None, properties: dict[str, Any] | None = None
) -> ConfigFlowResult:
    facts = {"id": "3f2a", "version": "0.1.0"} if properties is None else properties
    return await hass.config_entries.flow.async_init(
        "gptsovits_tts", context={"source": SOURCE_ZEROCONF}, data=_announced(host, port, facts)
    )


async def _app(hass: HomeAssistant, config: dict[str, Any]) -> ConfigFlowResult:
    told = HassioServiceInfo(config=config, name="Family voices app", slug="fv", uuid="1234")
    return await hass.config_entries.flow.async_init(
        "gptsovits_tts", context={"source": SOURCE_HASSIO}, data=told
    )


async def _submit(
    hass: HomeAssistant, shown: ConfigFlowResult, fields: dict[str, Any]
) -> ConfigFlowResult:
    result = await hass.config_entries.flow.async_configure(shown["flow_id"], fields)
    await hass.async_block_till_done()
    return result


async def test_a_service_in_the_network_is_offered(
    hass: HomeAssistant, service: FakeService, server: TestServer
) -> None:
    service.token = "family-only"
    shown = await _zeroconf(hass, "127.0.0.1", server.port)
    assert shown["step_id"] == "discovery_confirm"
    assert shown["description_placeholders"] == {"name": "gptsovits-3f2a.local"}
    again = await _submit(hass, shown, {})
    assert again["errors"] == {"base": "invalid_auth"}
    result = await _submit(hass, again, {CONF_TOKEN: "family-only"})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {
        CONF_HOST: "127.0.0.1",
        CONF_PORT: server.port,
        CONF_TOKEN: "family-only",
    }
    assert result["result"].unique_id == "3f2a"


async def test_who_answers_must_be_who_was_announced(
    hass: HomeAssistant, service: FakeService, server: TestServer
) -> None:
    shown = await _zeroconf(hass, "127.0.0.1", server.port)
    service.health["id"] = "other"
    result = await _submit(hass, shown, {})
    assert result["errors"] == {"base": "another_server"}


@pytest.mark.parametrize(("port", "properties"), [(9880, {}), (None, {"id": "3f2a"})])
async def test_what_is_no_service_is_not_offered(
    hass: HomeAssistant, port: int | None, properties: dict[str, Any]
) -> None:
    result = await _zeroconf(hass, "127.0.0.1", port, properties)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "not_this_service"


async def test_a_service_that_moved_is_followed(
    hass: HomeAssistant, server: TestServer, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, data={CONF_HOST: "127.0.0.1", CONF_PORT: 1})
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    result = await _zeroconf(hass, "127.0.0.1", server.port)
    await hass.async_block_till_done()
    assert result["reason"] == "already_configured"
    assert entry.data == {CONF_HOST: "127.0.0.1", CONF_PORT: server.port}
    assert entry.state is ConfigEntryState.LOADED


async def test_a_loaded_service_that_moved_is_reloaded_once(
    hass: HomeAssistant,
    service: FakeService,
    server: TestServer,
    loaded: MockConfigEntry,
) -> None:
    before = loaded.runtime_data
    await _zeroconf(hass, "127.0.0.1", server.port)
    await hass.async_block_till_done()
    assert loaded.runtime_data is before  # nothing has changed
    entries = hass.config_entries
    async with TestServer(service.application()) as moved:
        with patch.object(entries, "async_reload", wraps=entries.async_reload) as reload:
            await _zeroconf(hass, "127.0.0.1", moved.port)
            await hass.async_block_till_done()
        assert loaded.runtime_data is not before
        assert loaded.state is ConfigEntryState.LOADED
        # By the entry's own listener alone, as Home Assistant wants it from 2026.12 on.
        assert reload.call_count == 1


async def test_behind_a_proxy_an_announcement_changes_nothing(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    data = {CONF_HOST: "voices.example", CONF_PORT: 443, CONF_SSL: True}
    hass.config_entries.async_update_entry(entry, data=data)
    result = await _zeroconf(hass, "127.0.0.1", 9880)
    assert result["reason"] == "already_configured"
    assert entry.data == data


async def test_the_app_hands_its_token_over(
    hass: HomeAssistant, service: FakeService, server: TestServer
) -> None:
    service.token = "made by the app"
    config = {"host": server.host, "port": server.port, "token": "made by the app"}
    shown = await _app(hass, config | {"addon": "Family voices"})
    assert shown["step_id"] == "discovery_confirm"
    assert shown["data_schema"].schema == {}
    result = await _submit(hass, shown, {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == config
    assert result["result"].unique_id == "3f2a"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"port": 1}, "cannot_connect"),
        ({"token": "old"}, "invalid_auth"),
        ({"host": None}, "cannot_connect"),
    ],
)
async def test_an_app_that_cannot_be_used_is_not_offered(
    hass: HomeAssistant,
    service: FakeService,
    server: TestServer,
    config: dict[str, Any],
    reason: str,
) -> None:
    service.token = "new"
    result = await _app(hass, {"host": server.host, "port": server.port} | config)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == reason


async def test_a_new_token_of_the_app_is_taken(
    hass: HomeAssistant, service: FakeService, server: TestServer, entry: MockConfigEntry
) -> None:
    service.token = "new"
    config = {"host": server.host, "port": server.port, "token": "new"}
    result = await _app(hass, config)
    assert result["reason"] == "already_configured"
    assert entry.data == config


async def test_reauth_takes_the_token_that_holds(
    hass: HomeAssistant, service: FakeService, entry: MockConfigEntry
) -> None:
    service.token = "new"
    await hass.config_entries.async_setup(entry.entry_id)
    [flow] = hass.config_entries.flow.async_progress()
    again = await _submit(hass, flow, {CONF_TOKEN: "wrong"})
    assert again["errors"] == {"base": "invalid_auth"}
    result = await _submit(hass, again, {CONF_TOKEN: "new"})
    assert result["reason"] == "reauth_successful"
    assert entry.data[CONF_TOKEN] == "new"
    assert entry.state is ConfigEntryState.LOADED


async def test_reconfigure_keeps_the_token_and_changes_the_rest(
    hass: HomeAssistant, service: FakeService, server: TestServer, loaded: MockConfigEntry
) -> None:
    service.token = "family-only"
    hass.config_entries.async_update_entry(loaded, data={**loaded.data, CONF_TOKEN: "family-only"})
    await hass.async_block_till_done()
    shown = await loaded.start_reconfigure_flow(hass)
    assert shown["step_id"] == "reconfigure"
    wrong = {CONF_HOST: server.host, CONF_PORT: 1, CONF_SSL: False, CONF_VERIFY_SSL: True}
    again = await _submit(hass, shown, wrong)
    assert again["errors"] == {"base": "cannot_connect"}
    result = await _submit(hass, again, wrong | {CONF_PORT: server.port, CONF_VERIFY_SSL: False})
    assert result["reason"] == "reconfigure_successful"
    assert loaded.data == wrong | {
        CONF_PORT: server.port,
        CONF_TOKEN: "family-only",
        CONF_VERIFY_SSL: False,
    }
    assert loaded.state is ConfigEntryState.LOADED


async def test_reconfigure_refuses_another_service(
    hass: HomeAssistant, service: FakeService, server: TestServer, loaded: MockConfigEntry
) -> None:
    shown = await loaded.start_reconfigure_flow(hass)
    service.health["id"] = "other"
    result = await _submit(hass, shown, {CONF_HOST: server.host, CONF_PORT: server.port})
    assert result["errors"] == {"base": "another_server"}


async def test_the_fallback_is_an_option(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    shown = await hass.config_entries.options.async_init(loaded.entry_id)
    assert shown["step_id"] == "init"
    [selector] = shown["data_schema"].schema.values()
    assert selector.config["exclude_entities"] == ["tts.family_voices_speech"]
    result = await hass.config_entries.options.async_configure(
        shown["flow_id"], {"fallback_entity": "tts.plain"}
    )
    await hass.async_block_till_done()
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert loaded.options == {"fallback_entity": "tts.plain"}
    assert loaded.state is ConfigEntryState.LOADED
