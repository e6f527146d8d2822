"""Players: who is meant, how each is asked, and what it was doing before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeassistant.components.media_player.const import (
    ATTR_MEDIA_ANNOUNCE,
    ATTR_MEDIA_CONTENT_ID,
    ATTR_MEDIA_CONTENT_TYPE,
    ATTR_MEDIA_EXTRA,
    SERVICE_PLAY_MEDIA,
    MediaPlayerEntityFeature,
    MediaType,
)
from homeassistant.components.media_player.const import DOMAIN as PLAYER_DOMAIN
from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    ATTR_SUPPORTED_FEATURES,
    CONF_EXCLUDE,
    STATE_UNAVAILABLE,
    Platform,
)
from homeassistant.core import Context, HomeAssistant, State
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import async_get as async_get_devices

from .errors import mistake
from .interruption import interrupted

# By name: importing it needs more than a Home Assistant without satellites has installed.
SATELLITE_DOMAIN = str(Platform.ASSIST_SATELLITE)
# Platforms whose announcements take a volume of their own, and restore the old one themselves.
_OWN_VOLUME = {"music_assistant": "announce_volume", "sonos": "volume"}


@dataclass(frozen=True, slots=True)
class Announcement:
    """What players are asked to play; `volume` from 0 to 1, None to leave it as it is."""

    media_id: str
    text: str
    volume: float | None
    pre_announce: bool | None
    context: Context


def targeted_players(hass: HomeAssistant, target: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The players and satellites that a target names, and those of them that are unavailable.

    What its `exclude` names is left out, as in Home Assistant's own actions.

    Raises:
        ServiceValidationError: none is named, one is not there, or all are unavailable.
    """
    named = _listed(target, ATTR_ENTITY_ID)
    for entity_id in named:
        if not _plays(entity_id) or hass.states.get(entity_id) is None:
            raise mistake("player_not_found", player=entity_id)
    places = _in_places(hass, target)
    places -= _players_of_satellites(hass, places)
    excluded = target.get(CONF_EXCLUDE) or {}
    found = {*named, *filter(_plays, places)}
    found -= {*_listed(excluded, ATTR_ENTITY_ID), *_in_places(hass, excluded, hidden=True)}
    states = [state for entity_id in sorted(found) if (state := hass.states.get(entity_id))]
    away = [state.entity_id for state in states if state.state == STATE_UNAVAILABLE]
    players = [state.entity_id for state in states if state.entity_id not in away]
    if not players:
        raise mistake("players_unavailable" if away else "no_players", players=", ".join(away))
    return players, away


async def play(hass: HomeAssistant, player: str, announcement: Announcement) -> None:
    """Let one player play; it goes on afterwards with what it did before, where it can.

    Raises:
        HomeAssistantError: the player's integration refuses.
    """
    if player.startswith(f"{SATELLITE_DOMAIN}."):
        wanted: dict[str, Any] = {
            "message": announcement.text,
            "media_id": announcement.media_id,
        }
        if announcement.pre_announce is not None:
            wanted["preannounce"] = announcement.pre_announce
        await _call(hass, SATELLITE_DOMAIN, "announce", player, wanted, announcement)
        return
    state = hass.states.get(player)
    registered = er.async_get(hass).async_get(player)
    platform = registered.platform if registered else ""
    extra: dict[str, Any] = {}
    volume = announcement.volume
    if volume is not None and platform in _OWN_VOLUME:
        extra[_OWN_VOLUME[platform]] = round(volume * 100)
        volume = None
    if announcement.pre_announce is not None and platform == "music_assistant":
        extra["use_pre_announce"] = announcement.pre_announce
    wanted = {
        ATTR_MEDIA_CONTENT_ID: announcement.media_id,
        ATTR_MEDIA_CONTENT_TYPE: MediaType.MUSIC,
        ATTR_MEDIA_ANNOUNCE: True,
    }
    if extra:
        wanted[ATTR_MEDIA_EXTRA] = extra
    async with interrupted(hass, player, announcement.text, volume, resumes=_resumes(state)):
        await _call(hass, PLAYER_DOMAIN, SERVICE_PLAY_MEDIA, player, wanted, announcement)


async def _call(
    hass: HomeAssistant,
    domain: str,
    action: str,
    player: str,
    wanted: dict[str, Any],
    announcement: Announcement,
) -> None:
    await hass.services.async_call(
        domain,
        action,
        {ATTR_ENTITY_ID: player, **wanted},
        blocking=True,
        context=announcement.context,
    )


def _resumes(state: State | None) -> bool:
    features = state.attributes.get(ATTR_SUPPORTED_FEATURES, 0) if state else 0
    return bool(features & MediaPlayerEntityFeature.MEDIA_ANNOUNCE)


def _plays(entity_id: str) -> bool:
    return entity_id.split(".")[0] in (PLAYER_DOMAIN, SATELLITE_DOMAIN)


def _listed(target: Mapping[str, Any], key: str) -> list[str]:
    value = target.get(key) or []
    return [value] if isinstance(value, str) else list(value)


def _in_places(hass: HomeAssistant, target: Mapping[str, Any], *, hidden: bool = False) -> set[str]:
    """Entities in a target's areas, floors, labels and devices; with the hidden ones if wanted."""
    entities, devices, areas = er.async_get(hass), async_get_devices(hass), ar.async_get(hass)
    rooms = set(_listed(target, ATTR_AREA_ID))
    labels = set(_listed(target, ATTR_LABEL_ID))
    for floor in _listed(target, ATTR_FLOOR_ID):
        rooms |= {area.id for area in ar.async_entries_for_floor(areas, floor)}
    for label in labels:
        rooms |= {area.id for area in ar.async_entries_for_label(areas, label)}
    meant = set(_listed(target, ATTR_DEVICE_ID))
    found = set()
    for entity in entities.entities.values():
        device = devices.async_get(entity.device_id) if entity.device_id else None
        room = entity.area_id or (device.area_id if device else None)
        marks = entity.labels | (device.labels if device else set())
        near = room in rooms or entity.device_id in meant or bool(marks & labels)
        if near and (hidden or entity.hidden_by is None) and entity.disabled_by is None:
            found.add(entity.entity_id)
    return found


def _players_of_satellites(hass: HomeAssistant, found: set[str]) -> set[str]:
    """Players that are the loudspeaker of a satellite that is meant, too: it says it once."""
    registry = er.async_get(hass)
    entities = [entity for each in found if (entity := registry.async_get(each))]
    able = {
        entity.device_id
        for entity in entities
        if entity.domain == SATELLITE_DOMAIN
        and (state := hass.states.get(entity.entity_id))
        and state.state != STATE_UNAVAILABLE
    } - {None}
    return {
        entity.entity_id
        for entity in entities
        if entity.domain == PLAYER_DOMAIN and entity.device_id in able
    }
