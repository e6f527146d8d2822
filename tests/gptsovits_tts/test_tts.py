"""The TTS entity, through Home Assistant's own doors."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from fake_service import WAV_HEADER, FakeService, error, header_of, sound_of
from homeassistant.components import media_source, tts
from homeassistant.components.tts.entity import TTSAudioRequest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gptsovits_tts import speech_stream

pytestmark = pytest.mark.usefixtures("loaded")

SPEECH = "tts.family_voices_speech"
AS_IT_IS = {"preferred_format": "wav"}


def _entity(hass: HomeAssistant) -> tts.TextToSpeechEntity:
    return hass.data[tts.const.DATA_COMPONENT].get_entity(SPEECH)


async def _fragments(*texts: str) -> AsyncGenerator[str]:
    for text in texts:
        yield text


async def _speak(hass: HomeAssistant, text: AsyncGenerator[str]) -> bytes:
    response = await _entity(hass).async_stream_tts_audio(TTSAudioRequest("en-GB", {}, text))
    assert response.extension == "mp3"
    return b"".join([chunk async for chunk in response.data_gen])


async def test_tts_speak_reaches_the_player(
    hass: HomeAssistant, service: FakeService, hass_client: ClientSessionGenerator
) -> None:
    calls = async_mock_service(hass, "media_player", "play_media")
    await hass.services.async_call(
        "tts",
        "speak",
        {
            "entity_id": SPEECH,
            "media_player_entity_id": "media_player.kitchen",
            "message": "Dinner is ready.",
            "options": {**AS_IT_IS, "voice": "mum", "speed": 1.2},
        },
        blocking=True,
    )
    assert calls[0].data["announce"] is True
    item = await media_source.async_resolve_media(
        hass, calls[0].data["media_content_id"], "media_player.kitchen"
    )
    response = await (await hass_client()).get(item.url)
    assert response.status == HTTPStatus.OK
    assert await response.read() == WAV_HEADER + sound_of("Dinner is ready.")
    assert service.received == [
        {
            "type": "start",
            "response_format": "wav",
            "language": "en",
            "voice": "mum",
            "speed": 1.2,
        },
        {"type": "text", "text": "Dinner is ready."},
        {"type": "end"},
    ]


async def test_a_whole_text_can_be_asked_for_the_old_way(hass: HomeAssistant) -> None:
    answer = await _entity(hass).async_get_tts_audio("Dinner is ready.", "en", {})
    assert answer == ("mp3", header_of("mp3") + sound_of("Dinner is ready."))


async def test_sound_comes_while_text_is_still_written(hass: HomeAssistant) -> None:
    heard = asyncio.Event()

    async def written() -> AsyncGenerator[str]:
        yield "First."
        await heard.wait()
        yield "Second."

    request = TTSAudioRequest("en", {}, written())
    async with asyncio.timeout(10):
        response = await _entity(hass).async_stream_tts_audio(request)
        sound = b""
        async for chunk in response.data_gen:
            sound += chunk
            heard.set()
    assert sound == header_of("mp3") + sound_of("First.") + sound_of("Second.")


async def test_leaving_cancels_the_utterance(hass: HomeAssistant, service: FakeService) -> None:
    async def endless() -> AsyncGenerator[str]:
        yield "First."
        await asyncio.Event().wait()

    request = TTSAudioRequest("en", {}, endless())
    response = await _entity(hass).async_stream_tts_audio(request)
    assert await anext(response.data_gen) == header_of("mp3")
    await response.data_gen.aclose()
    async with asyncio.timeout(10):
        await service.left.wait()


@pytest.mark.parametrize(
    ("answers", "key"),
    [
        ([{"type": "error", **error("text_too_long", "input: at most 5000")}], "refused"),
        ([WAV_HEADER], "cannot_connect"),
        (["hang up"], "cannot_connect"),
    ],
)
async def test_a_failure_before_the_first_byte_is_raised_at_once(
    hass: HomeAssistant, service: FakeService, answers: list[Any], key: str
) -> None:
    service.instead_of_audio = answers
    request = TTSAudioRequest("en", {}, _fragments("Hello."))
    with pytest.raises(HomeAssistantError) as raised:
        await _entity(hass).async_stream_tts_audio(request)
    assert raised.value.translation_key == key


async def test_a_failure_before_the_first_byte_is_told_in_words(
    hass: HomeAssistant, service: FakeService
) -> None:
    refusal = error("text_too_long", "input: at most 5000 characters")
    service.instead_of_audio = [{"type": "error", **refusal}]
    with pytest.raises(HomeAssistantError, match="input: at most 5000 characters"):
        await _speak(hass, _fragments("Hello."))


@pytest.mark.parametrize(
    ("answers", "key"),
    [
        ([{"type": "error", **error("device_failed", "the card fell out")}], "refused"),
        ([{"type": "weather", "rain": True}], "cannot_connect"),
        (["no json"], "cannot_connect"),
        (["hang up"], "cannot_connect"),
    ],
)
async def test_a_failure_in_the_middle_is_no_end(
    hass: HomeAssistant, service: FakeService, answers: list[Any], key: str
) -> None:
    service.instead_of_more = answers
    with pytest.raises(HomeAssistantError) as raised:
        await _speak(hass, _fragments("Hello."))
    assert raised.value.translation_key == key


@pytest.mark.parametrize(
    ("token", "status", "key"), [("changed", 200, "invalid_auth"), ("", 503, "refused")]
)
async def test_a_refused_connection_is_told(
    hass: HomeAssistant, service: FakeService, token: str, status: int, key: str
) -> None:
    service.token, service.status = token, status
    with pytest.raises(HomeAssistantError) as raised:
        await _speak(hass, _fragments("Hello."))
    assert raised.value.translation_key == key


async def test_a_text_that_breaks_off_is_a_failure(hass: HomeAssistant) -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "First."
        raise RuntimeError("the language model died")

    with pytest.raises(HomeAssistantError, match="the text broke off"):
        await _speak(hass, broken())


async def test_a_service_that_is_gone_is_told(hass: HomeAssistant, server: TestServer) -> None:
    await server.close()
    with pytest.raises(HomeAssistantError) as raised:
        await _speak(hass, _fragments("Hello."))
    assert raised.value.translation_key == "cannot_connect"


async def test_a_service_that_falls_silent_is_not_waited_for(
    hass: HomeAssistant, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_stream, "_SOUND_TIMEOUT", 0.05)
    service.instead_of_done = []
    with pytest.raises(HomeAssistantError, match="fell silent"):
        await _speak(hass, _fragments("Hello."))


async def test_a_writer_who_thinks_is_waited_for(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_stream, "_SOUND_TIMEOUT", 0.05)

    async def slow() -> AsyncGenerator[str]:
        await asyncio.sleep(0.2)
        # What comes after the thinking may take its time on a busy machine.
        monkeypatch.setattr(speech_stream, "_SOUND_TIMEOUT", 60)
        await asyncio.sleep(0.2)
        yield "Hello."

    assert await _speak(hass, slow()) == header_of("mp3") + sound_of("Hello.")


async def test_languages_cover_the_regions_of_what_the_service_speaks(hass: HomeAssistant) -> None:
    entity = _entity(hass)
    assert {"en", "en-GB", "en-US", "zh", "zh-CN"} <= set(entity.supported_languages)
    assert "de" not in entity.supported_languages


@pytest.mark.parametrize(
    ("home", "default", "language"),
    [
        ("zh-Hans", "mum", "zh-Hans"),
        ("zh-Hans", "plain", "en"),
        ("en-GB", "plain", "en-GB"),
        ("de", "mum", "en"),
        ("de", "nobody", "en"),
    ],
)
async def test_the_default_language_is_the_homes_where_the_voice_speaks_it(
    hass: HomeAssistant,
    service: FakeService,
    loaded: MockConfigEntry,
    home: str,
    default: str,
    language: str,
) -> None:
    hass.config.language = home
    service.voices["default"] = default
    await loaded.runtime_data.async_refresh()
    assert _entity(hass).default_language == language


@pytest.mark.parametrize(
    ("language", "voices"),
    [("en-US", ["plain", "mum"]), ("zh-CN", ["mum"]), ("de", [])],
)
async def test_voices_of_a_language_with_the_default_first(
    hass: HomeAssistant, language: str, voices: list[str]
) -> None:
    offered = _entity(hass).async_get_supported_voices(language)
    assert [voice.voice_id for voice in offered] == voices


async def test_the_cache_key_carries_the_revision(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    revision = loaded.runtime_data.data.revision
    assert _entity(hass).default_options == {"revision": revision}


async def _start(
    hass: HomeAssistant, service: FakeService, options: dict[str, Any], language: str = "en"
) -> tuple[str, dict[str, Any]]:
    """The extension promised for some options, and what the service was asked for."""
    request = TTSAudioRequest(language, options, _fragments("Hello."))
    response = await _entity(hass).async_stream_tts_audio(request)
    assert [chunk async for chunk in response.data_gen]
    start = service.received[0]
    return response.extension, {key: start[key] for key in start if key != "type"}


async def test_every_option_reaches_the_service(hass: HomeAssistant, service: FakeService) -> None:
    options = {
        **{"voice": "mum", "speed": 1.2, "style": "happy", "model": "family", "chime": "gong"},
        **{"seed": 7, "top_k": 15, "top_p": 0.9, "temperature": 0.8, "repetition_penalty": 1.3},
        **{"pause": 0.5, "lead_in": 1.0, "priority": "alert", "fallback": "none", "expires": 30.0},
        "normalize": "exact",
    }
    wanted = {"response_format": "mp3", "language": "zh", **options}
    assert await _start(hass, service, {**options, "language": "zh-CN"}) == ("mp3", wanted)
    assert options.keys() | {"language"} <= set(_entity(hass).supported_options)


async def test_empty_options_are_left_to_the_service(
    hass: HomeAssistant, service: FakeService
) -> None:
    _, wanted = await _start(hass, service, {"voice": "", "style": None, "revision": "x"})
    assert wanted == {"response_format": "mp3", "language": "en"}


@pytest.mark.parametrize(
    ("options", "extension", "wanted"),
    [
        ({"preferred_format": "mp3"}, "mp3", {"response_format": "mp3"}),
        ({"preferred_format": "wav"}, "wav", {"response_format": "wav"}),
        ({"preferred_format": "flac"}, "flac", {"response_format": "flac"}),
        ({"preferred_format": "opus"}, "opus", {"response_format": "opus"}),
        ({"preferred_format": "oga"}, "oga", {"response_format": "ogg"}),
        # What Home Assistant's ffmpeg makes of it anyway leaves the service uncompressed.
        ({"preferred_format": "aac"}, "wav", {"response_format": "wav"}),
        (
            {"preferred_format": "flac", "preferred_sample_rate": "48000"},
            "wav",
            {"response_format": "wav", "sample_rate": 48000},
        ),
        ({"preferred_sample_rate": 11025}, "wav", {"response_format": "wav"}),
        (
            {"preferred_format": "mp3", "preferred_bitrate": 128},
            "wav",
            {"response_format": "wav"},
        ),
    ],
)
async def test_the_form_that_is_preferred_is_made_by_the_service(
    hass: HomeAssistant,
    service: FakeService,
    options: dict[str, Any],
    extension: str,
    wanted: dict[str, Any],
) -> None:
    assert await _start(hass, service, options) == (extension, {**wanted, "language": "en"})


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"speed": "fast"}, "bad_option"),
        ({"seed": 1.5}, "bad_option"),
        ({"top_k": 0}, "bad_option"),
        ({"pause": float("nan")}, "bad_option"),
        ({"fallback": "maybe"}, "bad_option"),
        ({"normalize": "off"}, "bad_option"),
        ({"language": "de"}, "language_unknown"),
    ],
)
async def test_a_wrong_option_is_named(
    hass: HomeAssistant, service: FakeService, options: dict[str, Any], key: str
) -> None:
    with pytest.raises(ServiceValidationError) as raised:
        await _start(hass, service, options)
    assert raised.value.translation_key == key
    assert service.received == []


async def test_a_fragment_is_sent_before_the_next_is_written(
    hass: HomeAssistant, service: FakeService
) -> None:
    seen = []

    async def written() -> AsyncGenerator[str]:
        for word in ("It ", "is ", "raining."):
            yield word
            async with asyncio.timeout(60):
                while len(service.received) < 2 + len(seen):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            seen.append(service.received[-1]["text"])

    request = TTSAudioRequest("en", {}, written())
    response = await _entity(hass).async_stream_tts_audio(request)
    assert [chunk async for chunk in response.data_gen]
    assert seen == ["It ", "is ", "raining."]
