"""The doctor's look at the neighbours: Home Assistant, MQTT, the other box, Whisper."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from service.config import SUPERVISOR, Settings, supervisor_token
from service.findings import Finding
from service.supervisor import NoBroker, Supervisor

_SECONDS = 10.0  # until somebody who does not answer is given up
_NO_ANSWER = (OSError, ValueError, http.client.HTTPException)


def home_assistant(settings: Settings) -> list[Finding]:
    """Whether Home Assistant takes our token."""
    if not settings.home_assistant_url:
        message = "not named (needed only to play what comes by MQTT)"
        return [Finding("home assistant", "ok", message)]
    url = settings.home_assistant_url.rstrip("/")
    headers = {"Authorization": f"Bearer {settings.home_assistant_token}"}
    try:
        _read(f"{url}/api/", headers)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            advice = "make a long-lived token in your profile and set home_assistant_token"
            if url == SUPERVISOR:
                advice = "restart the app, so that Supervisor gives it a new token"
            return [Finding("home assistant", "fail", f"{url} refuses our token", advice)]
        message = f"{url} answers with status {error.code}"
        return [Finding("home assistant", "fail", message, "is this Home Assistant's address?")]
    except _NO_ANSWER as error:
        advice = "check home_assistant_url, and whether this machine reaches it"
        return [Finding("home assistant", "fail", f"{url}: {_reason(error)}", advice)]
    return [Finding("home assistant", "ok", f"{url} answers")]


def mqtt(settings: Settings) -> list[Finding]:
    """Whether the broker takes us: the one of the settings, else the one that Supervisor names."""
    if not settings.mqtt_host and (token := supervisor_token()):
        try:
            settings = asyncio.run(Supervisor(token).ask(settings))
        except NoBroker as error:
            advice = "install and start the Mosquitto app, or set mqtt_host; needed only for MQTT"
            return [Finding("mqtt", "warn", f"Supervisor names no broker: {error}", advice)]
    if not settings.mqtt_host:
        return [Finding("mqtt", "ok", "not named (nothing comes by MQTT)")]
    place = f"{settings.mqtt_host}:{settings.mqtt_port}"
    answers: list[Any] = []
    answered = threading.Event()

    def on_connect(client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        answers.append(reason)
        answered.set()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    if settings.mqtt_username:
        client.username_pw_set(settings.mqtt_username, settings.mqtt_password)
    try:
        if settings.mqtt_tls:
            client.tls_set_context(ssl.create_default_context(cafile=settings.mqtt_ca or None))
    except OSError as error:  # an SSLError is one, too
        message = f"mqtt_ca {settings.mqtt_ca}: {_reason(error)}"
        return [Finding("mqtt", "fail", message, "name the file of the broker's authority")]
    try:
        client.connect(settings.mqtt_host, settings.mqtt_port)
    except ssl.SSLError as error:
        advice = "set mqtt_ca to the broker's authority, or mqtt_tls to false if it wants no TLS"
        return [Finding("mqtt", "fail", f"{place}: {_reason(error)}", advice)]
    except OSError as error:
        advice = "check mqtt_host, mqtt_port and mqtt_tls, and whether the broker runs"
        return [Finding("mqtt", "fail", f"{place}: {_reason(error)}", advice)]
    client.loop_start()
    answered.wait(_SECONDS)
    client.disconnect()
    client.loop_stop()
    if not answers:
        advice = "is this an MQTT broker's port, and does it want TLS (mqtt_tls)?"
        return [Finding("mqtt", "fail", f"{place} does not answer", advice)]
    if answers[0].is_failure:
        advice = "check mqtt_username and mqtt_password"
        return [Finding("mqtt", "fail", f"{place}: {answers[0]}", advice)]
    return [Finding("mqtt", "ok", f"{place} takes us")]


def remote(settings: Settings) -> list[Finding]:
    """The other box that speaks for this one; nothing where none is named."""
    url = settings.remote_url.rstrip("/")
    if not url:
        return []
    try:
        health = json.loads(_read(f"{url}/health"))
        spoken_by, other = str(health["rung"]), health["id"]
    except (TypeError, KeyError, json.JSONDecodeError, urllib.error.HTTPError):
        message = f"{url} answers, but is no speech service"
        return [Finding("remote", "fail", message, "check remote_url: is 9880 the right port?")]
    except _NO_ANSWER as error:
        advice = "it is woken when something is to be said" if settings.remote_mac else _ASLEEP
        message = f"{url}: {_reason(error)}; this box speaks meanwhile"
        return [Finding("remote", "warn", message, advice)]
    if _own_id(settings.data) == other:
        advice = "name the other box, or leave remote_url empty"
        return [Finding("remote", "fail", f"{url} is this service itself", advice)]
    try:
        headers = {"Authorization": f"Bearer {settings.remote_token}"}
        voices = json.loads(_read(f"{url}/v1/voices", headers))["voices"]
    except urllib.error.HTTPError:
        advice = "set remote_token to the token of that box (the file `token` in its data folder)"
        return [Finding("remote", "fail", f"{url} refuses our token", advice)]
    except (*_NO_ANSWER, TypeError, KeyError) as error:
        message = f"{url} does not tell its voices: {_reason(error)}"
        return [Finding("remote", "fail", message, "is it of another version? update both")]
    cloned = max(len(voices) - 1, 0)
    message = f"{url} answers; {spoken_by} speaks there, {cloned} voices of its own"
    if not cloned:
        advice = "copy your voices there (addon/README.md, backup and restore)"
        return [Finding("remote", "warn", message, advice)]
    return [Finding("remote", "ok", message)]


_ASLEEP = "switch it on; set remote_mac so that it can be woken; or correct remote_url"


def transcripts(settings: Settings) -> list[Finding]:
    """The speech-to-text server that suggests transcripts; nothing where none is named."""
    if not settings.stt_url:
        return []
    try:
        place = urlsplit(settings.stt_url)
        if place.hostname is None or place.port is None:
            raise ValueError("not of the form tcp://host:port")
        with socket.create_connection((place.hostname, place.port), timeout=_SECONDS):
            return [Finding("transcripts", "ok", f"{settings.stt_url} answers")]
    except (OSError, ValueError) as error:
        message = f"{settings.stt_url}: {_reason(error)}"
        advice = "check stt_url; until then what a recording says is typed"
        return [Finding("transcripts", "warn", message, advice)]


def _read(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        return bytes(answer.read(1 << 20))


def _reason(error: BaseException) -> str:
    """An error for people: what urllib wraps, without the number."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        error = inner
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _own_id(data: Path) -> str:
    try:
        return (data / "server_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
