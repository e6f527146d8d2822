"""How the service speaks: the rung, the first sound, who waits, the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfTime
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .coordinator import GptSovitsConfigEntry, GptSovitsCoordinator
from .entity import GptSovitsEntity
from .models import ServerHealth

# The coordinator asks for all.
PARALLEL_UPDATES = 0
RUNGS = ["remote", "tensorrt", "onnxruntime", "cache", "plain"]


@dataclass(frozen=True, kw_only=True)
class HealthSensor(SensorEntityDescription):
    """One value out of the service's health."""

    value: Callable[[ServerHealth], StateType]


SENSORS = (
    HealthSensor(
        key="rung",
        translation_key="rung",
        device_class=SensorDeviceClass.ENUM,
        options=RUNGS,
        # A service newer than this integration may have others.
        value=lambda health: health.rung if health.rung in RUNGS else None,
    ),
    HealthSensor(
        key="first_audio",
        translation_key="first_audio",
        device_class=SensorDeviceClass.DURATION,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        suggested_display_precision=2,
        value=lambda health: health.last.first_audio if health.last else None,
    ),
    HealthSensor(
        key="queue",
        translation_key="queue",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda health: health.queue,
    ),
    HealthSensor(
        key="model",
        translation_key="model",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda health: health.model,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GptSovitsConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of a service."""
    async_add_entities(HealthSensorEntity(entry.runtime_data, sensor) for sensor in SENSORS)


class HealthSensorEntity(GptSovitsEntity, SensorEntity):
    """One sensor of the service."""

    entity_description: HealthSensor

    def __init__(self, coordinator: GptSovitsCoordinator, description: HealthSensor) -> None:
        """Show what `description` says."""
        super().__init__(coordinator, description.key)
        self.entity_description = description

    @property
    @override
    def native_value(self) -> StateType:
        """What the service last said."""
        return self.entity_description.value(self.coordinator.data.health)
