"""Fix flows: look again whether the service is well, or settle what replaces a voice."""

from typing import Any

import voluptuous as vol
from homeassistant.components.repairs import RepairsFlow
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.core import HomeAssistant

from .const import ATTR_LANGUAGE, ATTR_STYLE
from .coordinator import GptSovitsConfigEntry
from .issues import VOICE_GONE, problem_of
from .voice_flow import voice_selector, voice_title


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """The flow that mends an issue."""
    facts = data or {}
    entry = hass.config_entries.async_get_known_entry(str(facts["entry_id"]))
    if facts["kind"] == VOICE_GONE:
        return VoiceGoneFlow(entry, str(facts["subentry_id"]))
    return LookAgainFlow(entry, str(facts["kind"]))


class LookAgainFlow(RepairsFlow):
    """For what is mended at the service: asks it again, and says whether that was enough."""

    def __init__(self, entry: GptSovitsConfigEntry, kind: str) -> None:
        """Look for one kind of problem of one service."""
        self._entry = entry
        self._kind = kind

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> Any:
        """Begin."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> Any:
        """Look again when the user says it is mended."""
        errors: dict[str, str] = {}
        placeholders = problem_of(self._entry.runtime_data, self._kind) or {}
        if user_input is not None:
            await self._entry.runtime_data.async_refresh()
            still = problem_of(self._entry.runtime_data, self._kind)
            if still is None:
                return self.async_create_entry(data={})
            placeholders, errors["base"] = still, "still_there"
        return self.async_show_form(
            step_id="confirm", errors=errors, description_placeholders=placeholders
        )


class VoiceGoneFlow(RepairsFlow):
    """For a voice that the service has no more: another one, or none."""

    def __init__(self, entry: GptSovitsConfigEntry, subentry_id: str) -> None:
        """Settle one subentry."""
        self._entry = entry
        self._subentry = entry.subentries[subentry_id]

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> Any:
        """Ask what shall be done."""
        return self.async_show_menu(
            step_id="init",
            menu_options=["replace", "remove"],
            description_placeholders={"voice": self._subentry.title},
        )

    async def async_step_replace(self, user_input: dict[str, Any] | None = None) -> Any:
        """Let another voice speak; what only the old one knew is dropped."""
        voices = self._entry.runtime_data.data.voices
        if user_input is not None and (voice := voices.find(user_input[ATTR_VOICE])):
            manner = {**self._subentry.data, ATTR_VOICE: voice.id}
            if manner.get(ATTR_STYLE) not in voice.styles:
                manner.pop(ATTR_STYLE, None)
            if manner.get(ATTR_LANGUAGE) not in voice.languages:
                manner.pop(ATTR_LANGUAGE, None)
            self.hass.config_entries.async_update_subentry(
                self._entry, self._subentry, data=manner, title=voice_title(voice, manner)
            )
            return self.async_create_entry(data={})
        schema: Any = vol.Schema({vol.Required(ATTR_VOICE): voice_selector(voices.voices)})
        return self.async_show_form(
            step_id="replace",
            data_schema=schema,
            description_placeholders={"voice": self._subentry.title},
        )

    async def async_step_remove(self, user_input: dict[str, Any] | None = None) -> Any:
        """Remove the voice's entity and device."""
        if user_input is not None:
            entries = self.hass.config_entries
            entries.async_remove_subentry(self._entry, self._subentry.subentry_id)
            return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="remove", description_placeholders={"voice": self._subentry.title}
        )
