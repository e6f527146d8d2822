"""Actions on voices: what is sent, what is told, and what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web
from fake_service import FakeService, error
from homeassistant.components.media_source import PlayMedia, Unresolvable
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gptsovits_tts import voice_actions

pytestmark = pytest.mark.usefixtures("loaded")
GRAN: dict[str, Any] = {
    "name": "Gran",
    "language": "en",
    "transcript": "Good morning, did you sleep well?",
    "consent_name": "Jane Doe",
    "consent": True,
}


@pytest.fixture
def recording(hass: HomeAssistant, tmp_path: Path) -> Path:
    hass.config.allowlist_external_dirs = {str(tmp_path)}
    file = tmp_path / "gran.wav"
    file.write_bytes(b"RIFF and so on")
    return file


async def _call(hass: HomeAssistant, action: str, fields: dict[str, Any]) -> Any:
    answers = action != "delete_voice"
    return await hass.services.async_call(
        "gptsovits_tts", action, fields, blocking=True, return_response=answers
    )


@pytest.fixture
def media(recording: Path) -> Any:
    # In 2025.6 what is found has no path, see the test for that.
    found = SimpleNamespace(url="/media/local/gran.wav", mime_type="audio/wav", path=recording)
    with patch.object(
        voice_actions.media_source, "async_resolve_media", return_value=found
    ) as resolve:
        yield resolve


async def test_a_voice_is_made_of_a_file(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry, recording: Path
) -> None:
    told = await _call(hass, "enrol_voice", {**GRAN, "path": str(recording)})
    assert told["id"] == "gran"
    assert told["verdict"]["accepted"] is True
    assert service.asked == [("enrol", {**GRAN, "consent": "true", "file": b"RIFF and so on"})]
    assert loaded.runtime_data.data.voices.find("gran").name == "Gran"


@pytest.mark.parametrize("shape", ["id", "selector"])
async def test_a_voice_is_made_of_media(
    hass: HomeAssistant, service: FakeService, media: Any, shape: str
) -> None:
    media_id = "media-source://media_source/local/gran.wav"
    given = {"id": media_id, "selector": {"media_content_id": media_id, "metadata": {}}}
    await _call(hass, "enrol_voice", {**GRAN, "media": given[shape]})
    assert media.call_args.args[1] == media_id
    assert service.asked[0][1]["file"] == b"RIFF and so on"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"consent": False, "path": "gran.wav"}, "consent_needed"),
        ({"path": "/etc/passwd"}, "path_not_allowed"),
        ({"path": "{folder}/nowhere.wav"}, "file_not_read"),
        ({"path": "{folder}/empty.wav"}, "file_too_large"),
        ({"path": "{folder}/huge.wav"}, "file_too_large"),
        ({}, "no_recording"),
        ({"media": "http://example.com/gran.wav"}, "no_recording"),
        ({"media": "media-source://media_source/nowhere"}, "media_not_found"),
        ({"media": "media-source://tts/somewhere"}, "media_not_local"),
    ],
)
async def test_what_cannot_become_a_voice_is_not_sent(
    hass: HomeAssistant,
    service: FakeService,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    key: str,
) -> None:
    monkeypatch.setattr(voice_actions, "MAX_RECORDING", 1 << 20)
    (recording.parent / "empty.wav").touch()
    (recording.parent / "huge.wav").write_bytes(b"\0" * ((1 << 20) + 1))
    named = {name: str(v).format(folder=recording.parent) for name, v in fields.items()}
    answers = {
        "media-source://media_source/nowhere": Unresolvable("not there"),
        "media-source://tts/somewhere": PlayMedia("http://example.com/x", "audio/wav"),
    }
    with (
        patch.object(
            voice_actions.media_source,
            "async_resolve_media",
            side_effect=[answers.get(named.get("media", ""))],
        ),
        pytest.raises(ServiceValidationError) as raised,
    ):
        await _call(hass, "enrol_voice", {**GRAN, **named})
    assert raised.value.translation_key == key
    assert service.asked == []


async def test_a_recording_that_the_service_refuses_is_told(
    hass: HomeAssistant, service: FakeService, recording: Path
) -> None:
    refusal = error("recording_refused", "file: too noisy")
    service.refusal = web.json_response(refusal, status=422)
    with pytest.raises(ServiceValidationError, match="too noisy"):
        await _call(hass, "enrol_voice", {**GRAN, "path": str(recording)})


@pytest.mark.parametrize("voice", ["mum", "Mum"])
async def test_a_voice_is_deleted(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry, voice: str
) -> None:
    await _call(hass, "delete_voice", {"voice": voice})
    assert service.asked == [("delete", "mum")]
    assert loaded.runtime_data.data.voices.find("mum") is None


async def test_texts_are_spoken_ahead(hass: HomeAssistant, service: FakeService) -> None:
    texts = ["Dinner is ready.", "Good night."]
    fields = {"texts": texts, "voice": "Mum", "language": "en", "speed": "1.1"}
    told = await _call(hass, "prerender", fields)
    assert told == {"id": "b7", "total": 2, "done": 0, "failed": [], "finished": False}
    assert service.asked == [
        ("prerender", {"texts": texts, "voice": "mum", "language": "en", "speed": 1.1})
    ]
    await _call(hass, "prerender", {"texts": "Dinner is ready."})
    assert service.asked[1] == ("prerender", {"texts": ["Dinner is ready."]})


@pytest.mark.parametrize(
    ("action", "fields"),
    [("delete_voice", {"voice": "uncle"}), ("prerender", {"texts": ["Hello."], "voice": "uncle"})],
)
async def test_a_voice_that_is_not_there_is_named(
    hass: HomeAssistant, service: FakeService, action: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ServiceValidationError, match="uncle"):
        await _call(hass, action, fields)
    assert service.asked == []


@pytest.mark.parametrize(
    ("action", "fields"),
    [("delete_voice", {"voice": "mum"}), ("prerender", {"texts": ["Hello."]})],
)
async def test_a_failure_of_the_service_is_told(
    hass: HomeAssistant, service: FakeService, action: str, fields: dict[str, Any]
) -> None:
    refusal = error("storage_failed", "the disk is full")
    service.refusal = web.json_response(refusal, status=507)
    with pytest.raises(HomeAssistantError, match="the disk is full") as raised:
        await _call(hass, action, fields)
    assert not isinstance(raised.value, ServiceValidationError)


async def test_the_service_must_be_named_where_there_are_two(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry, second: FakeService
) -> None:
    with pytest.raises(ServiceValidationError) as raised:
        await _call(hass, "delete_voice", {"voice": "mum"})
    assert raised.value.translation_key == "which_service"
    named = {"voice": "mum", "config_entry_id": loaded.entry_id}
    await _call(hass, "delete_voice", named)
    assert service.asked == [("delete", "mum")]
    assert second.asked == []
    await hass.config_entries.async_unload(loaded.entry_id)
    with pytest.raises(ServiceValidationError) as raised:
        await _call(hass, "delete_voice", named)
    assert raised.value.translation_key == "no_service"
