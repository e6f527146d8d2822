"""Actions on the service's voices and cache."""

from pathlib import Path
from typing import Any

from homeassistant.components import media_source
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse

from .const import ATTR_LANGUAGE, ATTR_SPEED, DOMAIN
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .errors import GptSovitsError, mistake, told
from .speech_options import speech_fields

ATTR_CONSENT = "consent"
ATTR_CONSENT_NAME = "consent_name"
ATTR_ENTRY = "config_entry_id"
ATTR_MEDIA = "media"
ATTR_NAME = "name"
ATTR_PATH = "path"
ATTR_TEXTS = "texts"
ATTR_TRANSCRIPT = "transcript"
# The service takes no more.
MAX_RECORDING = 32 * 1024 * 1024


def service_for(hass: HomeAssistant, entry_id: str | None) -> GptSovitsCoordinator:
    """The service that a call means: the one named, or the only one that is set up.

    Raises:
        ServiceValidationError: there is none, or more than one and none was named.
    """
    entries: list[GptSovitsConfigEntry] = [
        entry
        for entry in hass.config_entries.async_entries(DOMAIN)
        if entry.state is ConfigEntryState.LOADED and entry_id in (None, entry.entry_id)
    ]
    if not entries:
        raise mistake("no_service")
    if len(entries) > 1:
        raise mistake("which_service")
    return entries[0].runtime_data


async def enrol_voice(call: ServiceCall) -> ServiceResponse:
    """Make a voice of a recording; it can be spoken at once."""
    coordinator = service_for(call.hass, call.data.get(ATTR_ENTRY))
    if not call.data[ATTR_CONSENT]:
        raise mistake("consent_needed", name=call.data[ATTR_CONSENT_NAME])
    path = await _recording(call)
    data = await call.hass.async_add_executor_job(_read, path)
    fields = {
        name: call.data[name]
        for name in (ATTR_NAME, ATTR_LANGUAGE, ATTR_TRANSCRIPT, ATTR_CONSENT_NAME)
    }
    try:
        voice = await coordinator.client.enrol(data, {**fields, ATTR_CONSENT: "true"})
    except GptSovitsError as error:
        raise told(error) from error
    await coordinator.async_refresh()
    return voice


async def delete_voice(call: ServiceCall) -> None:
    """Delete a voice for good."""
    coordinator = service_for(call.hass, call.data.get(ATTR_ENTRY))
    voice = coordinator.data.voices.find(call.data[ATTR_VOICE])
    if voice is None:
        raise mistake("voice_unknown", voice=call.data[ATTR_VOICE])
    try:
        await coordinator.client.delete_voice(voice.id)
    except GptSovitsError as error:
        raise told(error) from error
    await coordinator.async_refresh()


async def prerender(call: ServiceCall) -> ServiceResponse:
    """Have texts spoken ahead, so that they are said at once when they are needed."""
    coordinator = service_for(call.hass, call.data.get(ATTR_ENTRY))
    wanted = {n: call.data[n] for n in (ATTR_LANGUAGE, ATTR_SPEED) if n in call.data}
    fields: dict[str, Any] = speech_fields(wanted)
    if ATTR_VOICE in call.data:
        voice = coordinator.data.voices.find(call.data[ATTR_VOICE])
        if voice is None:
            raise mistake("voice_unknown", voice=call.data[ATTR_VOICE])
        fields[ATTR_VOICE] = voice.id
    try:
        return await coordinator.client.prerender(call.data[ATTR_TEXTS], fields)
    except GptSovitsError as error:
        raise told(error) from error


async def _recording(call: ServiceCall) -> Path:
    """The file that a call means, if Home Assistant may read it."""
    hass = call.hass
    if path := call.data.get(ATTR_PATH):
        if not hass.config.is_allowed_path(path):
            raise mistake("path_not_allowed", path=path)
        return Path(path)
    media = call.data.get(ATTR_MEDIA)
    media_id = media.get("media_content_id") if isinstance(media, dict) else media
    if not media_id or not media_source.is_media_source_id(media_id):
        raise mistake("no_recording")
    try:
        item = await media_source.async_resolve_media(hass, media_id, None)
    except media_source.Unresolvable as error:
        raise mistake("media_not_found", media=media_id) from error
    # Older Home Assistants and media that lie elsewhere have no path.
    path = getattr(item, "path", None)
    if path is None:
        raise mistake("media_not_local", media=media_id)
    return Path(path)


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_RECORDING else b""
    except OSError as error:
        raise mistake("file_not_read", path=str(path), error=str(error.strerror)) from error
    if not data:
        raise mistake("file_too_large", path=str(path), limit=str(MAX_RECORDING >> 20))
    return data
