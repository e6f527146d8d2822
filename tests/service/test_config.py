from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from service.config import PLACES, ConfigError, Settings, load_settings

MANIFEST = Path(__file__).parents[2] / "config.yaml"


def write(path: Path, values: object) -> str:
    path.write_text(json.dumps(values))
    return str(path)


def test_defaults_need_nothing() -> None:
    assert load_settings([], {}) == Settings()


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", {"max_queue": 3, "language": "de", "log_level": "error"})
    environment = {"GPTSOVITS_LANGUAGE": "fr", "GPTSOVITS_LOG_LEVEL": "debug", "HOME": "/"}
    settings = load_settings(["--config", file, "--log-level", "warning"], environment)
    assert (settings.max_queue, settings.language, settings.log_level) == (3, "fr", "warning")


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", {"port": 1234})
    assert load_settings([], {"GPTSOVITS_CONFIG": file}).port == 1234


def test_the_app_manifest_is_a_settings_file() -> None:
    assert load_settings(["--config", str(MANIFEST)], {}) == Settings()


def test_the_manifest_lists_every_option_with_its_default() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    defaults = {item.name: item.default for item in dataclasses.fields(Settings)}
    options = {name: value for name, value in defaults.items() if name not in PLACES}
    assert manifest["options"] == options
    assert list(manifest["schema"]) == list(options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_queu": 3}, "unknown setting max_queu"),
        ({"max_queue": 0}, "max_queue: value must be at least 1"),
        ({"max_queue": "many"}, "max_queue: expected int"),
        ({"port": 70000}, "port: value must be at most 65535"),
        ({"sample_rate": 12345}, "sample_rate: value must be one of"),
        ({"language": "english please"}, "language: does not match"),
        ({"log_level": "loud"}, "log_level: value must be one of"),
        ({"token": 5}, r"token: expected str, got \(hidden\)"),
        ({"mqtt_password": 5}, r"mqtt_password: expected str, got \(hidden\)"),
        ({"home_assistant_token": 5}, r"home_assistant_token: expected str, got \(hidden\)"),
        ({"mqtt_topic": "home/+"}, "mqtt_topic: does not match"),
        ({"mqtt_players": "light.kitchen"}, "mqtt_players: does not match"),
        ({"base_url": "box:9880"}, "base_url: does not match"),
        ({"options": [1]}, "options must be a mapping"),
        ([1], "must be a mapping"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path: Path, values: object, message: str) -> None:
    file = write(tmp_path / "s.json", values)
    with pytest.raises(ConfigError, match=message) as refused:
        load_settings(["--config", file], {})
    assert file in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"GPTSOVITS_PROT": "1"}, "environment: unknown setting prot"),
        ({"GPTSOVITS_PORT": "x"}, "environment: port: expected int"),
        ({"GPTSOVITS_CONFIG": "/nowhere.yaml"}, "nowhere.yaml: cannot be read"),
    ],
)
def test_wrong_environment_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings([], environment)


@pytest.mark.parametrize("text", ["[", "\t", "a: !!python/object/apply:os.system [true]"])
def test_a_file_that_is_no_plain_yaml_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_settings(["--config", str(file)], {})


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings(token="s3cret", mqtt_password="s3cret", home_assistant_token="s3cret"))
    assert "s3cret" not in shown


def test_an_app_reaches_home_assistant_through_the_supervisor() -> None:
    settings = load_settings([], {"SUPERVISOR_TOKEN": "x"})
    assert settings.home_assistant_url == "http://supervisor/core"
    assert settings.home_assistant_token == "x"


def test_a_home_assistant_of_the_users_choice_goes_before_the_supervisor() -> None:
    environment = {
        "SUPERVISOR_TOKEN": "x",
        "GPTSOVITS_HOME_ASSISTANT_URL": "http://other:8123",
        "GPTSOVITS_HOME_ASSISTANT_TOKEN": "y",
    }
    settings = load_settings([], environment)
    assert settings.home_assistant_url == "http://other:8123"
    assert settings.home_assistant_token == "y"
