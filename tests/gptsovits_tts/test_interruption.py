"""A player is put back as it was: its volume, and what it played where it cannot resume itself."""

import asyncio
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.media_player import MediaPlayerEntityFeature as Feature
from homeassistant.const import STATE_IDLE, STATE_OFF, STATE_PAUSED, STATE_PLAYING
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_mock_service

from custom_components.gptsovits_tts import interruption

pytestmark = pytest.mark.usefixtures("loaded")
KITCHEN = "media_player.kitchen"
RADIO = {"media_content_id": "http://radio.example/stream", "media_content_type": "channel"}


@pytest.fixture
def calls(hass: HomeAssistant) -> list[ServiceCall]:
    """What the player is asked to do, in order."""
    asked: list[ServiceCall] = []
    for action in ("play_media", "volume_set", "media_seek"):
        hass.services.async_register("media_player", action, asked.append)
    return asked


def _asked(calls: list[ServiceCall]) -> list[tuple[str, Any]]:
    """Each action with the value that matters."""
    keys = {"play_media": "media_content_id", "volume_set": "volume_level"}
    seen = [(call.service, call.data[keys.get(call.service, "seek_position")]) for call in calls]
    return [(s, "speech" if str(v).startswith("media-source://tts") else v) for s, v in seen]


async def _announce(hass: HomeAssistant, **fields: Any) -> None:
    data = {"entity_id": KITCHEN, "text": "Dinner is ready.", **fields}
    await hass.services.async_call("gptsovits_tts", "announce", data, blocking=True)


async def _over(hass: HomeAssistant) -> None:
    await hass.async_block_till_done(wait_background_tasks=True)


def _kitchen(hass: HomeAssistant, state: str, features: Feature, **facts: Any) -> None:
    hass.states.async_set(KITCHEN, state, {"supported_features": int(features), **facts})


def _takes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(interruption, "longest", lambda text: seconds)


async def test_the_volume_comes_back_on_a_player_that_resumes(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 0.01)
    features = Feature.VOLUME_SET | Feature.MEDIA_ANNOUNCE
    _kitchen(hass, STATE_PLAYING, features, volume_level=0.2, **RADIO)
    await _announce(hass, volume=0.6)
    await _over(hass)
    assert _asked(calls) == [("volume_set", 0.6), ("play_media", "speech"), ("volume_set", 0.2)]


async def test_the_volume_of_a_player_that_was_off_is_learnt_when_it_plays(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 0.01)
    _kitchen(hass, STATE_OFF, Feature.VOLUME_SET)

    def play(call: ServiceCall) -> None:
        calls.append(call)
        hass.loop.call_later(
            0.05, lambda: _kitchen(hass, STATE_PLAYING, Feature.VOLUME_SET, volume_level=0.2)
        )

    hass.services.async_register("media_player", "play_media", callback(play))
    await _announce(hass, volume=0.6)
    await _over(hass)
    assert _asked(calls) == [("play_media", "speech"), ("volume_set", 0.6), ("volume_set", 0.2)]


async def test_a_volume_that_is_never_told_is_left_alone(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 0.01)
    monkeypatch.setattr(interruption, "_TELLS", 0.01)
    _kitchen(hass, STATE_OFF, Feature.VOLUME_SET)
    await _announce(hass, volume=0.6)
    await _over(hass)
    assert _asked(calls) == [("play_media", "speech")]


async def test_what_played_comes_back_where_the_player_cannot(
    hass: HomeAssistant,
    calls: list[ServiceCall],
    monkeypatch: pytest.MonkeyPatch,
    freezer: FrozenDateTimeFactory,
) -> None:
    _takes(monkeypatch, 600)
    features = Feature.VOLUME_SET | Feature.SEEK
    told = {"media_position": 40.0, "media_position_updated_at": dt_util.utcnow()}
    _kitchen(hass, STATE_PLAYING, features, volume_level=0.2, **RADIO, **told)
    freezer.tick(5)
    await _announce(hass, volume=0.6)
    assert _asked(calls) == [("volume_set", 0.6), ("play_media", "speech")]
    _kitchen(hass, STATE_PLAYING, features, volume_level=0.6)
    await hass.async_block_till_done()
    assert len(calls) == 2
    _kitchen(hass, STATE_IDLE, features, volume_level=0.6)
    await _over(hass)
    assert _asked(calls)[2:] == [
        ("volume_set", 0.2),
        ("play_media", RADIO["media_content_id"]),
        ("media_seek", 45.0),
    ]
    assert calls[3].data["media_content_type"] == "channel"


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        (STATE_IDLE, RADIO),
        (STATE_PAUSED, RADIO),
        (STATE_PLAYING, {}),
        (STATE_PLAYING, {"media_content_id": "http://home.example/api/tts_proxy/a.mp3"}),
    ],
)
async def test_nothing_is_started_that_did_not_play(
    hass: HomeAssistant,
    calls: list[ServiceCall],
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    facts: dict[str, Any],
) -> None:
    _takes(monkeypatch, 0.01)
    _kitchen(hass, state, Feature.PLAY_MEDIA, **facts)
    await _announce(hass, volume=0.6)
    await _over(hass)
    assert _asked(calls) == [("play_media", "speech")]


async def test_a_live_stream_is_not_sought_in(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 0.01)
    _kitchen(hass, STATE_PLAYING, Feature.SEEK, **RADIO)
    await _announce(hass)
    await _over(hass)
    assert _asked(calls) == [("play_media", "speech"), ("play_media", RADIO["media_content_id"])]


async def test_two_announcements_in_a_row_put_back_what_was_before_both(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 600)
    features = Feature.VOLUME_SET
    _kitchen(hass, STATE_PLAYING, features, volume_level=0.2, **RADIO)
    await _announce(hass, volume=0.6)
    _kitchen(hass, STATE_PLAYING, features, volume_level=0.6, media_content_id="http://tts")
    _takes(monkeypatch, 0.01)
    await _announce(hass)
    await _over(hass)
    assert _asked(calls) == [
        ("volume_set", 0.6),
        ("play_media", "speech"),
        ("play_media", "speech"),
        ("volume_set", 0.2),
        ("play_media", RADIO["media_content_id"]),
    ]


async def test_two_announcements_at_once_put_back_when_the_longer_is_over(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "longest", {"short": 0.01, "long": 600}.__getitem__)
    _kitchen(hass, STATE_PLAYING, Feature.VOLUME_SET, volume_level=0.2, **RADIO)
    short = interruption.interrupted(hass, KITCHEN, "short", 0.6, resumes=False)
    long = interruption.interrupted(hass, KITCHEN, "long", 0.6, resumes=False)
    # Both are asked for before either has been handed to the player.
    await short.__aenter__()
    await long.__aenter__()
    await short.__aexit__(None, None, None)
    await long.__aexit__(None, None, None)
    await asyncio.sleep(0.1)
    assert _asked(calls) == [("volume_set", 0.6), ("volume_set", 0.6)]
    _kitchen(hass, STATE_IDLE, Feature.VOLUME_SET, volume_level=0.6)
    await _over(hass)
    back = [("volume_set", 0.2), ("play_media", RADIO["media_content_id"])]
    assert _asked(calls)[2:] == back


async def test_of_a_player_that_goes_meanwhile_nothing_is_put_back(
    hass: HomeAssistant, calls: list[ServiceCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    _takes(monkeypatch, 0.01)
    monkeypatch.setattr(interruption, "_TELLS", 0.01)
    async with interruption.interrupted(hass, KITCHEN, "Dinner.", 0.6, resumes=False):
        assert hass.states.get(KITCHEN) is None
    await _over(hass)
    assert calls == []


async def test_a_player_that_refuses_is_put_back_at_once(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = async_mock_service(hass, "media_player", "volume_set")
    refusal = HomeAssistantError("no")
    async_mock_service(hass, "media_player", "play_media", raise_exception=refusal)
    _kitchen(hass, STATE_IDLE, Feature.VOLUME_SET, volume_level=0.2)
    with pytest.raises(HomeAssistantError, match="no"):
        await _announce(hass, volume=0.6)
    assert [call.data["volume_level"] for call in volumes] == [0.6, 0.2]


async def test_a_player_that_cannot_be_put_back_is_logged(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _takes(monkeypatch, 0.01)
    played: list[ServiceCall] = []

    async def refuse(call: ServiceCall) -> None:
        raise HomeAssistantError("the radio is off the air")

    hass.services.async_register("media_player", "play_media", played.append)
    hass.services.async_register("media_player", "media_seek", refuse)
    told = {"media_position": 40.0, "media_position_updated_at": dt_util.utcnow()}
    _kitchen(hass, STATE_PLAYING, Feature.SEEK, **RADIO, **told)
    await _announce(hass)
    await _over(hass)
    assert "media_player.kitchen could not be put back as it was" in caplog.text
    assert len(played) == 2


@pytest.mark.parametrize(("text", "least", "most"), [("x" * 100, 15, 30), ("好" * 100, 35, 60)])
def test_longer_texts_are_waited_for_longer(text: str, least: float, most: float) -> None:
    assert least < interruption.longest(text) < most
