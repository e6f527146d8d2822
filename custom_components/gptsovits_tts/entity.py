"""What all entities of a service share."""

from typing import override

from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN
from .coordinator import GptSovitsCoordinator

_SPEAKING = ("ok", "degraded")


class GptSovitsEntity(CoordinatorEntity[GptSovitsCoordinator]):
    """An entity of the service's device, there when the service can speak."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: GptSovitsCoordinator) -> None:
        """Describe the service as a device."""
        super().__init__(coordinator)
        health = coordinator.data.health
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, health.id)},
            entry_type=DeviceEntryType.SERVICE,
            name=coordinator.config_entry.title,
            manufacturer="GPT-SoVITS",
            sw_version=health.version,
            configuration_url=str(coordinator.client.url),
        )

    @property
    @override
    def available(self) -> bool:
        """Whether the service answers and has something to speak with."""
        return super().available and self.coordinator.data.health.status in _SPEAKING
