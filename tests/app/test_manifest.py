from __future__ import annotations

import dataclasses
import re
import struct
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import voluptuous as vol
import yaml

from service.config import PLACES, Settings, load_settings
from tests.app.supervisor import MANIFEST, TRANSLATIONS, UniqueKeys, options_schema, renamed

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "zh-Hans")
OPTIONS = [item.name for item in dataclasses.fields(Settings) if item.name not in PLACES]


def read(path: str) -> dict[str, Any]:
    return dict(yaml.load((ROOT / path).read_text(encoding="utf-8"), UniqueKeys))


def headings(level: int) -> set[str]:
    found = re.findall(rf"^{'#' * level} `(.+)`$", (ROOT / "DOCS.md").read_text(), re.MULTILINE)
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def manifest() -> dict[str, Any]:
    return read("config.yaml")


def test_supervisor_reads_the_manifest_without_a_word(manifest: dict[str, Any]) -> None:
    assert MANIFEST(manifest)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arch", ["armv7"]),
        ("slug", "family voices"),
        ("watchdog", "http://localhost:9880"),
        ("services", ["mqtt"]),
        ("homeassistant", 2025.6),
        ("advanced", True),
        ("map", [{"type": "addon_config"}]),
        ("schema", {"token": "secret"}),
        ("schema", {"max_queue": "int(1..9)"}),
        ("schema", {"max_queue": "int(1.5,9)"}),
        ("schema", {"sample_rate": "list()"}),
        ("timeout", 5),
        ("startup", "before"),
    ],
)
def test_supervisor_would_refuse(manifest: dict[str, Any], key: str, value: object) -> None:
    with pytest.raises(vol.Invalid, match=key):
        MANIFEST({**manifest, key: value})


def test_the_default_options_pass_their_schema(manifest: dict[str, Any]) -> None:
    accepted = options_schema(manifest["schema"])(manifest["options"])
    assert list(accepted) == OPTIONS


def test_what_supervisor_writes_are_settings(manifest: dict[str, Any], tmp_path: Path) -> None:
    # A list's choice comes as text.
    written = tmp_path / "options.yaml"
    options = options_schema(manifest["schema"])(manifest["options"])
    written.write_text(yaml.safe_dump(options))
    assert load_settings(["--config", str(written)], {}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_queue", 0),
        ("sample_rate", 12345),
        ("mqtt_port", 0),
        ("language", 5),
        ("log_level", ""),
    ],
)
def test_supervisor_refuses_what_the_service_refuses(
    manifest: dict[str, Any], name: str, value: object
) -> None:
    with pytest.raises(vol.Invalid, match=name):
        options_schema(manifest["schema"])({**manifest["options"], name: value})


def test_secrets_are_entered_hidden(manifest: dict[str, Any]) -> None:
    fields = dataclasses.fields(Settings)
    secret = {item.name for item in fields if item.metadata["secret"] and item.name not in PLACES}
    hidden = {name for name, rule in manifest["schema"].items() if rule.startswith("password")}
    assert hidden == secret


def test_every_option_and_port_is_documented(manifest: dict[str, Any]) -> None:
    assert headings(3) == {*OPTIONS, *manifest["ports"]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_and_port_is_translated(manifest: dict[str, Any], language: str) -> None:
    translation = TRANSLATIONS(read(f"translations/{language}.yaml"))
    assert list(translation["configuration"]) == OPTIONS
    assert all(
        texts["name"] and texts["description"] for texts in translation["configuration"].values()
    )
    assert set(translation["network"]) == set(manifest["ports"])


def test_there_are_no_other_translations() -> None:
    assert sorted(path.stem for path in (ROOT / "translations").iterdir()) == sorted(LANGUAGES)


def test_ports_are_described_and_serve_what_they_say(manifest: dict[str, Any]) -> None:
    assert set(manifest["ports_description"]) == set(manifest["ports"])
    dockerfile = (ROOT / "Dockerfile").read_text()
    exposed = re.search(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)
    assert exposed is not None
    assert {f"{port}/tcp" for port in exposed[1].split()} == set(manifest["ports"])
    assert manifest["ingress_port"] == Settings().port
    assert f"[PORT:{Settings().port}]" in manifest["watchdog"]


def test_home_assistant_is_asked_for_the_version_that_the_integration_needs(
    manifest: dict[str, Any],
) -> None:
    least = re.search(r"^\*\*Home Assistant\*\* \((\S+) or newer\)", readme(), re.MULTILINE)
    assert least is not None
    assert manifest["homeassistant"] == f"{least[1]}.0"


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("voices/mum/voice.yaml", True),
        ("voices/mum/reference.wav", True),
        ("voices/cache/reference.wav", True),
        ("token", True),
        ("server_id", True),
        ("mqtt.sqlite", True),
        ("options.json", True),
        ("cache", False),
        ("clips", False),
        ("converter", False),
        ("models", False),
        ("incoming", False),
    ],
)
def test_backups_keep_what_cannot_be_made_again(
    manifest: dict[str, Any], path: str, kept: bool
) -> None:
    # Supervisor matches the end of the whole path; the folder is called after the repository too.
    whole = PurePosixPath("/data/addons/data/a0d7b954_gptsovits_tts", path)
    assert kept is not any(whole.match(pattern) for pattern in manifest["backup_exclude"])


@pytest.mark.parametrize(("file", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_pictures_have_the_size_that_the_store_shows(file: str, size: tuple[int, int]) -> None:
    data = (ROOT / file).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == size


def test_apparmor_lets_the_app_write_its_data_only(manifest: dict[str, Any]) -> None:
    profile = (ROOT / "apparmor.txt").read_text()
    assert f"profile {manifest['slug']} " in profile
    rules = re.findall(r"^  (/\S*) ([a-z]+),$", profile, re.MULTILINE)
    writable = {path for path, rights in rules if "w" in rights}
    assert writable == {"/data/", "/data/**", "/tmp/", "/tmp/**", "/dev/shm/**"}
    read = [path for path, rights in rules if "r" in rights]
    assert all(any(fnmatch(each, path) for path in read) for each in ("/app/x", "/share/model"))


def test_apparmor_means_the_app_under_the_name_that_supervisor_gives(
    manifest: dict[str, Any],
) -> None:
    installed = renamed((ROOT / "apparmor.txt").read_text(), f"a0d7b954_{manifest['slug']}")
    lines = [line for line in installed.splitlines() if manifest["slug"] in line]
    assert [line.split()[:2] for line in lines] == [["profile", f"a0d7b954_{manifest['slug']}"]]
