"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# Who may import whom; what is not a row is a foreign package.
ALLOWED = {
    "engines": {"engines"},
    "service": {"service", "engines"},
    "custom_components": {"custom_components"},
    "training": {"training", "engines"},
}
DOORS = {"http_api", "websocket_api", "wyoming_server", "mqtt_bridge"}


def tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for path in listing.stdout.splitlines() if (ROOT / path).exists())


def imports(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    plain = {
        each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names
    }
    origins = {
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }
    return plain | origins


@pytest.mark.parametrize("tree", ALLOWED)
def test_imports_go_one_way(tree: str) -> None:
    foreign = {
        f"{path} imports {name}"
        for path in tracked(f"{tree}/*.py")
        for name in imports(path)
        if name.split(".")[0] in ALLOWED and name.split(".")[0] not in ALLOWED[tree]
    }
    assert foreign == set()


def test_the_service_never_imports_torch() -> None:
    code = "import sys, service.app, service.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_doors_do_not_know_each_other() -> None:
    # http_api mounts the WebSocket route: the two are one door with two handles.
    known = {
        (path, name.removeprefix("service."))
        for path in tracked("service/*.py")
        for name in imports(path)
        if Path(path).stem in DOORS and name.removeprefix("service.") in DOORS
    }
    assert known <= {("service/http_api.py", "websocket_api")}


def test_only_config_reads_the_environment() -> None:
    readers = {
        path
        for path in tracked("service/*.py", "engines/*.py")
        if re.search(r"os\.(environ|getenv)", (ROOT / path).read_text(encoding="utf-8"))
    }
    # The second one only keeps ONNX Runtime from sending statistics.
    assert readers <= {"service/config.py", "engines/__main__.py"}


def test_there_is_one_manifest() -> None:
    named = [path for path in tracked() if re.fullmatch(r"config\.(ya?ml|json)", Path(path).name)]
    assert named == ["config.yaml"]


def test_there_is_one_version_number() -> None:
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    manifest = yaml.safe_load((ROOT / "config.yaml").read_text())
    integration = json.loads(
        (ROOT / "custom_components/gptsovits_tts/manifest.json").read_text(encoding="utf-8")
    )
    palette = json.loads(
        (ROOT / "node-red-contrib-gptsovits/package.json").read_text(encoding="utf-8")
    )
    changelog = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changelog is not None
    assert {
        project.group(1),
        manifest["version"],
        integration["version"],
        palette["version"],
        changelog.group(1),
    } == {project.group(1)}


def test_the_map_in_the_readme_is_true() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Map of the tree", 1)[1].split("```")[1]
    entries = {line.split()[0] for line in section.splitlines() if line.strip()}
    files = tracked()
    missing = {entry for entry in entries if not (ROOT / entry).exists()}
    unmapped = {
        path
        for path in files
        if path not in entries
        and not any(path.startswith(entry) for entry in entries if entry.endswith("/"))
    }
    assert missing == set()
    assert unmapped == set()


def test_no_tracked_file_names_this_machine() -> None:
    pattern = re.compile(r"(?<![\w.])/(work|farm|root)/")
    named = [
        path
        for path in tracked("*.py", "*.md", "*.sh", "*.yaml", "*.toml", "script/*", ".ci/*")
        if path != "tests/test_repository.py"
        and pattern.search((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert named == []
