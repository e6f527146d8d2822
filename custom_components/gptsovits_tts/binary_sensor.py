"""Whether the service can speak, and whether it does so below its best."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.binary_sensor import (  # type: ignore[attr-defined]
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .entity import GptSovitsEntity
from .models import ServerHealth

# The coordinator asks for all.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class HealthFlag(BinarySensorEntityDescription):
    """One yes or no out of the service's health; `always` even while it is away."""

    value: Callable[[ServerHealth], bool]
    always: bool = False


FLAGS = (
    HealthFlag(
        key="ready",
        translation_key="ready",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        value=lambda health: health.speaks,
        always=True,
    ),
    HealthFlag(
        key="degraded",
        translation_key="degraded",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value=lambda health: health.status in ("degraded", "unavailable"),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the flags of a service."""
    async_add_entities(HealthFlagEntity(entry.runtime_data, flag) for flag in FLAGS)


class HealthFlagEntity(GptSovitsEntity, BinarySensorEntity):
    """One flag of the service."""

    entity_description: HealthFlag

    def __init__(self, coordinator: GptSovitsCoordinator, description: HealthFlag) -> None:
        """Show what `description` says."""
        super().__init__(coordinator, description.key)
        self.entity_description = description

    @property
    @override
    def available(self) -> bool:
        """That a service is away is itself worth knowing."""
        return self.entity_description.always or super().available

    @property
    @override
    def is_on(self) -> bool:
        """What the service last said; nothing is ready that does not answer."""
        answers = self.coordinator.last_update_success
        return answers and self.entity_description.value(self.coordinator.data.health)
