"""Subentry flow: one voice, spoken in one manner, as an entity of its own."""

from collections.abc import Mapping
from typing import Any

import voluptuous as vol
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)

from .const import (
    ATTR_LANGUAGE,
    ATTR_LEAD_IN,
    ATTR_MODEL,
    ATTR_NORMALIZE,
    ATTR_PAUSE,
    ATTR_SPEED,
    ATTR_STYLE,
    CONF_SAMPLING,
    NORMALIZE,
)
from .coordinator import GptSovitsCoordinator
from .errors import GptSovitsError
from .models import ServerVoice
from .speech_options import NUMBERS, SAMPLING, WHOLE

_SECONDS = (ATTR_PAUSE, ATTR_LEAD_IN)
_READING = SelectSelector(
    SelectSelectorConfig(
        options=NORMALIZE, mode=SelectSelectorMode.DROPDOWN, translation_key=ATTR_NORMALIZE
    )
)


class VoiceFlow(ConfigSubentryFlow):
    """Adds a voice or changes its manner."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Choose a voice and how it shall speak."""
        return await self._step("user", user_input, {})

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Change how a voice speaks."""
        return await self._step("reconfigure", user_input, self._get_reconfigure_subentry().data)

    async def _step(
        self, step: str, user_input: dict[str, Any] | None, present: Mapping[str, Any]
    ) -> SubentryFlowResult:
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="entry_not_loaded")
        coordinator: GptSovitsCoordinator = entry.runtime_data
        errors: dict[str, str] = {}
        if user_input is not None:
            present = _flat(user_input)
            if any(isinstance(present.get(name), float) for name in WHOLE):
                errors["base"] = "not_whole"
            elif (result := self._accept(coordinator, present, errors)) is not None:
                return result
        try:
            models = await coordinator.client.models()
        except GptSovitsError:
            return self.async_abort(reason="cannot_connect")
        schema: Any = voice_schema(coordinator.data.voices.voices, models)
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, _nested(present)),
            errors=errors,
        )

    def _accept(
        self, coordinator: GptSovitsCoordinator, manner: dict[str, Any], errors: dict[str, str]
    ) -> SubentryFlowResult | None:
        """Keep a manner, or say in `errors` what the voice cannot do."""
        entry, voice = self._get_entry(), coordinator.data.voices.find(manner[ATTR_VOICE])
        if voice is None:
            errors[ATTR_VOICE] = "voice_gone"
        elif manner.get(ATTR_STYLE, "") not in ("", *voice.styles):
            errors[ATTR_STYLE] = "style_unknown"
        elif manner.get(ATTR_LANGUAGE, voice.languages[0]) not in voice.languages:
            errors[ATTR_LANGUAGE] = "language_unknown"
        if voice is None or errors:
            return None
        title = voice_title(voice, manner)
        if self.source == "reconfigure":
            subentry = self._get_reconfigure_subentry()
            return self.async_update_and_abort(entry, subentry, data=manner, title=title)
        if any(dict(each.data) == manner for each in entry.subentries.values()):
            return self.async_abort(reason="already_configured")
        return self.async_create_entry(title=title, data=manner)


def voice_title(voice: ServerVoice, manner: Mapping[str, Any]) -> str:
    """The name of the device: the voice's, and what sets this manner apart."""
    style = manner.get(ATTR_STYLE)
    return f"{voice.name} ({style})" if style else voice.name


def voice_schema(voices: tuple[ServerVoice, ...], models: list[str]) -> vol.Schema:
    """The form of a voice; what is left empty is left to the service."""
    languages = sorted({language for voice in voices for language in voice.languages})
    styles = sorted({style for voice in voices for style in voice.styles})
    sampling = {vol.Optional(name): _number(name) for name in SAMPLING}
    return vol.Schema(
        {
            vol.Required(ATTR_VOICE): voice_selector(voices),
            vol.Optional(ATTR_LANGUAGE): _choice(languages),
            vol.Optional(ATTR_STYLE): _choice(styles),
            vol.Optional(ATTR_SPEED): _number(ATTR_SPEED),
            vol.Optional(ATTR_PAUSE): _number(ATTR_PAUSE),
            vol.Optional(ATTR_LEAD_IN): _number(ATTR_LEAD_IN),
            vol.Optional(ATTR_MODEL): _choice(models),
            vol.Optional(ATTR_NORMALIZE): _READING,
            vol.Required(CONF_SAMPLING): section(_as_schema(sampling), {"collapsed": True}),
        }
    )


def voice_selector(voices: tuple[ServerVoice, ...]) -> SelectSelector:
    """A list of voices by name."""
    named = [SelectOptionDict(value=voice.id, label=voice.name) for voice in voices]
    return SelectSelector(SelectSelectorConfig(options=named, mode=SelectSelectorMode.DROPDOWN))


def _as_schema(fields: dict[Any, Any]) -> Any:
    return vol.Schema(fields)


def _choice(known: list[str]) -> SelectSelector:
    return SelectSelector(
        SelectSelectorConfig(options=known, custom_value=True, mode=SelectSelectorMode.DROPDOWN)
    )


def _number(name: str) -> NumberSelector:
    limits = NUMBERS[name]
    config = NumberSelectorConfig(
        min=limits.low, max=limits.high, step=limits.step, mode=NumberSelectorMode.BOX
    )
    if name in _SECONDS:
        config["unit_of_measurement"] = "s"
    return NumberSelector(config)


def _flat(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a form: no section, no empty field, whole numbers whole."""
    fields = {**user_input, **user_input.get(CONF_SAMPLING, {})}
    fields.pop(CONF_SAMPLING, None)
    return {
        name: int(value) if name in WHOLE and not value % 1 else value
        for name, value in fields.items()
        if value not in (None, "")
    }


def _nested(manner: Mapping[str, Any]) -> dict[str, Any]:
    """A kept manner as the form shows it."""
    plain = {name: value for name, value in manner.items() if name not in SAMPLING}
    return {**plain, CONF_SAMPLING: {n: manner[n] for n in SAMPLING if n in manner}}
