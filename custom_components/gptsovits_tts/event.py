"""What became of the latest thing that Home Assistant had spoken."""

from typing import Any, override

from homeassistant.components.event import EventEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import SIGNAL_SPOKEN
from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .entity import GptSovitsEntity

# Nothing is asked: the speaking entities tell.
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the event of a service."""
    async_add_entities([LastAnnouncementEntity(entry.runtime_data)])


class LastAnnouncementEntity(GptSovitsEntity, EventEntity):
    """Fires when something was spoken, or could not be; never tells the text."""

    _attr_translation_key = "last_announcement"
    _attr_event_types = ["spoken", "failed"]  # noqa: RUF012 (type given by the base class)

    def __init__(self, coordinator: GptSovitsCoordinator) -> None:
        """Belong to the service."""
        super().__init__(coordinator, "last_announcement")

    @property
    @override
    def available(self) -> bool:
        """That it failed because the service is away must be told, too."""
        return True

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the entities that speak."""
        await super().async_added_to_hass()
        signal = SIGNAL_SPOKEN.format(self.coordinator.config_entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._happened))

    @callback
    def _happened(self, kind: str, facts: dict[str, Any]) -> None:
        self._trigger_event(kind, facts)
        self.async_write_ha_state()
