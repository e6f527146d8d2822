"""Config flow: where the service is, found or told, and the token it may ask for."""

from collections.abc import Mapping
from typing import Any, override

import voluptuous as vol
from homeassistant.config_entries import (
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_SSL, CONF_TOKEN, CONF_VERIFY_SSL
from homeassistant.core import callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig, TextSelectorType
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from .const import DEFAULT_PORT, DOMAIN, LOGGER, SUBENTRY_VOICE
from .coordinator import client_for
from .errors import GptSovitsAuthError, GptSovitsError
from .options_flow import GptSovitsOptionsFlow
from .voice_flow import VoiceFlow

_TOKEN: dict[Any, Any] = {
    vol.Optional(CONF_TOKEN): TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))
}
_ADDRESS: dict[Any, Any] = {
    vol.Required(CONF_HOST): TextSelector(),
    vol.Required(CONF_PORT, default=DEFAULT_PORT): cv.port,
    **_TOKEN,
    vol.Optional(CONF_SSL, default=False): bool,
    vol.Optional(CONF_VERIFY_SSL, default=True): bool,
}


class GptSovitsConfigFlow(ConfigFlow, domain=DOMAIN):
    """Adds one service, and mends the way to it."""

    VERSION = 1

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._found: dict[str, Any] = {}
        self._name = ""

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Voices can be set up one by one."""
        return {SUBENTRY_VOICE: VoiceFlow}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """What speaks when the service cannot."""
        return GptSovitsOptionsFlow()

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
        return self._form("user", _ADDRESS, user_input, errors)

    @override
    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> ConfigFlowResult:
        """A service has announced itself in the network."""
        server_id = discovery_info.properties.get("id")
        if not server_id or not discovery_info.port:
            return self.async_abort(reason="not_this_service")
        found = {CONF_HOST: discovery_info.host, CONF_PORT: discovery_info.port}
        return await self._discovered(str(server_id), found, discovery_info.hostname.rstrip("."))

    @override
    async def async_step_hassio(self, discovery_info: HassioServiceInfo) -> ConfigFlowResult:
        """The app has told Home Assistant where it is, and its token."""
        config = discovery_info.config
        found = {key: config[key] for key in (CONF_HOST, CONF_PORT, CONF_TOKEN) if config.get(key)}
        problem, server_id = await self._ask_server(found)
        if problem is not None:
            return self.async_abort(reason=problem)
        return await self._discovered(server_id, found, discovery_info.name)

    async def async_step_discovery_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Add what was found; ask for a token where none was handed over."""
        errors: dict[str, str] = {}
        if user_input is not None:
            address = {**self._found, **user_input}
            problem, server_id = await self._ask_server(address)
            if problem is None and server_id != self.unique_id:
                problem = "another_server"
            if problem is None:
                return self.async_create_entry(title="Family voices", data=address)
            errors["base"] = problem
        fields = {} if CONF_TOKEN in self._found else _TOKEN
        return self._form("discovery_confirm", fields, None, errors, name=self._name)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The service refuses the token it had."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the token that holds now."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            address = {**entry.data, CONF_TOKEN: user_input.get(CONF_TOKEN, "")}
            if (problem := await self._mend(entry, address)) is None:
                return self.async_abort(reason="reauth_successful")
            errors["base"] = problem
        return self._form("reauth_confirm", _TOKEN, None, errors, name=entry.title)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """The service has moved; an empty token keeps the present one."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            if (problem := await self._mend(entry, {**entry.data, **user_input})) is None:
                return self.async_abort(reason="reconfigure_successful")
            errors["base"] = problem
        known = {key: value for key, value in entry.data.items() if key != CONF_TOKEN}
        return self._form("reconfigure", _ADDRESS, user_input or known, errors)

    def _form(
        self,
        step: str,
        fields: dict[Any, Any],
        suggested: Mapping[str, Any] | None,
        errors: dict[str, str],
        **placeholders: str,
    ) -> ConfigFlowResult:
        # Home Assistant's own name for voluptuous changed in 2026; at run time they are one.
        schema: Any = vol.Schema(fields)
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, suggested),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def _discovered(
        self, server_id: str, found: dict[str, Any], name: str
    ) -> ConfigFlowResult:
        """Follow a service that is known to where it is now, or offer a new one."""
        entry = await self.async_set_unique_id(server_id)
        # Behind TLS stands a proxy, whose address the service does not know.
        if entry is not None and not entry.data.get(CONF_SSL):
            self._change(entry, {**entry.data, **found})
        self._abort_if_unique_id_configured()
        self._found, self._name = found, name
        self.context["title_placeholders"] = {"name": name}
        return await self.async_step_discovery_confirm()

    async def _mend(self, entry: ConfigEntry, address: dict[str, Any]) -> str | None:
        """Let an entry use an address; what is wrong with that, if anything."""
        problem, server_id = await self._ask_server(address)
        if problem is None and server_id != entry.unique_id:
            problem = "another_server"
        if problem is None:
            self._change(entry, address)
        return problem

    @callback
    def _change(self, entry: ConfigEntry, address: dict[str, Any]) -> None:
        """Keep an address; a loaded entry's own listener reloads it, any other is tried again."""
        # Looked at first: the listener begins at once, and has gone once the entry is unloaded.
        reloads_itself = bool(entry.update_listeners)
        changed = self.hass.config_entries.async_update_entry(entry, data=address)
        if changed and not reloads_itself:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    async def _ask_server(self, address: Mapping[str, Any]) -> tuple[str | None, str]:
        """What is wrong with an address, if anything, and the id of the service there."""
        try:
            client = client_for(self.hass, address)
            health = await client.health()
            # Health needs no token; the voices do.
            await client.voices()
        except GptSovitsAuthError:
            return "invalid_auth", ""
        except (GptSovitsError, ValueError, KeyError):
            return "cannot_connect", ""
        except Exception:
            LOGGER.exception("Unexpected error while asking the service")
            return "unknown", ""
        return None, health.id
