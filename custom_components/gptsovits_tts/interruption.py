"""What a player did before an announcement, and how it is put back where the player cannot."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from homeassistant.components.media_player.const import (
    ATTR_MEDIA_CONTENT_ID,
    ATTR_MEDIA_CONTENT_TYPE,
    ATTR_MEDIA_POSITION,
    ATTR_MEDIA_POSITION_UPDATED_AT,
    ATTR_MEDIA_SEEK_POSITION,
    ATTR_MEDIA_VOLUME_LEVEL,
    DOMAIN,
    SERVICE_PLAY_MEDIA,
    MediaPlayerEntityFeature,
    MediaPlayerState,
    MediaType,
)
from homeassistant.const import (
    ATTR_ENTITY_ID,
    ATTR_SUPPORTED_FEATURES,
    SERVICE_MEDIA_SEEK,
    SERVICE_VOLUME_SET,
)
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import LOGGER

# Seconds: what starting takes at most, and what a character takes to be said, slowly.
_START = 8.0
_LATIN, _IDEOGRAPH = 0.12, 0.35
_BUSY = (MediaPlayerState.PLAYING, MediaPlayerState.BUFFERING)


@dataclass(slots=True)
class Before:
    """A player as it was before the first of several announcements on it.

    Attributes:
        volume: from 0 to 1, None where the player does not tell or take it.
        louder: an announcement has changed it.
        media: what it played, None where nothing or where it resumes by itself.
        position: seconds into that.
        ending: waits for the end of the announcement.
    """

    volume: float | None = None
    louder: bool = False
    media: str | None = None
    media_type: str = MediaType.MUSIC
    position: float | None = None
    ending: asyncio.Task[None] | None = field(default=None, repr=False)


_BEFORE: HassKey[dict[str, Before]] = HassKey("gptsovits_tts_before")


@asynccontextmanager
async def interrupted(
    hass: HomeAssistant, player: str, text: str, volume: float | None, *, resumes: bool
) -> AsyncIterator[None]:
    """Play inside this context; afterwards, in the background, volume and music come back.

    Args:
        volume: to play at, 0 to 1; None leaves it alone.
        resumes: the player itself goes on with what it played.
    """
    known = hass.data.setdefault(_BEFORE, {})
    before = known.get(player)
    if before is None:
        before = known[player] = _look(hass.states.get(player), with_media=not resumes)
    elif before.ending is not None:
        # The one before is still being said; this one's end is the end of both.
        before.ending.cancel()
        before.ending = None
    try:
        if volume is not None and before.volume is not None:
            before.louder = True
            await _set(hass, player, SERVICE_VOLUME_SET, {ATTR_MEDIA_VOLUME_LEVEL: volume})
        yield
    except BaseException:
        await _put_back(hass, player, before)
        raise
    if before.ending is not None:
        before.ending.cancel()  # of one that was asked for meanwhile
    before.ending = hass.async_create_background_task(
        _end(hass, player, before, longest(text), resumes=resumes),
        f"gptsovits_tts restore {player}",
    )


async def _end(
    hass: HomeAssistant, player: str, before: Before, seconds: float, *, resumes: bool
) -> None:
    """Wait until an announcement is over, then put the player back.

    A player that resumes by itself does not show when it was over.
    """
    over = asyncio.Event()
    stop = None if resumes else _watch(hass, player, over)
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
    finally:
        if stop is not None:
            stop()
    await _put_back(hass, player, before)


def longest(text: str) -> float:
    """Seconds after which a text has been said for sure."""
    wide = sum(1 for character in text if ord(character) > 0x2E7F)
    return _START + wide * _IDEOGRAPH + (len(text) - wide) * _LATIN


def _look(state: State | None, *, with_media: bool) -> Before:
    if state is None:
        return Before()
    facts, before = state.attributes, Before()
    features = facts.get(ATTR_SUPPORTED_FEATURES, 0)
    if features & MediaPlayerEntityFeature.VOLUME_SET:
        before.volume = facts.get(ATTR_MEDIA_VOLUME_LEVEL)
    if with_media and state.state in _BUSY:
        before.media = facts.get(ATTR_MEDIA_CONTENT_ID)
        before.media_type = facts.get(ATTR_MEDIA_CONTENT_TYPE) or MediaType.MUSIC
        if features & MediaPlayerEntityFeature.SEEK:
            before.position = _position(facts)
    return before


def _position(facts: Any) -> float | None:
    """Where in the music the player is now, in seconds; None where it does not say."""
    told, at = facts.get(ATTR_MEDIA_POSITION), facts.get(ATTR_MEDIA_POSITION_UPDATED_AT)
    if told is None or not isinstance(at, datetime):
        return None
    return float(told) + (dt_util.utcnow() - at).total_seconds()


def _watch(hass: HomeAssistant, player: str, over: asyncio.Event) -> Any:
    """Set `over` when the player, having played the announcement, stops."""
    now = hass.states.get(player)
    begun = now is not None and now.state in _BUSY

    @callback
    def changed(event: Event[EventStateChangedData]) -> None:
        nonlocal begun
        new = event.data["new_state"]
        playing = new is not None and new.state in _BUSY
        if begun and not playing:
            over.set()
        begun = begun or playing

    return async_track_state_change_event(hass, player, changed)


async def _put_back(hass: HomeAssistant, player: str, before: Before) -> None:
    hass.data[_BEFORE].pop(player, None)
    try:
        if before.louder:
            await _set(hass, player, SERVICE_VOLUME_SET, {ATTR_MEDIA_VOLUME_LEVEL: before.volume})
        if before.media is not None:
            media = {
                ATTR_MEDIA_CONTENT_ID: before.media,
                ATTR_MEDIA_CONTENT_TYPE: before.media_type,
            }
            await _set(hass, player, SERVICE_PLAY_MEDIA, media)
        if before.media is not None and before.position is not None:
            seek = {ATTR_MEDIA_SEEK_POSITION: before.position}
            await _set(hass, player, SERVICE_MEDIA_SEEK, seek)
    except HomeAssistantError as error:
        LOGGER.warning("%s could not be put back as it was: %s", player, error)


async def _set(hass: HomeAssistant, player: str, action: str, fields: dict[str, Any]) -> None:
    await hass.services.async_call(
        DOMAIN, action, {ATTR_ENTITY_ID: player, **fields}, blocking=True
    )
