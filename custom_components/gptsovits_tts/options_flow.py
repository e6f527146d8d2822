"""Options: which other engine speaks an announcement that the service cannot."""

from typing import Any

import voluptuous as vol
from homeassistant.components.tts.const import DOMAIN as TTS_DOMAIN
from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.selector import EntitySelector, EntitySelectorConfig

from .const import CONF_FALLBACK_ENTITY


class GptSovitsOptionsFlow(OptionsFlow):
    """Asks for the fallback engine; the user's choice, as it may be a cloud that hears the text."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show and keep the choice."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        registry = er.async_get(self.hass)
        own = er.async_entries_for_config_entry(registry, self.config_entry.entry_id)
        engines = EntitySelector(
            EntitySelectorConfig(
                domain=TTS_DOMAIN,
                exclude_entities=[each.entity_id for each in own if each.domain == TTS_DOMAIN],
            )
        )
        schema: Any = vol.Schema({vol.Optional(CONF_FALLBACK_ENTITY): engines})
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(schema, self.config_entry.options),
        )
