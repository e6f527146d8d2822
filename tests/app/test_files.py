"""Dockerfile, compose files, workflows, scripts and locks, each read by the tool that knows it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from script.lock_inputs import digest
from service import converter

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
COMPOSE = sorted((ROOT / "addon").glob("*.yaml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SHELL = sorted(
    path
    for path in (ROOT / "script").iterdir()
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
)
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def checked(*command: str | Path) -> str:
    """What a tool says about a file that it does not like; empty for one that it likes."""
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout + done.stderr if done.returncode else ""


def locked(name: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    rows = re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE)
    return {package: Version(version) for package, version in rows}


def wanted(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    lines = [line for extra in ("", *extras) for line in optional.get(extra, [])]
    return [Requirement(line) for line in [*project["dependencies"], *lines]]


def test_the_dockerfile_has_no_known_faults() -> None:
    assert checked("hadolint", "Dockerfile") == ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_no_known_faults(path: Path) -> None:
    assert checked("actionlint", path) == ""


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.compose-spec", COMPOSE)],
)
def test_files_fit_their_schema(schema: str, files: list[Path]) -> None:
    assert len(files) > 1
    assert checked("check-jsonschema", "--builtin-schema", schema, *files) == ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_scripts_that_exist(path: Path) -> None:
    called = set(re.findall(r"script/[a-z-]+", path.read_text(encoding="utf-8")))
    assert called <= {str(each.relative_to(ROOT)) for each in SHELL}


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_scripts_have_no_known_faults(path: Path) -> None:
    assert checked("shellcheck", path) == ""


def test_the_gpu_is_only_added_to_what_compose_runs() -> None:
    plain, gpu = (yaml.safe_load((ROOT / "addon" / name).read_text()) for name in NAMES)
    assert set(gpu["services"]) == set(plain["services"])
    assert set(gpu["services"]["voices"]) == {"image", "mem_limit", "deploy"}


NAMES = ("compose.yaml", "compose.gpu.yaml")


def test_compose_gives_no_rights() -> None:
    voices: dict[str, Any] = yaml.safe_load((ROOT / "addon" / "compose.yaml").read_text())
    voices = voices["services"]["voices"]
    assert (voices["user"], voices["read_only"], voices["cap_drop"]) == ("1000:1000", True, ["ALL"])
    assert voices["security_opt"] == ["no-new-privileges:true"]
    assert [volume.split(":")[1] for volume in voices["volumes"]] == ["/data"]


def test_locks_fit_what_they_are_made_of() -> None:
    made_of = {
        re.findall(r"^# inputs: (\w+)$", path.read_text(), re.MULTILINE)[0] for path in LOCKS
    }
    assert made_of == {digest(ROOT)}


def test_what_a_lock_is_made_of_changes_its_digest(tmp_path: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "requirements").mkdir()
    for path in (ROOT / "requirements").glob("*.in"):
        (tmp_path / "requirements" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_text(project.replace('"aiohttp>=', '"aiohttp>3,>='))
    assert digest(tmp_path) != digest(ROOT)


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("cpu", ("cpu", "en", "zh", "yue", "ja", "g2pw")),
        ("gpu", ("cpu", "rtx", "en", "zh", "yue", "ja", "g2pw")),
    ],
)
def test_locks_hold_what_the_project_wants(name: str, extras: tuple[str, ...]) -> None:
    have = locked(name)
    missing = [
        str(each)
        for each in wanted(*extras)
        if not each.specifier.contains(have.get(each.name.lower().replace("_", "-"), "0"))
    ]
    assert missing == []


def test_the_gpu_has_the_packages_of_the_cpu_and_its_own() -> None:
    assert locked("cpu").items() <= locked("gpu").items()
    own = locked("gpu").keys() - locked("cpu").keys()
    assert {"pycuda", "cuda-bindings", "nvidia-cuda-runtime", "tensorrt-rtx-cu13-libs"} <= own


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_has_a_hash_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    packages = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_the_converter_takes_the_torch_that_the_tests_take() -> None:
    setup = (ROOT / "script" / "setup").read_text(encoding="utf-8")
    assert f'"${{pip[@]}}" {converter.TORCH}\n' in setup
    assert converter.LOCKED.is_file()
    assert locked("convert").keys() & locked("cpu").keys() == set()


def test_what_an_image_is_made_of_is_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    let_in = tuple(line[1:] for line in ignored if line.startswith("!"))
    names = {name for line in copied for name in line.split()}
    assert all(name.startswith(tuple(each.split("*")[0] for each in let_in)) for name in names)


def test_the_previous_versions_notes_stay_out_of_a_release(tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    done = subprocess.run(
        ["script/release", folder, "9.9.9"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the tag says 9.9.9" in done.stderr
    assert not folder.exists()


@pytest.mark.slow
def test_a_release_holds_what_its_checksums_name(tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    subprocess.run(["script/release", folder], cwd=ROOT, check=True, capture_output=True)
    sums = dict(
        reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {path.name: path for path in folder.iterdir() if path.name != "SHA256SUMS"}
    assert {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    } == sums
    assert {"gptsovits_tts.zip", "sbom-cpu.cdx.json", "sbom-gpu.cdx.json", "NOTES.md"} <= set(files)
    with zipfile.ZipFile(files["gptsovits_tts.zip"]) as archive:
        assert {"manifest.json", "__init__.py", "brand/icon.png"} <= set(archive.namelist())
    assert '"aiohttp"' in files["sbom-cpu.cdx.json"].read_text()
