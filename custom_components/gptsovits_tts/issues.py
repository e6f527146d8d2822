"""What Home Assistant's repairs show of a service, raised and cleared by what it says itself."""

from collections.abc import Callable

from awesomeversion import AwesomeVersion, AwesomeVersionException
from homeassistant.components.tts import ATTR_VOICE
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from .const import (
    DEGRADED_FOR,
    DOCUMENTATION,
    DOMAIN,
    OLDEST_SERVER,
    SCAN_INTERVAL,
    SUBENTRY_VOICE,
    UNREACHABLE_POLLS,
)
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator

TOO_OLD, DEGRADED, UNREACHABLE = "server_too_old", "degraded", "unreachable"
VOICE_GONE = "voice_gone"


@callback
def follow_issues(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> Callable[[], None]:
    """Keep an entry's issues as its service is; returns what ends that."""
    _forget_removed_voices(hass, entry)

    @callback
    def look(*_: object) -> None:
        _look(hass, entry)

    look()
    stops = [
        entry.runtime_data.async_add_listener(look),
        # A service that stays away tells its listeners nothing more.
        async_track_time_interval(hass, look, SCAN_INTERVAL),
    ]

    def stop() -> None:
        for each in stops:
            each()

    return stop


@callback
def forget_issues(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
    """Take back all that was raised for an entry."""
    for issue in _raised(hass, entry):
        ir.async_delete_issue(hass, DOMAIN, issue.issue_id)


def problem_of(coordinator: GptSovitsCoordinator, kind: str) -> dict[str, str] | None:
    """The placeholders of a problem with the service, None where it has not got it."""
    placeholders = {"name": coordinator.config_entry.title, "url": str(coordinator.client.url)}
    if kind == UNREACHABLE:
        return placeholders if coordinator.failures >= UNREACHABLE_POLLS else None
    health, since = coordinator.data.health, coordinator.degraded_since
    if kind == TOO_OLD:
        versions = {"version": health.version, "oldest": OLDEST_SERVER}
        return placeholders | versions if _is_older(health.version) else None
    if since is None or dt_util.utcnow() - since < DEGRADED_FOR:
        return None
    return placeholders | {"reason": health.reason or "?", "rung": health.rung}


@callback
def _look(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
    coordinator = entry.runtime_data
    for kind in (TOO_OLD, DEGRADED, UNREACHABLE):
        issue_id = f"{kind}_{entry.entry_id}"
        placeholders = problem_of(coordinator, kind)
        _set(hass, entry, issue_id, kind, placeholders, {"kind": kind})
    known = {voice.id for voice in coordinator.data.voices.voices}
    for subentry in entry.subentries.values():
        if subentry.subentry_type == SUBENTRY_VOICE:
            gone = subentry.data[ATTR_VOICE] not in known
            placeholders = {"voice": subentry.title} if gone else None
            facts = {"kind": VOICE_GONE, "subentry_id": subentry.subentry_id}
            _set(hass, entry, _voice_issue(subentry), VOICE_GONE, placeholders, facts)


def _set(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    issue_id: str,
    key: str,
    placeholders: dict[str, str] | None,
    facts: dict[str, str],
) -> None:
    if placeholders is None:
        ir.async_delete_issue(hass, DOMAIN, issue_id)
        return
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id,
        data={"entry_id": entry.entry_id, **facts},
        is_fixable=True,
        learn_more_url=DOCUMENTATION,
        severity=ir.IssueSeverity.ERROR if key == UNREACHABLE else ir.IssueSeverity.WARNING,
        translation_key=key,
        translation_placeholders=placeholders,
    )


def _voice_issue(subentry: ConfigSubentry) -> str:
    return f"{VOICE_GONE}_{subentry.subentry_id}"


def _forget_removed_voices(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
    for issue in _raised(hass, entry):
        subentry_id = (issue.data or {}).get("subentry_id")
        if subentry_id is not None and subentry_id not in entry.subentries:
            ir.async_delete_issue(hass, DOMAIN, issue.issue_id)


def _raised(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> list[ir.IssueEntry]:
    return [
        issue
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and (issue.data or {}).get("entry_id") == entry.entry_id
    ]


def _is_older(version: str) -> bool:
    try:
        return AwesomeVersion(version) < AwesomeVersion(OLDEST_SERVER)
    except AwesomeVersionException:
        return False  # somebody's own build
