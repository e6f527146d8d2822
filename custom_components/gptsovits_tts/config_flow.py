"""Config flow: where the service is, and the token it may ask for."""

from typing import Any, override

import voluptuous as vol
from homeassistant.config_entries import ConfigFlow, ConfigFlowResult
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig, TextSelectorType

from .api import GptSovitsAuthError, GptSovitsClient, GptSovitsError
from .const import DEFAULT_PORT, DOMAIN, LOGGER

_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_HOST): TextSelector(),
        vol.Required(CONF_PORT, default=DEFAULT_PORT): cv.port,
        vol.Optional(CONF_TOKEN): TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD)),
    }
)


class GptSovitsConfigFlow(ConfigFlow, domain=DOMAIN):
    """Adds one service."""

    VERSION = 1

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the address, and accept it when the service answers there."""
        errors: dict[str, str] = {}
        if user_input is not None:
            problem, server_id = await self._ask_server(user_input)
            if problem is None:
                await self.async_set_unique_id(server_id)
                self._abort_if_unique_id_configured()
                return self.async_create_entry(title="Family voices", data=user_input)
            errors["base"] = problem
        return self.async_show_form(
            step_id="user",
            # Home Assistant's own name for voluptuous changed in 2026; at run time they are one.
            data_schema=self.add_suggested_values_to_schema(_SCHEMA, user_input),  # type: ignore[arg-type]
            errors=errors,
        )

    async def _ask_server(self, address: dict[str, Any]) -> tuple[str | None, str]:
        """What is wrong with an address, if anything, and the id of the service there."""
        try:
            client = GptSovitsClient(
                async_get_clientsession(self.hass),
                address[CONF_HOST],
                address[CONF_PORT],
                address.get(CONF_TOKEN),
            )
            health = await client.health()
            # Health needs no token; the voices do.
            await client.voices()
        except GptSovitsAuthError:
            return "invalid_auth", ""
        except (GptSovitsError, ValueError):
            return "cannot_connect", ""
        except Exception:
            LOGGER.exception("Unexpected error while asking the service")
            return "unknown", ""
        return None, health.id
