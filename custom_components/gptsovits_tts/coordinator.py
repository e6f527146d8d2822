"""Keeps what the service says about itself and its voices up to date."""

import hashlib
from dataclasses import dataclass
from typing import TypeAlias, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed

from .api import (
    GptSovitsAuthError,
    GptSovitsClient,
    GptSovitsError,
    ServerHealth,
    ServerVoices,
)
from .const import DOMAIN, LOGGER, SCAN_INTERVAL

GptSovitsConfigEntry: TypeAlias = "ConfigEntry[GptSovitsCoordinator]"


@dataclass(frozen=True, slots=True)
class ServerState:
    """The service at one moment."""

    health: ServerHealth
    voices: ServerVoices

    @property
    def revision(self) -> str:
        """A word that changes whenever the same text might sound different."""
        parts = [self.health.rung, self.voices.default]
        for voice in sorted(self.voices.voices, key=lambda voice: voice.id):
            parts += [voice.id, voice.revision]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class GptSovitsCoordinator(DataUpdateCoordinator[ServerState]):
    """Asks the service for its health and its voices."""

    config_entry: GptSovitsConfigEntry

    def __init__(
        self, hass: HomeAssistant, entry: GptSovitsConfigEntry, client: GptSovitsClient
    ) -> None:
        """Ask through `client` at a fixed interval."""
        super().__init__(
            hass, LOGGER, config_entry=entry, name=entry.title, update_interval=SCAN_INTERVAL
        )
        self.client = client

    @override
    async def _async_update_data(self) -> ServerState:
        try:
            return ServerState(await self.client.health(), await self.client.voices())
        except GptSovitsAuthError as error:
            raise UpdateFailed(translation_domain=DOMAIN, translation_key="invalid_auth") from error
        except GptSovitsError as error:
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="cannot_connect",
                translation_placeholders={"error": str(error)},
            ) from error
