"""The messages by which Home Assistant finds the bridge, and makes a device of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service import __version__
from service.mqtt_announcer import OWN_MODEL
from service.voice import Voice

PREFIX = "homeassistant"
BIRTH = f"{PREFIX}/status"  # where Home Assistant says that it has started
PROJECT = "https://github.com/gptsovits-home/gptsovits-home"
TEST_TEXT = "This is a test: 1, 2, 3."


def topic(device: str) -> str:
    """Where the device's description is kept."""
    return f"{PREFIX}/device/{device}/config"


def subscriptions(base: str) -> list[str]:
    """The topics that the bridge listens to."""
    choices = [f"{base}/voice/set", f"{base}/model/set"]
    return [f"{base}/say", f"{base}/say/+", f"{base}/cancel", *choices, BIRTH]


@dataclass(frozen=True, slots=True)
class Described:
    """What Home Assistant is told of.

    Attributes:
        voices: those that can be asked for.
        models: ids of those that can be asked for.
    """

    voices: Sequence[Voice]
    models: tuple[str, ...]

    @property
    def names(self) -> tuple[object, ...]:
        """Equal for what is described alike."""
        return [(voice.id, voice.name) for voice in self.voices], self.models

    def components(self, device: str, base: str) -> dict[str, dict[str, Any]]:
        """The entities, by keys that stay."""
        found = _fixed(base, self.voices)
        if self.models:
            found["model"] = _select(base, "model", (OWN_MODEL, *self.models), "mdi:brain")
        for voice in self.voices:
            found[f"say_{voice.id}"] = {
                "p": "notify",
                "name": f"Say as {voice.name}",
                "command_topic": f"{base}/say/{voice.id}",
                # A message that begins with a brace is text all the same.
                "command_template": "{{ dict(text=value) | to_json }}",
                "icon": "mdi:account-voice",
            }
        return {key: _entity(device, key, fields) for key, fields in found.items()}


def description(device: str, base: str, now: Described, url: str, before: Described) -> bytes:
    """The device and its entities.

    Args:
        device: id that stays the same for the life of the data folder.
        base: first part of all topics.
        now: what can be asked for.
        url: the service's page; empty for none.
        before: what was described before.
    """
    components = now.components(device, base)
    for key, fields in before.components(device, base).items():
        components.setdefault(key, {"p": fields["p"]})  # no more than that removes it
    about = {
        "identifiers": [device],
        "name": "Family voices",
        "manufacturer": "GPT-SoVITS home",
        "model": "Speech service",
        "sw_version": __version__,
    }
    return _json(
        {
            "device": about | ({"configuration_url": url} if url else {}),
            "origin": {"name": "gptsovits-home", "sw": __version__, "url": PROJECT},
            "availability": [{"topic": f"{base}/status"}],
            "qos": 1,
            "components": components,
        }
    )


def _entity(device: str, key: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "unique_id": f"{device}_{key}"}


def _fixed(base: str, voices: Sequence[Voice]) -> dict[str, dict[str, Any]]:
    report = {"state_topic": f"{base}/state", "entity_category": "diagnostic"}
    return {
        "voice": _select(base, "voice", [voice.id for voice in voices], "mdi:account-voice"),
        "test": {
            "p": "button",
            "name": "Test",
            "command_topic": f"{base}/say",
            "payload_press": TEST_TEXT,
            "entity_category": "diagnostic",
            "icon": "mdi:bullhorn",
        },
        "queue": {
            "p": "sensor",
            "name": "Queue",
            **report,
            "value_template": "{{ value_json.queue }}",
            "state_class": "measurement",
            "icon": "mdi:tray-full",
        },
        "latency": {
            "p": "sensor",
            "name": "Latency",
            **report,
            "value_template": "{{ value_json.latency }}",
            "unit_of_measurement": "s",
            "device_class": "duration",
            "state_class": "measurement",
            "suggested_display_precision": 2,
        },
        "rung": {
            "p": "sensor",
            "name": "Rung",
            **report,
            "value_template": "{{ value_json.rung }}",
            "icon": "mdi:stairs",
        },
        "said": _event(base, "said", "Said", "mdi:check"),
        "failed": _event(base, "failed", "Failed", "mdi:alert"),
    }


def _select(base: str, what: str, options: Sequence[str], icon: str) -> dict[str, Any]:
    return {
        "p": "select",
        "name": what.capitalize(),
        "state_topic": f"{base}/state",
        "command_topic": f"{base}/{what}/set",
        "value_template": f"{{{{ value_json.{what} }}}}",
        "options": list(options),
        "entity_category": "config",
        "icon": icon,
    }


def _event(base: str, kind: str, name: str, icon: str) -> dict[str, Any]:
    return {
        "p": "event",
        "name": name,
        "state_topic": f"{base}/{kind}",
        "value_template": f"{{{{ dict(value_json, event_type='{kind}') | to_json }}}}",
        "event_types": [kind],
        "icon": icon,
    }


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
