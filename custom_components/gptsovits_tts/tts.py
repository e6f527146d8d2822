"""Text-to-speech entity of a service: text streams in, sound streams out."""

from collections.abc import AsyncGenerator
from typing import Any, override

from homeassistant.components.tts import ATTR_VOICE, TtsAudioType, Voice
from homeassistant.components.tts.entity import (
    TextToSpeechEntity,
    TTSAudioRequest,
    TTSAudioResponse,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import GptSovitsAuthError, GptSovitsError, GptSovitsRefusedError, SpeechStream
from .const import ATTR_SPEED, DOMAIN
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .entity import GptSovitsEntity
from .languages import spoken_tags

# The service has a queue of its own and says when it is full.
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the entity of a service."""
    async_add_entities([GptSovitsTTSEntity(entry.runtime_data)])


class GptSovitsTTSEntity(GptSovitsEntity, TextToSpeechEntity):
    """Speaks with any voice of the service."""

    _attr_translation_key = "speech"
    _attr_supported_options = [ATTR_VOICE, ATTR_SPEED]  # noqa: RUF012 (type given by the base class)

    def __init__(self, coordinator: GptSovitsCoordinator) -> None:
        """Take languages and voices from what the service last said."""
        super().__init__(coordinator)
        self._attr_unique_id = coordinator.data.health.id
        self._follow_server()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._follow_server()
        super()._handle_coordinator_update()

    @callback
    @override
    def async_get_supported_voices(self, language: str) -> list[Voice]:
        """The voices that speak a language, the service's default first."""
        spoken = self._tags.get(language, language)
        known = self.coordinator.data.voices
        voices = [voice for voice in known.voices if spoken in voice.languages]
        voices.sort(key=lambda voice: (voice.id != known.default, voice.name))
        return [Voice(voice.id, voice.name) for voice in voices]

    @override
    async def async_stream_tts_audio(self, request: TTSAudioRequest) -> TTSAudioResponse:
        """Start to speak; what is wrong is raised here, before the first byte."""
        wanted = {
            option: request.options[option]
            for option in (ATTR_VOICE, ATTR_SPEED)
            if option in request.options
        }
        try:
            stream = await self.coordinator.client.speak(
                request.message_gen, self._tags[request.language], wanted
            )
        except GptSovitsError as error:
            raise _told(error) from error
        return TTSAudioResponse("wav", _sound(stream))

    @override
    async def async_get_tts_audio(
        self, message: str, language: str, options: dict[str, Any]
    ) -> TtsAudioType:
        """Speak a whole text; how Home Assistant 2025.6 asks, newer ones stream that too."""

        async def whole() -> AsyncGenerator[str]:
            yield message

        request = TTSAudioRequest(language, options, whole())
        response = await self.async_stream_tts_audio(request)
        return response.extension, b"".join([chunk async for chunk in response.data_gen])

    def _follow_server(self) -> None:
        state = self.coordinator.data
        self._tags = spoken_tags(state.voices.languages)
        self._attr_supported_languages = sorted(self._tags)
        self._attr_default_language = self._own_language()
        # Part of Home Assistant's cache key, so that it never plays a sound of before a change.
        self._attr_default_options = {"revision": state.revision}

    def _own_language(self) -> str:
        """The language of this Home Assistant where the default voice speaks it."""
        known, home = self.coordinator.data.voices, self.coordinator.hass.config.language
        spoken = next((v.languages for v in known.voices if v.id == known.default), ())
        return home if home in spoken_tags(spoken) else next(iter(spoken), "en")


async def _sound(stream: SpeechStream) -> AsyncGenerator[bytes]:
    try:
        async for chunk in stream.sound():
            yield chunk
    except GptSovitsError as error:
        raise _told(error) from error
    finally:
        await stream.close()


def _told(error: GptSovitsError) -> HomeAssistantError:
    """An error of the service as Home Assistant shows it."""
    placeholders: dict[str, Any] = {"error": str(error)}
    match error:
        case GptSovitsAuthError():
            key = "invalid_auth"
        case GptSovitsRefusedError():
            key = "refused"
        case _:
            key = "cannot_connect"
    return HomeAssistantError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )
