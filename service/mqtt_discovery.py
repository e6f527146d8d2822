"""The messages by which Home Assistant finds the bridge, and makes a device of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from service import __version__
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
    return [f"{base}/say", f"{base}/say/+", f"{base}/cancel", f"{base}/voice/set", BIRTH]


def description(
    device: str, base: str, voices: Sequence[Voice], url: str, gone: Iterable[str] = ()
) -> bytes:
    """The device and its entities.

    Args:
        device: id that stays the same for the life of the data folder.
        base: first part of all topics.
        voices: those that can be asked for.
        url: the service's page; empty for none.
        gone: ids of voices that were described before and are no more.
    """
    components = {key: _entity(device, key, fields) for key, fields in _fixed(base, voices).items()}
    for voice_id in gone:
        components[f"say_{voice_id}"] = {"p": "notify"}  # no more than that removes it
    for voice in voices:
        fields = {
            "p": "notify",
            "name": f"Say as {voice.name}",
            "command_topic": f"{base}/say/{voice.id}",
            # A message that begins with a brace is text all the same.
            "command_template": "{{ dict(text=value) | to_json }}",
            "icon": "mdi:account-voice",
        }
        components[f"say_{voice.id}"] = _entity(device, f"say_{voice.id}", fields)
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
    state = {"state_topic": f"{base}/state"}
    report = {**state, "entity_category": "diagnostic"}
    return {
        "voice": {
            "p": "select",
            "name": "Voice",
            **state,
            "command_topic": f"{base}/voice/set",
            "value_template": "{{ value_json.voice }}",
            "options": [voice.id for voice in voices],
            "entity_category": "config",
            "icon": "mdi:account-voice",
        },
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
