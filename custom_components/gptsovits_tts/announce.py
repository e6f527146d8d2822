"""The announce action: text to players, in a family voice, and never silence without an error."""

import asyncio
from typing import Any

from homeassistant.components import tts
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.components.tts.const import DOMAIN as TTS_DOMAIN
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er

from .const import (
    ATTR_CHIME,
    ATTR_EXPIRES,
    ATTR_FALLBACK,
    ATTR_LANGUAGE,
    ATTR_LEAD_IN,
    ATTR_PRIORITY,
    ATTR_SPEED,
    ATTR_STYLE,
    CONF_FALLBACK_ENTITY,
    DOMAIN,
    LOGGER,
)
from .errors import mistake
from .players import Announcement, play, targeted_players
from .speech_options import speech_fields

ATTR_FALLBACK_ENTITY = "fallback_entity"
ATTR_PRE_ANNOUNCE = "pre_announce"
ATTR_TEXT = "text"
ATTR_TTS_ENTITY = "tts_entity"
ATTR_VOLUME = "volume"
_OPTIONS = (
    *(ATTR_VOICE, ATTR_STYLE, ATTR_SPEED, ATTR_CHIME, ATTR_LEAD_IN),
    *(ATTR_PRIORITY, ATTR_EXPIRES, ATTR_FALLBACK),
)
# Seconds that a first sound may take; every engine has shorter limits of its own.
_FIRST_SOUND = 90


async def announce(call: ServiceCall) -> ServiceResponse:
    """Speak a text on players.

    Players are asked only once the first sound is there: nobody hears a chime and then nothing,
    and a failure reaches the automation instead of a log.
    """
    hass, data = call.hass, call.data
    players, away = targeted_players(hass, data)
    engine = data.get(ATTR_TTS_ENTITY) or _own_engine(hass)
    options = {name: data[name] for name in _OPTIONS if name in data}
    speech_fields(options)  # a mistake is told before anybody is asked
    language = data.get(ATTR_LANGUAGE)
    try:
        sound = await _first_sound(hass, engine, data[ATTR_TEXT], language, options)
    except HomeAssistantError as error:
        other = data.get(ATTR_FALLBACK_ENTITY) or _chosen_fallback(hass, engine)
        if other is None:
            raise
        LOGGER.warning("%s cannot speak (%s); %s does instead", engine, error, other)
        engine = other
        # What the other engine calls its voices and options is not known.
        sound = await _first_sound(hass, engine, data[ATTR_TEXT], None, {})
    announcement = Announcement(
        media_id=sound.media_source_id,
        text=data[ATTR_TEXT],
        volume=data.get(ATTR_VOLUME),
        pre_announce=data.get(ATTR_PRE_ANNOUNCE),
        context=call.context,
    )
    outcomes = await asyncio.gather(
        *(play(hass, player, announcement) for player in players), return_exceptions=True
    )
    failed = {
        player: str(outcome)
        for player, outcome in zip(players, outcomes, strict=True)
        if isinstance(outcome, Exception)
    }
    if len(failed) == len(players):
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="players_failed",
            translation_placeholders={"error": "; ".join(failed.values())},
        )
    told: dict[str, Any] = {
        "tts_entity": engine,
        "players": [player for player in players if player not in failed],
        "failed": dict.fromkeys(away, "unavailable") | failed,
    }
    return told


async def _first_sound(
    hass: HomeAssistant, engine: str, text: str, language: str | None, options: dict[str, Any]
) -> tts.ResultStream:
    """Start to speak, and return once there is something to hear.

    Raises:
        HomeAssistantError: the engine cannot, and says why.
    """
    if engine not in {state.entity_id for state in hass.states.async_all(TTS_DOMAIN)}:
        raise mistake("tts_entity_unknown", entity=engine)
    stream = tts.async_create_stream(hass, engine, language, options)
    stream.async_set_message(text)
    sound = stream.async_stream_result()
    try:
        async with asyncio.timeout(_FIRST_SOUND):
            # Home Assistant 2025.6 hands on even a sound of nothing.
            while not await anext(sound):
                continue
    except HomeAssistantError:
        raise
    except Exception as error:  # other engines let errors of their own through
        LOGGER.debug("%s made no sound", engine, exc_info=error)
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="no_sound",
            translation_placeholders={"entity": engine},
        ) from error
    finally:
        await sound.aclose()
    return stream


def _own_engine(hass: HomeAssistant) -> str:
    """The entity of the first service set up; it speaks in any voice."""
    registry = er.async_get(hass)
    for entry in hass.config_entries.async_entries(DOMAIN):
        found = registry.async_get_entity_id(TTS_DOMAIN, DOMAIN, str(entry.unique_id))
        if found is not None:
            return found
    raise mistake("no_service")


def _chosen_fallback(hass: HomeAssistant, engine: str) -> str | None:
    """What the user chose to speak when the service of `engine` cannot."""
    registered = er.async_get(hass).async_get(engine)
    entry_id = registered.config_entry_id if registered else None
    entry = hass.config_entries.async_get_entry(entry_id) if entry_id else None
    return entry.options.get(CONF_FALLBACK_ENTITY) if entry else None
