"""The doctor's look at the house: ports, model, voices, Home Assistant, MQTT."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from engines.errors import EngineError
from engines.model_folder import ModelFolder
from service.config import Settings
from service.findings import Finding, State
from service.voices import VoiceStore

_SECONDS = 10.0  # until somebody who does not answer is given up
_STATES: dict[str, State] = {"ok": "ok", "unavailable": "fail"}


def ports(settings: Settings) -> list[Finding]:
    """The ports, and the service behind them where it runs."""
    running = _health(settings)
    found = []
    if running is None:
        found.append(_free("http port", settings.host, settings.port, "--port"))
        found[:0] = [Finding("running", "warn", "the service does not run", "start it")]
    else:
        status = str(running.get("status"))
        message = f"{status}; {running.get('rung')} speaks (version {running.get('version')})"
        reason = str(running.get("reason") or "")
        state: State = _STATES.get(status, "warn")
        found.append(Finding("running", state, message, reason))
        found.append(Finding("http port", "ok", f"{settings.port}, answers"))
    if not settings.wyoming_port:
        found.append(Finding("wyoming port", "ok", "closed (wyoming_port is 0)"))
    elif running is None:
        port = settings.wyoming_port
        found.append(_free("wyoming port", settings.host, port, "--wyoming-port"))
    elif _listens(settings.wyoming_port):
        found.append(Finding("wyoming port", "ok", f"{settings.wyoming_port}, answers"))
    else:
        advice = "another program may have it: look at the service's log"
        message = f"{settings.wyoming_port}, nobody answers"
        found.append(Finding("wyoming port", "fail", message, advice))
    return found


def model(settings: Settings) -> list[Finding]:
    """The models that are named or installed."""
    installed = sorted(path.parent for path in (settings.data / "models").glob("*/model.json"))
    folders = ([Path(settings.model)] if settings.model else []) + installed
    if not folders:
        advice = "install one in the page; until then the plain voice speaks"
        return [Finding("model", "warn", "none", advice)]
    return [_model(folder) for folder in folders]


def _model(folder: Path) -> Finding:
    try:
        facts = ModelFolder.read(folder)
    except (EngineError, OSError) as error:
        return Finding("model", "fail", f"{folder}: {error}", "convert it again, or name another")
    return Finding("model", "ok", f"{folder.name}, {facts.precision}")


def voices(settings: Settings) -> list[Finding]:
    """The voices of this house, and which wait for consent."""
    folder = settings.data / "voices"
    if not folder.is_dir():
        return [Finding("voices", "ok", "none of your own yet; the page adds one")]
    store = VoiceStore(folder, (), "", "plain", lambda voice: None)
    own = [voice for voice in store.all() if voice.id != store.default.id]
    unusable = [voice.name for voice in own if not voice.usable]
    if unusable:
        advice = "confirm the person's consent in the page"
        message = f"{len(own)}, of which not to be spoken: {', '.join(unusable)}"
        return [Finding("voices", "warn", message, advice)]
    return [Finding("voices", "ok", f"{len(own)} of your own")]


def home_assistant(settings: Settings) -> list[Finding]:
    """Whether Home Assistant takes our token."""
    if not settings.home_assistant_url:
        message = "not named (needed only to play what comes by MQTT)"
        return [Finding("home assistant", "ok", message)]
    url = settings.home_assistant_url.rstrip("/")
    headers = {"Authorization": f"Bearer {settings.home_assistant_token}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/", headers=headers), timeout=_SECONDS
        ):
            return [Finding("home assistant", "ok", f"{url} answers")]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            advice = "make a long-lived token in your profile and set home_assistant_token"
            return [Finding("home assistant", "fail", f"{url} refuses our token", advice)]
        message = f"{url} answers with status {error.code}"
        return [Finding("home assistant", "fail", message, "is this Home Assistant's address?")]
    except (OSError, http.client.HTTPException) as error:
        advice = "check home_assistant_url, and whether this machine reaches it"
        return [Finding("home assistant", "fail", f"{url}: {error}", advice)]


def mqtt(settings: Settings) -> list[Finding]:
    """Whether the broker takes us."""
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
        client.connect(settings.mqtt_host, settings.mqtt_port)
    except OSError as error:
        advice = "check mqtt_host, mqtt_port and mqtt_tls, and whether the broker runs"
        return [Finding("mqtt", "fail", f"{place}: {error}", advice)]
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


def _health(settings: Settings) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{settings.port}/health", timeout=_SECONDS
        ) as answer:
            health = json.load(answer)
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return health if isinstance(health, dict) and "rung" in health else None


def _free(check: str, host: str, port: int, flag: str) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = f"stop the program that has it, or take another with {flag}"
            return Finding(check, "fail", f"{port}: {error.strerror}", advice)
    return Finding(check, "ok", f"{port}, free")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS):
            return True
    except OSError:
        return False
