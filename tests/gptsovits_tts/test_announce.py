"""The announce action: what is asked of the service and of the players, and what is told of it."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from fake_service import FakeService, error, header_of, sound_of
from homeassistant.components import media_source, tts
from homeassistant.const import STATE_IDLE, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import floor_registry as fr
from homeassistant.helpers import label_registry as lr
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gptsovits_tts import interruption, speech_stream

pytestmark = pytest.mark.usefixtures("loaded")
ANNOUNCES = 1 << 20
KITCHEN = "media_player.kitchen"
TEXT = "The washing machine is done."


@pytest.fixture(autouse=True)
def _over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "longest", lambda text: 0.01)


@pytest.fixture
def played(hass: HomeAssistant) -> list[ServiceCall]:
    hass.states.async_set(KITCHEN, STATE_IDLE, {"supported_features": ANNOUNCES})
    return async_mock_service(hass, "media_player", "play_media")


async def _announce(hass: HomeAssistant, **fields: Any) -> Any:
    told = await hass.services.async_call(
        "gptsovits_tts",
        "announce",
        {"entity_id": KITCHEN, "text": TEXT, **fields},
        blocking=True,
        return_response=True,
    )
    await hass.async_block_till_done(wait_background_tasks=True)
    return told


async def test_an_announcement_is_spoken_by_the_service_and_played(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    hass_client: ClientSessionGenerator,
) -> None:
    told = await _announce(
        hass,
        **{"voice": "Mum", "language": "en-GB", "style": "happy", "speed": "1.1"},
        **{"chime": "gong", "lead_in": 0.5, "priority": "alert", "expires": 60},
        fallback="cpu",
    )
    assert told == {"tts_entity": "tts.family_voices_speech", "players": [KITCHEN], "failed": {}}
    assert service.received[0] == {
        **{"type": "start", "response_format": "mp3", "language": "en"},
        **{"voice": "mum", "style": "happy", "speed": 1.1, "chime": "gong", "lead_in": 0.5},
        **{"priority": "alert", "expires": 60, "fallback": "cpu"},
    }
    [call] = played
    assert call.data["entity_id"] == KITCHEN
    assert call.data["announce"] is True
    item = await media_source.async_resolve_media(hass, call.data["media_content_id"], KITCHEN)
    response = await (await hass_client()).get(item.url)
    assert response.status == HTTPStatus.OK
    assert await response.read() == header_of("mp3") + sound_of(TEXT)


@pytest.mark.newest  # 2025.6 waits for the whole of a text that is not streamed
async def test_players_are_asked_while_the_rest_is_still_being_spoken(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.instead_of_done = []  # it does not end
    monkeypatch.setattr(speech_stream, "_SOUND_TIMEOUT", 1)
    await hass.services.async_call(
        "gptsovits_tts", "announce", {"entity_id": KITCHEN, "text": TEXT}, blocking=True
    )
    assert len(played) == 1


async def test_rooms_floors_labels_and_devices_name_players(
    hass: HomeAssistant,
    played: list[ServiceCall],
    entity_registry: er.EntityRegistry,
    area_registry: ar.AreaRegistry,
    floor_registry: fr.FloorRegistry,
    label_registry: lr.LabelRegistry,
) -> None:
    upstairs = floor_registry.async_create("Upstairs")
    bath = area_registry.async_create("Bath", floor_id=upstairs.floor_id)
    hall = area_registry.async_create("Hall")
    loud = label_registry.async_create("Loud")
    for name, facts in {
        "bath": {"area_id": bath.id},
        "hall": {"area_id": hall.id},
        "attic": {"labels": {loud.label_id}},
        "secret": {"area_id": hall.id, "hidden_by": er.RegistryEntryHider.USER},
        "elsewhere": {},
    }.items():
        entity = entity_registry.async_get_or_create(
            "media_player", "demo", name, suggested_object_id=name
        )
        entity_registry.async_update_entity(entity.entity_id, **facts)
        hass.states.async_set(entity.entity_id, STATE_IDLE)
    entity_registry.async_get_or_create("light", "demo", "bulb")
    told = await _announce(hass, floor_id="upstairs", area_id=[hall.id], label_id=[loud.label_id])
    rooms = ["attic", "bath", "hall", "kitchen"]
    assert told["players"] == [f"media_player.{room}" for room in rooms]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ({"entity_id": "media_player.bedroom"}, ["bath", "hall"]),
        ({"area_id": "bedroom"}, ["bath", "hall"]),
        ({"label_id": ["quiet"]}, ["bath"]),
        ({"area_id": ["bedroom", "bath"]}, ["hall"]),
    ],
)
async def test_what_is_excluded_stays_silent(
    hass: HomeAssistant,
    played: list[ServiceCall],
    entity_registry: er.EntityRegistry,
    area_registry: ar.AreaRegistry,
    floor_registry: fr.FloorRegistry,
    label_registry: lr.LabelRegistry,
    exclude: dict[str, Any],
    left: list[str],
) -> None:
    upstairs = floor_registry.async_create("Upstairs")
    quiet = {label_registry.async_create("Quiet").label_id}
    for name, labels in {"bath": set(), "hall": quiet, "bedroom": quiet}.items():
        area = area_registry.async_create(name, floor_id=upstairs.floor_id, labels=labels)
        entity = entity_registry.async_get_or_create(
            "media_player", "demo", name, suggested_object_id=name
        )
        entity_registry.async_update_entity(entity.entity_id, area_id=area.id)
        hass.states.async_set(entity.entity_id, STATE_IDLE)
    told = await _announce(hass, entity_id=[], floor_id="upstairs", exclude=exclude)
    assert told["players"] == [f"media_player.{room}" for room in left]


@pytest.mark.parametrize(
    ("satellite", "told"),
    [(STATE_IDLE, "assist_satellite.voice"), (STATE_UNAVAILABLE, "media_player.voice")],
)
async def test_a_satellite_in_a_room_says_it_once(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    played: list[ServiceCall],
    device_registry: dr.DeviceRegistry,
    entity_registry: er.EntityRegistry,
    area_registry: ar.AreaRegistry,
    satellite: str,
    told: str,
) -> None:
    async_mock_service(hass, "assist_satellite", "announce")
    hall = area_registry.async_create("Hall")
    device = device_registry.async_get_or_create(
        config_entry_id=loaded.entry_id, identifiers={("demo", "voice")}
    )
    device_registry.async_update_device(device.id, area_id=hall.id)
    for domain, state in {"media_player": STATE_IDLE, "assist_satellite": satellite}.items():
        entity = entity_registry.async_get_or_create(
            domain, "demo", "voice", suggested_object_id="voice", device_id=device.id
        )
        hass.states.async_set(entity.entity_id, state)
    lone = entity_registry.async_get_or_create("media_player", "demo", "lone")
    entity_registry.async_update_entity(lone.entity_id, area_id=hall.id)
    hass.states.async_set(lone.entity_id, STATE_IDLE)
    answer = await _announce(hass, entity_id=[], area_id=hall.id)
    assert answer["players"] == sorted([told, lone.entity_id])


async def test_a_satellite_announces_by_itself(hass: HomeAssistant) -> None:
    calls = async_mock_service(hass, "assist_satellite", "announce")
    hass.states.async_set("assist_satellite.hall", STATE_IDLE)
    await _announce(hass, entity_id="assist_satellite.hall", pre_announce=False)
    [call] = calls
    assert call.data["message"] == TEXT
    assert call.data["media_id"].startswith("media-source://tts/")
    assert call.data["preannounce"] is False
    await _announce(hass, entity_id="assist_satellite.hall")
    assert "preannounce" not in calls[1].data


@pytest.mark.parametrize(
    ("platform", "extra"),
    [
        ("sonos", {"volume": 40}),
        ("music_assistant", {"announce_volume": 40, "use_pre_announce": True}),
    ],
)
async def test_players_with_a_volume_for_announcements_are_given_it(
    hass: HomeAssistant,
    played: list[ServiceCall],
    entity_registry: er.EntityRegistry,
    platform: str,
    extra: dict[str, Any],
) -> None:
    volumes = async_mock_service(hass, "media_player", "volume_set")
    speaker = entity_registry.async_get_or_create("media_player", platform, "s").entity_id
    hass.states.async_set(speaker, STATE_IDLE, {"supported_features": ANNOUNCES})
    await _announce(hass, entity_id=speaker, volume=0.4, pre_announce=True)
    assert played[0].data["extra"] == extra
    assert volumes == []


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"entity_id": "media_player.nowhere"}, "player_not_found"),
        ({"entity_id": "light.kitchen"}, "player_not_found"),
        ({"entity_id": [], "area_id": "empty"}, "no_players"),
        ({"entity_id": "media_player.away"}, "players_unavailable"),
        ({"tts_entity": "tts.nobody"}, "tts_entity_unknown"),
        ({"speed": 9}, "bad_option"),
        ({"speed": "fast"}, "bad_option"),
        ({"priority": "now"}, "bad_option"),
    ],
)
async def test_a_mistake_is_told_and_nobody_is_asked(
    hass: HomeAssistant,
    service: FakeService,
    played: list[ServiceCall],
    fields: dict[str, Any],
    key: str,
) -> None:
    hass.states.async_set("media_player.away", STATE_UNAVAILABLE)
    with pytest.raises(ServiceValidationError) as raised:
        await _announce(hass, **fields)
    assert raised.value.translation_key == key
    assert played == []
    assert service.received == []


async def test_an_unavailable_player_among_others_is_told(
    hass: HomeAssistant, played: list[ServiceCall]
) -> None:
    hass.states.async_set("media_player.away", STATE_UNAVAILABLE)
    told = await _announce(hass, entity_id=[KITCHEN, "media_player.away"])
    assert told["players"] == [KITCHEN]
    assert told["failed"] == {"media_player.away": "unavailable"}


async def test_a_refusal_reaches_whoever_called(
    hass: HomeAssistant, service: FakeService, played: list[ServiceCall]
) -> None:
    refusal = error("voice_not_found", "voice: there is no voice 'gran'")
    service.instead_of_audio = [{"type": "error", **refusal}]
    with pytest.raises(HomeAssistantError, match="no voice 'gran'"):
        await _announce(hass, voice="gran")
    assert played == []


async def test_no_sound_is_a_failure(
    hass: HomeAssistant, service: FakeService, played: list[ServiceCall]
) -> None:
    audio = {"type": "audio", "rung": "plain", "voice": "plain", "sample_rate": 24_000}
    service.instead_of_audio, service.instead_of_more = [audio], []
    with pytest.raises(HomeAssistantError) as raised:
        await _announce(hass)
    assert raised.value.translation_key == "no_sound"
    assert played == []


async def test_no_player_took_it(hass: HomeAssistant) -> None:
    hass.states.async_set(KITCHEN, STATE_IDLE)
    refusal = HomeAssistantError("the speaker is being updated")
    async_mock_service(hass, "media_player", "play_media", raise_exception=refusal)
    with pytest.raises(HomeAssistantError, match="the speaker is being updated") as raised:
        await _announce(hass)
    assert raised.value.translation_key == "players_failed"


async def test_one_player_that_fails_does_not_silence_the_others(
    hass: HomeAssistant, played: list[ServiceCall]
) -> None:
    refusal = HomeAssistantError("busy")
    async_mock_service(hass, "assist_satellite", "announce", raise_exception=refusal)
    hass.states.async_set("assist_satellite.hall", STATE_IDLE)
    told = await _announce(hass, entity_id=[KITCHEN, "assist_satellite.hall"])
    assert told["players"] == [KITCHEN]
    assert told["failed"] == {"assist_satellite.hall": "busy"}


@pytest.mark.parametrize("chosen", ["option", "field"])
async def test_the_other_engine_speaks_when_the_service_is_gone(
    hass: HomeAssistant,
    server: TestServer,
    loaded: MockConfigEntry,
    second: FakeService,
    played: list[ServiceCall],
    chosen: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    by_option = {"option": {"fallback_entity": "tts.office_speech"}, "field": {}}[chosen]
    by_field = {"field": {"fallback_entity": "tts.office_speech"}, "option": {}}[chosen]
    hass.config_entries.async_update_entry(loaded, options=by_option)
    await hass.async_block_till_done()
    await server.close()
    told = await _announce(hass, voice="mum", chime="gong", **by_field)
    assert told["tts_entity"] == "tts.office_speech"
    assert "voice" not in second.received[0]
    assert second.received[1] == {"type": "text", "text": TEXT}
    assert len(played) == 1
    assert "tts.office_speech does instead" in caplog.text


async def test_the_other_engine_speaks_whatever_the_first_one_raises(
    hass: HomeAssistant,
    second: FakeService,
    played: list[ServiceCall],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = tts.async_create_stream

    def broken(hass: HomeAssistant, engine: str, *rest: Any) -> Any:
        stream = real(hass, engine, *rest)
        if_broken = {"tts.family_voices_speech": _raises}.get(engine)
        monkeypatch.setattr(stream, "async_stream_result", if_broken or stream.async_stream_result)
        return stream

    monkeypatch.setattr(tts, "async_create_stream", broken)
    told = await _announce(hass, fallback_entity="tts.office_speech")
    assert told["tts_entity"] == "tts.office_speech"
    assert len(played) == 1


async def _raises() -> AsyncGenerator[bytes]:
    raise KeyError("an engine's own mistake")
    yield b""


async def test_without_another_engine_the_failure_is_raised(
    hass: HomeAssistant, server: TestServer, played: list[ServiceCall]
) -> None:
    await server.close()
    with pytest.raises(HomeAssistantError) as raised:
        await _announce(hass)
    assert raised.value.translation_key == "cannot_connect"
    assert played == []


async def test_without_a_service_the_action_says_so(
    hass: HomeAssistant, loaded: MockConfigEntry, played: list[ServiceCall]
) -> None:
    await hass.config_entries.async_remove(loaded.entry_id)
    with pytest.raises(ServiceValidationError) as raised:
        await _announce(hass)
    assert raised.value.translation_key == "no_service"
