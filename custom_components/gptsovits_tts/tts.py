"""Text-to-speech entities: one for the service with all its voices, one for every voice set up."""

from collections.abc import AsyncGenerator
from typing import Any, override

from homeassistant.components.tts import ATTR_VOICE, TtsAudioType, Voice
from homeassistant.components.tts.entity import (
    TextToSpeechEntity,
    TTSAudioRequest,
    TTSAudioResponse,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import ATTR_LANGUAGE, DOMAIN, SIGNAL_SPOKEN, SUBENTRY_VOICE
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .entity import GptSovitsEntity
from .errors import GptSovitsError, mistake, told
from .languages import spoken_tags
from .models import ServerVoice
from .speech_options import FORM_OPTIONS, SPEECH_OPTIONS, sound_form, speech_fields
from .speech_stream import SpeechStream

# The service has a queue of its own and says when it is full.
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the entity of a service and those of the voices set up."""
    async_add_entities([GptSovitsTTSEntity(entry.runtime_data)])
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_VOICE:
            async_add_entities(
                [GptSovitsVoiceEntity(entry.runtime_data, subentry)],
                config_subentry_id=subentry.subentry_id,
            )


class GptSovitsTTSEntity(GptSovitsEntity, TextToSpeechEntity):
    """Speaks with any voice of the service."""

    _attr_translation_key = "speech"
    _attr_supported_options = [*SPEECH_OPTIONS, *FORM_OPTIONS]  # noqa: RUF012 (type given by the base class)

    def __init__(self, coordinator: GptSovitsCoordinator) -> None:
        """Take languages and voices from what the service last said."""
        super().__init__(coordinator)
        self._follow_server()

    @property
    @override
    def available(self) -> bool:
        """Whether the service answers and has something to speak with."""
        return super().available and self.coordinator.data.health.speaks

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
        voices = [voice for voice in self._voices() if spoken in voice.languages]
        voices.sort(key=lambda voice: (voice.id != known.default, voice.name))
        return [Voice(voice.id, voice.name) for voice in voices]

    @override
    async def async_stream_tts_audio(self, request: TTSAudioRequest) -> TTSAudioResponse:
        """Start to speak; what is wrong is raised here, before the first byte."""
        extension, form = sound_form(request.options)
        fields = speech_fields(request.options)
        language = fields.pop(ATTR_LANGUAGE, request.language)
        if language not in self._tags:
            raise mistake("language_unknown", language=str(language))
        if ATTR_VOICE in fields:
            # Automations may say "Mum"; what is no voice's name either is the service's to refuse.
            known = self.coordinator.data.voices.find(str(fields[ATTR_VOICE]))
            fields[ATTR_VOICE] = known.id if known else fields[ATTR_VOICE]
        try:
            stream = await self.coordinator.client.speak(
                request.message_gen, self._tags[language], {**fields, **form}
            )
        except GptSovitsError as error:
            self._tell("failed", {"message": str(error)})
            raise told(error) from error
        return TTSAudioResponse(extension, self._sound(stream))

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

    async def _sound(self, stream: SpeechStream) -> AsyncGenerator[bytes]:
        try:
            async for chunk in stream.sound():
                yield chunk
        except GptSovitsError as error:
            self._tell("failed", {"message": str(error)})
            raise told(error) from error
        finally:
            await stream.close()
        spoken = stream.spoken
        self._tell(
            "spoken",
            {
                "voice": spoken.voice,
                "rung": spoken.rung,
                "seconds": spoken.seconds,
                "first_audio": spoken.first_audio,
            },
        )

    def _tell(self, kind: str, facts: dict[str, Any]) -> None:
        signal = SIGNAL_SPOKEN.format(self.coordinator.config_entry.entry_id)
        facts = {"entity_id": self.entity_id, **facts}
        async_dispatcher_send(self.hass, signal, kind, facts)

    def _voices(self) -> tuple[ServerVoice, ...]:
        return self.coordinator.data.voices.voices

    def _follow_server(self) -> None:
        state = self.coordinator.data
        self._take_languages(state.voices.languages, state.voices.default)
        # Part of Home Assistant's cache key, so that it never plays a sound of before a change.
        self._attr_default_options = {"revision": state.revision}

    def _take_languages(self, languages: tuple[str, ...], default_voice: str) -> None:
        self._tags = spoken_tags(languages)
        self._attr_supported_languages = sorted(self._tags)
        known, home = self.coordinator.data.voices, self.coordinator.hass.config.language
        spoken = next((v.languages for v in known.voices if v.id == default_voice), ())
        # The language of this Home Assistant where the voice speaks it.
        own = home if home in spoken_tags(spoken) else next(iter(spoken), "en")
        self._attr_default_language = own


class GptSovitsVoiceEntity(GptSovitsTTSEntity):
    """Speaks with one voice, in the manner that was set up for it."""

    _attr_translation_key = "voice"
    _attr_name = None

    def __init__(self, coordinator: GptSovitsCoordinator, subentry: ConfigSubentry) -> None:
        """Take the manner from the subentry."""
        self._subentry = subentry
        super().__init__(coordinator)
        self._attr_unique_id = subentry.subentry_id
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, subentry.subentry_id)},
            entry_type=DeviceEntryType.SERVICE,
            name=subentry.title,
            manufacturer="GPT-SoVITS",
        )

    @property
    @override
    def available(self) -> bool:
        """Whether the service can speak and still has the voice."""
        return super().available and bool(self._voices())

    @override
    def _voices(self) -> tuple[ServerVoice, ...]:
        wanted = self._subentry.data[ATTR_VOICE]
        return tuple(v for v in self.coordinator.data.voices.voices if v.id == wanted)

    @override
    def _follow_server(self) -> None:
        state, manner = self.coordinator.data, dict(self._subentry.data)
        voice = next(iter(self._voices()), None)
        # A voice that is gone keeps its languages until the user has decided what replaces it.
        if voice is not None or not hasattr(self, "_tags"):
            languages = voice.languages if voice else state.voices.languages
            self._take_languages(languages, manner[ATTR_VOICE])
        if (language := manner.pop(ATTR_LANGUAGE, None)) in self._tags:
            self._attr_default_language = language
        revision = state.revision_of(voice) if voice else "gone"
        self._attr_default_options = {**manner, "revision": revision}
