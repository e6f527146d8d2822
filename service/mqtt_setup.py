"""Builds the MQTT bridge as the settings want it."""

from __future__ import annotations

import ipaddress
import socket
import sqlite3
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from service.clips import ClipShelf
from service.config import Settings
from service.health import Health
from service.mqtt_announcer import Announcer
from service.mqtt_bridge import MqttBridge
from service.mqtt_discovery import subscriptions
from service.mqtt_jobs import JobStore
from service.mqtt_link import Broker, Link
from service.players import Players
from service.speech import Speech
from service.voices import VoiceStore

DATABASE = "mqtt.sqlite"


def make_bridge(
    settings: Settings,
    speech: Speech,
    voices: VoiceStore,
    clips: ClipShelf,
    health: Health,
    *,
    models: Callable[[], Sequence[str]] = tuple,
) -> MqttBridge:
    """The bridge and what it stands on; nothing is connected yet.

    Args:
        settings: where the broker and the players are.
        speech, voices, clips, health: the parts of the service that it needs.
        models: lists the ids of the models that can be asked for.

    Raises:
        OSError: the file of the certificate authority, or the requests on disk, cannot be read.
    """
    base = settings.mqtt_topic
    # A copy of the data folder has the same id; Home Assistant must not take both for one device.
    device = settings.mqtt_client_id or f"gptsovits_{health.server_id[:12]}"
    link = Link(_broker(settings), device, f"{base}/status", subscriptions(base))
    players = None
    if settings.home_assistant_url:
        players = Players(settings.home_assistant_url, settings.home_assistant_token)
    url = settings.base_url or _own_address(settings)
    announcer = Announcer(
        *(speech, voices, clips, players),
        base_url=url,
        sample_rate=settings.sample_rate,
        default_players=[each.strip() for each in settings.mqtt_players.split(",") if each],
        models=models,
    )

    def report() -> dict[str, Any]:
        return {"queue": health.queue.depth, "rung": health.rung}

    try:
        store = JobStore(settings.data / DATABASE)
    except sqlite3.Error as error:
        raise OSError(f"{settings.data / DATABASE}: {error}") from error
    return MqttBridge(link, store, announcer, voices, report, base=base, device=device, url=url)


def _broker(settings: Settings) -> Broker:
    tls = ssl.create_default_context(cafile=settings.mqtt_ca or None) if settings.mqtt_tls else None
    place = (settings.mqtt_host, settings.mqtt_port)
    return Broker(*place, settings.mqtt_username, settings.mqtt_password, tls)


def _own_address(settings: Settings) -> str:
    """Where others in the home most likely reach us: the address that faces the broker."""
    host = settings.host
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        host = _facing(settings.mqtt_host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _facing(other: str) -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.connect((other, 9))  # sends nothing; the system only chooses the way
            return str(line.getsockname()[0])
    except OSError:
        return "127.0.0.1"
