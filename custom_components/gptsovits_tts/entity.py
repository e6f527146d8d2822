"""What all entities of a service share."""

from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN
from .coordinator import GptSovitsCoordinator


class GptSovitsEntity(CoordinatorEntity[GptSovitsCoordinator]):
    """An entity of the service's device."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: GptSovitsCoordinator, key: str | None = None) -> None:
        """Describe the service as a device; `key` names one entity among several."""
        super().__init__(coordinator)
        health = coordinator.data.health
        self._attr_unique_id = health.id if key is None else f"{health.id}_{key}"
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, health.id)},
            entry_type=DeviceEntryType.SERVICE,
            name=coordinator.config_entry.title,
            manufacturer="GPT-SoVITS",
            sw_version=health.version,
            configuration_url=str(coordinator.client.url),
        )
