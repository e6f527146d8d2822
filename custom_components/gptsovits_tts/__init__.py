"""Family voices: speech of a GPT-SoVITS service in Home Assistant."""

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.device_registry import DeviceEntry
from homeassistant.helpers.typing import ConfigType

from .actions import async_register_actions
from .const import DOMAIN
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .issues import follow_issues, forget_issues

PLATFORMS = [Platform.BINARY_SENSOR, Platform.EVENT, Platform.SENSOR, Platform.TTS]
CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions; they say it themselves when no service is set up."""
    async_register_actions(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> bool:
    """Connect to the service of a config entry; retried by Home Assistant while it is away."""
    coordinator = GptSovitsCoordinator(hass, entry)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(follow_issues(hass, entry))
    # The one way to a reload; the flows only change the entry.
    entry.async_on_unload(entry.add_update_listener(_reload))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> bool:
    """Take the entities of a config entry away."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
    """Take back what was said about an entry that is gone."""
    forget_issues(hass, entry)


@callback
def _is_current(entry: GptSovitsConfigEntry, device: DeviceEntry) -> bool:
    current = {entry.unique_id, *entry.subentries}
    return any(domain == DOMAIN and key in current for domain, key in device.identifiers)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: GptSovitsConfigEntry, device: DeviceEntry
) -> bool:
    """Let the user delete a device that nothing stands behind any more."""
    return not _is_current(entry, device)


async def _reload(hass: HomeAssistant, entry: GptSovitsConfigEntry) -> None:
    await hass.config_entries.async_reload(entry.entry_id)
