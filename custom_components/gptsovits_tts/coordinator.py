"""Keeps what the service says about itself and its voices up to date."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_SSL, CONF_TOKEN, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .api import GptSovitsClient
from .const import DOMAIN, LOGGER, SCAN_INTERVAL
from .errors import GptSovitsAuthError, GptSovitsError
from .models import ServerHealth, ServerVoice, ServerVoices

GptSovitsConfigEntry: TypeAlias = "ConfigEntry[GptSovitsCoordinator]"


def client_for(hass: HomeAssistant, address: Mapping[str, Any]) -> GptSovitsClient:
    """The client for an entry's data; ValueError when the host cannot be one."""
    return GptSovitsClient(
        async_get_clientsession(hass, verify_ssl=address.get(CONF_VERIFY_SSL, True)),
        address[CONF_HOST],
        address[CONF_PORT],
        address.get(CONF_TOKEN),
        tls=address.get(CONF_SSL, False),
    )


@dataclass(frozen=True, slots=True)
class ServerState:
    """The service at one moment."""

    health: ServerHealth
    voices: ServerVoices

    @property
    def revision(self) -> str:
        """A word that changes whenever the same text might sound different in any voice."""
        return self._revision(sorted(self.voices.voices, key=lambda voice: voice.id))

    def revision_of(self, voice: ServerVoice) -> str:
        """A word that changes whenever the same text might sound different in this voice."""
        return self._revision([voice])

    def _revision(self, voices: Iterable[ServerVoice]) -> str:
        # The version too: a newer service may read a text in another way.
        parts = [self.health.version, self.health.rung, self.health.model or ""]
        parts += [self.voices.default, self.voices.revision]
        for voice in voices:
            parts += [voice.id, voice.revision]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class GptSovitsCoordinator(DataUpdateCoordinator[ServerState]):
    """Asks the service for its health and its voices, once for all entities.

    Attributes:
        failures: polls in a row that found no service.
        degraded_since: when it was first seen below its best, None while it is well.
    """

    config_entry: GptSovitsConfigEntry

    def __init__(self, hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
        """Ask at a fixed interval; ValueError when the entry's host cannot be one."""
        super().__init__(
            hass, LOGGER, config_entry=entry, name=entry.title, update_interval=SCAN_INTERVAL
        )
        self.client = client_for(hass, entry.data)
        self.failures = 0
        self.degraded_since: datetime | None = None

    @override
    async def _async_update_data(self) -> ServerState:
        try:
            state = ServerState(await self.client.health(), await self.client.voices())
        except GptSovitsAuthError as error:
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="invalid_auth"
            ) from error
        except GptSovitsError as error:
            self.failures += 1
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="cannot_connect",
                translation_placeholders={"error": str(error)},
            ) from error
        self.failures = 0
        if state.health.status == "ok":
            self.degraded_since = None
        else:
            self.degraded_since = self.degraded_since or dt_util.utcnow()
        return state
