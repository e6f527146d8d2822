"""The config flow: every way in, every refusal, and the way on after it."""

from typing import Any
from unittest.mock import patch

import pytest
from aiohttp.test_utils import TestServer
from fake_service import FakeService
from homeassistant.config_entries import SOURCE_USER
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_SSL, CONF_TOKEN, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry


@pytest.fixture
def address(server: TestServer) -> dict[str, Any]:
    return {CONF_HOST: server.host, CONF_PORT: server.port}


async def _form(hass: HomeAssistant) -> str:
    result = await hass.config_entries.flow.async_init(
        "gptsovits_tts", context={"source": SOURCE_USER}
    )
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    assert result["errors"] == {}
    return result["flow_id"]


@pytest.mark.parametrize("token", [{}, {CONF_TOKEN: "family-only"}])
async def test_a_service_that_answers_is_added(
    hass: HomeAssistant, service: FakeService, address: dict[str, Any], token: dict[str, str]
) -> None:
    service.token = token.get(CONF_TOKEN, "")
    flow = await _form(hass)
    result = await hass.config_entries.flow.async_configure(flow, {**address, **token})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Family voices"
    assert result["data"] == {**address, **token, CONF_SSL: False, CONF_VERIFY_SSL: True}
    assert result["result"].unique_id == "3f2a"


async def test_the_same_service_is_added_once(
    hass: HomeAssistant, entry: MockConfigEntry, address: dict[str, Any]
) -> None:
    flow = await _form(hass)
    result = await hass.config_entries.flow.async_configure(flow, address)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({CONF_PORT: 1}, "cannot_connect"),
        ({CONF_HOST: "not a host"}, "cannot_connect"),
        ({CONF_TOKEN: "stranger"}, "invalid_auth"),
    ],
)
async def test_a_wrong_answer_is_named_and_can_be_mended(
    hass: HomeAssistant,
    service: FakeService,
    address: dict[str, Any],
    wrong: dict[str, Any],
    error: str,
) -> None:
    service.token = "family-only"
    right = {**address, CONF_TOKEN: "family-only"}
    flow = await _form(hass)
    result = await hass.config_entries.flow.async_configure(flow, {**right, **wrong})
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {"base": error}
    result = await hass.config_entries.flow.async_configure(flow, right)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize("health", [{"status": "fine"}, ["ok"]])
async def test_another_kind_of_service_is_refused(
    hass: HomeAssistant, service: FakeService, address: dict[str, Any], health: Any
) -> None:
    service.health = health
    flow = await _form(hass)
    result = await hass.config_entries.flow.async_configure(flow, address)
    assert result["errors"] == {"base": "cannot_connect"}


async def test_a_surprise_is_logged_and_admitted(
    hass: HomeAssistant, address: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    flow = await _form(hass)
    with patch(
        "custom_components.gptsovits_tts.api.GptSovitsClient.health",
        side_effect=RuntimeError("surprise"),
    ):
        result = await hass.config_entries.flow.async_configure(flow, address)
    assert result["errors"] == {"base": "unknown"}
    assert "surprise" in caplog.text
