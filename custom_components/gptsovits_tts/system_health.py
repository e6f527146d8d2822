"""System health: one line a service, for the page that people copy into bug reports."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import GptSovitsConfigEntry


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Say who tells."""
    register.async_register_info(_info)


async def _info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[GptSovitsConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    loaded = [entry for entry in entries if entry.state is ConfigEntryState.LOADED]
    facts: dict[str, Any] = {"services": f"{len(loaded)} / {len(entries)}"}
    if loaded:
        first = loaded[0].runtime_data
        facts["can_reach_service"] = system_health.async_check_can_reach_url(
            hass, str(first.client.url / "health")
        )
        facts["version"] = first.data.health.version
        facts["status"] = first.data.health.status
        facts["rung"] = first.data.health.rung
        facts["voices"] = len(first.data.voices.voices)
    return facts
