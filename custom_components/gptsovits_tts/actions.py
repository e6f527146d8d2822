"""The integration's actions: their fields, and who does them."""

from typing import Any

import voluptuous as vol
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    CONF_EXCLUDE,
)
from homeassistant.core import HomeAssistant, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv

from .announce import (
    ATTR_FALLBACK_ENTITY,
    ATTR_PRE_ANNOUNCE,
    ATTR_TEXT,
    ATTR_TTS_ENTITY,
    ATTR_VOLUME,
    announce,
)
from .const import (
    ATTR_CHIME,
    ATTR_EXPIRES,
    ATTR_FALLBACK,
    ATTR_LANGUAGE,
    ATTR_LEAD_IN,
    ATTR_PRIORITY,
    ATTR_SPEED,
    ATTR_STYLE,
    DOMAIN,
)
from .voice_actions import (
    ATTR_CONSENT,
    ATTR_CONSENT_NAME,
    ATTR_ENTRY,
    ATTR_MEDIA,
    ATTR_NAME,
    ATTR_PATH,
    ATTR_TEXTS,
    ATTR_TRANSCRIPT,
    delete_voice,
    enrol_voice,
    prerender,
)

_ENTRY: dict[Any, Any] = {vol.Optional(ATTR_ENTRY): cv.string}
# Home Assistant's own of it is newer than the oldest that this runs on.
_EXCLUDE: dict[Any, Any] = {
    vol.Optional(name): vol.All(cv.ensure_list, [cv.string])
    for name in (ATTR_ENTITY_ID, ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID)
}
_ANNOUNCE: dict[Any, Any] = {
    **cv.ENTITY_SERVICE_FIELDS,
    vol.Optional(CONF_EXCLUDE): _EXCLUDE,
    vol.Required(ATTR_TEXT): vol.All(cv.string, vol.Length(min=1)),
    vol.Optional(ATTR_TTS_ENTITY): cv.entity_id,
    vol.Optional(ATTR_FALLBACK_ENTITY): cv.entity_id,
    vol.Optional(ATTR_VOLUME): vol.All(vol.Coerce(float), vol.Range(0, 1)),
    vol.Optional(ATTR_PRE_ANNOUNCE): cv.boolean,
    # Their limits are checked where all speech options are.
    **{
        vol.Optional(name): vol.Any(str, int, float)
        for name in (
            *(ATTR_VOICE, ATTR_LANGUAGE, ATTR_STYLE, ATTR_SPEED, ATTR_CHIME),
            *(ATTR_LEAD_IN, ATTR_PRIORITY, ATTR_EXPIRES, ATTR_FALLBACK),
        )
    },
}
_ENROL: dict[Any, Any] = {
    **_ENTRY,
    vol.Required(ATTR_NAME): cv.string,
    vol.Required(ATTR_LANGUAGE): cv.string,
    vol.Required(ATTR_TRANSCRIPT): cv.string,
    vol.Required(ATTR_CONSENT_NAME): cv.string,
    vol.Required(ATTR_CONSENT): cv.boolean,
    # One of the two; a media selector gives more than its id.
    vol.Exclusive(ATTR_MEDIA, "recording"): vol.Any(cv.string, dict),
    vol.Exclusive(ATTR_PATH, "recording"): cv.string,
}
_DELETE: dict[Any, Any] = {**_ENTRY, vol.Required(ATTR_VOICE): cv.string}
_PRERENDER: dict[Any, Any] = {
    **_ENTRY,
    vol.Required(ATTR_TEXTS): vol.All(cv.ensure_list, [cv.string], vol.Length(1, 500)),
    vol.Optional(ATTR_VOICE): cv.string,
    vol.Optional(ATTR_LANGUAGE): cv.string,
    vol.Optional(ATTR_SPEED): vol.Any(str, int, float),
}
ACTIONS = {
    "announce": (announce, _ANNOUNCE, SupportsResponse.OPTIONAL),
    "enrol_voice": (enrol_voice, _ENROL, SupportsResponse.OPTIONAL),
    "delete_voice": (delete_voice, _DELETE, SupportsResponse.NONE),
    "prerender": (prerender, _PRERENDER, SupportsResponse.OPTIONAL),
}


@callback
def async_register_actions(hass: HomeAssistant) -> None:
    """Register all actions."""
    for name, (do, fields, response) in ACTIONS.items():
        # Home Assistant's own name for voluptuous changed in 2026; at run time they are one.
        schema: Any = vol.Schema(fields)
        hass.services.async_register(DOMAIN, name, do, schema=schema, supports_response=response)
