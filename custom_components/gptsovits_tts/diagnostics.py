"""Diagnostics: how the service is and how it is used, without who, where and the token."""

import re
from dataclasses import asdict
from typing import Any

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.const import CONF_HOST, CONF_TOKEN
from homeassistant.core import HomeAssistant

from .coordinator import GptSovitsConfigEntry

# Whose voices live in a home is nobody else's business.
_ADDRESS = re.compile(r"\b\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|\S+:\d{2,5}\b")
_REDACTED = {CONF_HOST, CONF_TOKEN, "id", "name", "title", "voice", "styles", "style"}


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: GptSovitsConfigEntry
) -> dict[str, Any]:
    """What helps to find out what is wrong."""
    coordinator = entry.runtime_data
    report: dict[str, Any] = {
        "entry": {"data": dict(entry.data), "options": dict(entry.options)},
        "manners": [
            {"title": subentry.title, **subentry.data} for subentry in entry.subentries.values()
        ],
        "answers": coordinator.last_update_success,
        "failures": coordinator.failures,
        "health": asdict(coordinator.data.health),
        "voices": [asdict(voice) for voice in coordinator.data.voices.voices],
        "languages": coordinator.data.voices.languages,
        "revision": coordinator.data.revision,
    }
    report["health"]["reason"] = _without_addresses(coordinator.data.health.reason)
    redacted: dict[str, Any] = async_redact_data(report, _REDACTED)
    return redacted


def _without_addresses(reason: str | None) -> str | None:
    """A reason without the other box's address, which it may name."""
    return _ADDRESS.sub(REDACTED, reason) if reason else reason
