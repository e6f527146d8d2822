"""Family voices: speech of a GPT-SoVITS service in Home Assistant."""

from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from .api import GptSovitsClient
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator

PLATFORMS = [Platform.TTS]


async def async_setup_entry(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> bool:
    """Connect to the service of a config entry; retried by Home Assistant while it is away."""
    client = GptSovitsClient(
        async_get_clientsession(hass),
        entry.data[CONF_HOST],
        entry.data[CONF_PORT],
        entry.data.get(CONF_TOKEN),
    )
    coordinator = GptSovitsCoordinator(hass, entry, client)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> bool:
    """Take the entities of a config entry away."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
