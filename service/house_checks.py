"""The doctor's look at the service: its ports, its models, its voices."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

from engines.errors import EngineError
from engines.model_folder import ModelFolder
from service.config import Settings
from service.findings import Finding, State
from service.voices import VoiceStore

_SECONDS = 10.0  # until somebody who does not answer is given up
_START = "start it: the app in Home Assistant, `docker compose up -d`, or `python -m service`"
_STATES: dict[str, State] = {"ok": "ok", "unavailable": "fail"}


def ports(settings: Settings) -> list[Finding]:
    """The ports, and the service behind them where it runs."""
    running = _health(settings)
    found = []
    if running is None:
        found.append(_free("http port", settings.host, settings.port, "--port"))
        found[:0] = [Finding("running", "warn", "the service does not run", _START)]
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
    store = settings.data / "models"
    folders = {path.parent.name: path.parent for path in sorted(store.glob("*/model.json"))}
    # The setting is an installed model's id, or a folder anywhere.
    if settings.model and settings.model not in folders:
        folders = {settings.model: Path(settings.model), **folders}
    if not folders:
        advice = "install one in the page; until then the plain voice speaks"
        return [Finding("model", "warn", "none", advice)]
    return [_model(folder) for folder in folders.values()]


def _model(folder: Path) -> Finding:
    if not folder.is_dir():
        advice = "name an installed model's id or a converted folder, or leave `model` empty"
        return Finding("model", "fail", f"{folder} is not there", advice)
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
            variable = "VOICES" + flag[1:].upper().replace("-", "_")
            advice = f"stop the program that has it, or take another: {flag}, in compose {variable}"
            return Finding(check, "fail", f"{port}: {error.strerror}", advice)
    return Finding(check, "ok", f"{port}, free")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS):
            return True
    except OSError:
        return False
