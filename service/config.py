"""Settings: defaults, then a file, then the environment, then flags; one schema for all of them."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import voluptuous as vol
import yaml

PREFIX = "GPTSOVITS_"
APP_OPTIONS = Path("/data/options.json")  # where Home Assistant's Supervisor puts an app's options
SUPERVISOR = "http://supervisor/core"  # Home Assistant's own API, as an app reaches it
PLACES = (
    "host",
    "port",
    "wyoming_port",
    "data",
)  # decided by the machine or container, not by the user's options
BACKENDS = ("auto", "onnxruntime", "tensorrt")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
PLAYABLE_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


class ConfigError(Exception):
    """A setting is unknown, of the wrong type or out of range."""


def _setting(default: Any, rule: Any, help_text: str, *, secret: bool = False) -> Any:
    metadata = {"rule": rule, "help": help_text, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that can be set; a field's name is also its key, variable and flag."""

    host: str = _setting("127.0.0.1", vol.All(str, vol.Length(min=1)), "address to listen on")
    port: int = _setting(
        9880, vol.All(vol.Coerce(int), vol.Range(0, 65535)), "port; 0 takes a free one"
    )
    wyoming_port: int = _setting(
        0, vol.All(vol.Coerce(int), vol.Range(0, 65535)), "port for Wyoming, usually 10200; 0: none"
    )
    data: Path = _setting(Path("data"), vol.Coerce(Path), "folder of voices, models and state")
    token: str = _setting(
        "",
        str,
        "bearer token that clients must send; made where needed and none is set",
        secret=True,
    )
    allow_anonymous: bool = _setting(
        False, vol.Boolean(), "let other machines use the service without a token"
    )
    announce: bool = _setting(
        True, vol.Boolean(), "tell the local network where the service is (zeroconf)"
    )
    model: str = _setting(
        "", str, "model that speaks: id of an installed one, or folder of a converted one"
    )
    backend: str = _setting("auto", vol.In(BACKENDS), "who runs the models' networks")
    models_in_memory: int = _setting(
        2, vol.All(vol.Coerce(int), vol.Range(1, 100)), "models that stay loaded at a time"
    )
    unload_after: float = _setting(
        0.0,
        vol.All(vol.Coerce(float), vol.Range(0, 100_000)),
        "minutes without speech after which a model leaves the memory; 0: never",
    )
    hub_url: str = _setting(
        "",
        vol.Match(r"^(https?://[^\s/]+(/[^\s]*)?)?$"),
        "hub to download models from when asked to; empty: HF_ENDPOINT, or the library's own",
    )
    converter: bool = _setting(
        False, vol.Boolean(), "fetch PyTorch at the start, to convert official models"
    )
    remote_url: str = _setting(
        "",
        vol.Match(r"^(https?://[^\s/]+(/[^\s]*)?)?$"),
        "another box's service that speaks first, such as http://192.168.1.9:9880; empty: none",
    )
    remote_token: str = _setting("", str, "bearer token of that service", secret=True)
    remote_mac: str = _setting(
        "",
        vol.Match(r"^([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5})?$"),
        "hardware address of that box, to wake it up when it is wanted; empty: never",
    )
    stt_url: str = _setting(
        "",
        vol.Match(r"^(tcp://[^\s/:]+:[0-9]{1,5})?$"),
        "Wyoming speech-to-text server that suggests transcripts, such as tcp://192.168.1.9:10300",
    )
    language: str = _setting(
        "en", vol.Match(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$"), "language of a text that names none"
    )
    sample_rate: int = _setting(
        32000, vol.All(vol.Coerce(int), vol.In(PLAYABLE_RATES)), "rate in Hz of the audio sent"
    )
    sentence_pause: float = _setting(
        0.3, vol.All(vol.Coerce(float), vol.Range(0, 5)), "silence in seconds between sentences"
    )
    max_queue: int = _setting(
        16, vol.All(vol.Coerce(int), vol.Range(1, 1000)), "requests at a time, waiting and spoken"
    )
    max_wait: float = _setting(
        30.0,
        vol.All(vol.Coerce(float), vol.Range(1, 3600)),
        "seconds; requests whose first audio would take longer are refused",
    )
    max_text: int = _setting(
        5000, vol.All(vol.Coerce(int), vol.Range(1, 5000)), "characters in a request's text"
    )
    cache_mb: int = _setting(
        256,
        vol.All(vol.Coerce(int), vol.Range(0, 100_000)),
        "megabytes of spoken clips to keep; 0 keeps none",
    )
    base_url: str = _setting(
        "",
        vol.Match(r"^(https?://[^\s/]+(/[^\s]*)?)?$"),
        "address under which players reach this service, such as http://192.168.1.5:9880",
    )
    mqtt_host: str = _setting("", str, "MQTT broker; empty for none")
    mqtt_port: int = _setting(
        1883, vol.All(vol.Coerce(int), vol.Range(1, 65535)), "port of the MQTT broker"
    )
    mqtt_username: str = _setting("", str, "user at the MQTT broker; empty for none")
    mqtt_password: str = _setting("", str, "password at the MQTT broker", secret=True)
    mqtt_tls: bool = _setting(False, vol.Boolean(), "encrypt the line to the MQTT broker")
    mqtt_ca: str = _setting(
        "",
        str,
        "file of the authority that signed the MQTT broker's certificate; empty: known ones",
    )
    mqtt_client_id: str = _setting(
        "",
        vol.Match(r"^[A-Za-z0-9_-]{0,64}$"),
        "this service's id at the MQTT broker and in Home Assistant; empty for the data folder's",
    )
    mqtt_topic: str = _setting(
        "gptsovits",
        vol.Match(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"),
        "first part of all MQTT topics",
    )
    mqtt_players: str = _setting(
        "",
        vol.Match(r"^(media_player\.[a-z0-9_]+(, *media_player\.[a-z0-9_]+)*)?$"),
        "media players, with commas between, that play MQTT requests which name none",
    )
    home_assistant_url: str = _setting(
        "",
        vol.Match(r"^(https?://[^\s/]+(/[^\s]*)?)?$"),
        "Home Assistant that asks players to play; empty for none",
    )
    home_assistant_token: str = _setting(
        "", str, "long-lived access token of that Home Assistant", secret=True
    )
    log_level: str = _setting("info", vol.In(LOG_LEVELS), "how much is logged")
    log_format: str = _setting(
        "text", vol.In(LOG_FORMATS), "lines for a person, or a JSON object each"
    )
    log_text: bool = _setting(False, vol.Boolean(), "also log what is announced")


_FIELDS = {item.name: item for item in dataclasses.fields(Settings)}
_SCHEMA = vol.Schema({vol.Optional(name): item.metadata["rule"] for name, item in _FIELDS.items()})


def load_settings(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Settings:
    """Read settings from flags, environment and file, the first to name one wins.

    Raises:
        ConfigError: naming the source, the setting and what would be right.
    """
    environment = os.environ if environment is None else environment
    flags = _parse_flags(arguments)
    path = flags.pop("config") or environment.get(f"{PREFIX}CONFIG")
    values: dict[str, Any] = {}
    if path or APP_OPTIONS.is_file():
        values |= _check(_read_file(Path(path or APP_OPTIONS)), str(path or APP_OPTIONS))
    values |= _check(_read_environment(environment), "environment")
    values |= _check({key: value for key, value in flags.items() if value is not None}, "flags")
    settings = Settings(**values)
    if (supervisor := environment.get("SUPERVISOR_TOKEN")) and not settings.home_assistant_url:
        settings = dataclasses.replace(
            settings, home_assistant_url=SUPERVISOR, home_assistant_token=supervisor
        )
    return settings


def keep_private() -> None:
    """Tell ONNX Runtime, before it is imported, to send its maker no statistics of this home."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def supervisor_token(environment: Mapping[str, str] | None = None) -> str:
    """What this app says to Home Assistant's Supervisor; empty where there is none."""
    return (os.environ if environment is None else environment).get("SUPERVISOR_TOKEN", "")


def _parse_flags(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="Speech service for a home.", allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help="settings file (YAML or JSON)")
    for name, item in _FIELDS.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, help=f"{item.metadata['help']} (default: {item.default!s})")
    return vars(parser.parse_args(list(arguments)))


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    own = {key: value for key, value in environment.items() if key.startswith(PREFIX)}
    own.pop(f"{PREFIX}CONFIG", None)
    return {key.removeprefix(PREFIX).lower(): value for key, value in own.items()}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of settings")
    # An app manifest keeps the settings under `options`, so config.yaml itself is a settings file.
    options = document.get("options", document)
    if not isinstance(options, dict):
        raise ConfigError(f"{path}: options must be a mapping of settings")
    return options


def _check(values: dict[str, Any], source: str) -> dict[str, Any]:
    unknown = sorted(str(key) for key in values if key not in _FIELDS)
    if unknown:
        known = ", ".join(_FIELDS)
        raise ConfigError(f"{source}: unknown setting {', '.join(unknown)}; known are {known}")
    try:
        return dict(_SCHEMA(values))
    except vol.MultipleInvalid as error:
        first = error.errors[0]
        name = str(first.path[0])
        hint = _FIELDS[name].metadata["help"]
        shown = "(hidden)" if _FIELDS[name].metadata["secret"] else repr(values[name])
        raise ConfigError(f"{source}: {name}: {first.msg}, got {shown} ({hint})") from error
