"""The image speaks where nothing is allowed to it, and stops when it is told to."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.container.conftest import CONFINED, StartContainer
from tests.container.podman import ROOT, podman, run

LARGEST = 1_000_000_000  # bytes, unpacked
IN_THE_IMAGE = ("run", "--rm", "--network", "none", *CONFINED, "--entrypoint")


def test_it_speaks_as_nobody_in_a_system_that_cannot_be_written(start: StartContainer) -> None:
    container = start(*CONFINED)
    health = container.ready()
    assert (health["status"], health["rung"]) == ("ok", "plain")
    assert run("podman", "healthcheck", "run", container.name).returncode == 0
    samples, rate = soundfile.read(io.BytesIO(container.say("Dinner is ready.", container.token)))
    assert len(samples) / rate > 0.5
    assert np.sqrt(np.mean(samples**2)) > 0.01
    status = podman("exec", container.name, "cat", "/proc/1/status")
    assert "Uid:\t1000\t1000\t1000\t1000" in status
    assert "CapEff:\t0000000000000000" in status
    assert run("podman", "exec", container.name, "touch", "/app/x", check=False).returncode
    assert container.inspect("HostConfig.Memory") == str(512 << 20)
    assert container.stop() == 0


def test_under_supervisor_it_takes_over_a_folder_of_roots(
    start: StartContainer, tmp_path: Path
) -> None:
    # As Supervisor does: root, the runtime's usual rights, a folder of root's, options inside.
    options = tmp_path / "options.json"
    options.write_text(json.dumps({"token": "from the options", "max_queue": 3}))
    options.chmod(0o600)
    tmp_path.chmod(0o755)
    container = start("--volume", f"{tmp_path}:/data")
    assert container.ready()["queue"]["limit"] == 3
    assert container.say("Hello.", "from the options").startswith(b"RIFF")
    status = podman("exec", container.name, "cat", "/proc/1/status")
    assert "Uid:\t1000\t1000\t1000\t1000" in status
    assert "Groups:\t \n" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert (tmp_path / "server_id").stat().st_uid == 1000
    assert container.stop() == 0


def test_a_root_that_may_not_become_an_ordinary_user_is_told_so(image: str) -> None:
    refused = run("podman", "run", "--rm", "--cap-drop", "all", image, check=False)
    assert refused.returncode == 77
    assert b"--user 1000:1000" in refused.stderr


def test_the_doctor_is_in_the_image(image: str) -> None:
    report = run("podman", "run", "--rm", "--network", "none", *CONFINED, image, "doctor", "--json")
    findings = {each["check"]: each for each in json.loads(report.stdout)["findings"]}
    assert findings["plain voice"]["state"] == "ok"
    assert findings["disk"]["state"] == "ok"
    assert "no NVIDIA card" in findings["gpu"]["message"] or findings["gpu"]["advice"]


def test_nothing_is_in_the_image_that_does_not_speak(image: str) -> None:
    assert int(podman("image", "inspect", image, "--format", "{{.Size}}")) < LARGEST
    listing = podman(*IN_THE_IMAGE, "python", image, "-m", "pip", "list", "--format", "freeze")
    packages = {line.split("==")[0].lower() for line in listing.splitlines()}
    assert packages & {"torch", "onnx", "setuptools", "wheel", "pytest", "tensorrt", "uv"} == set()
    assert {"aiohttp", "onnxruntime", "hibari-tts", "gptsovits-home"} <= packages


@pytest.mark.parametrize("language", ["en", "zh", "yue", "ja", "ko"])
def test_the_image_reads_every_language(image: str, language: str) -> None:
    text = f"phonemize('你好 12:30', {language!r}, 'v2')"
    code = f"from engines.text import phonemize; print(len({text}))"
    assert int(podman(*IN_THE_IMAGE, "python", image, "-c", code).splitlines()[-1]) > 0


def test_the_converter_is_found_after_the_image(image: str) -> None:
    code = "import sys; print(sys.path)"
    folder = ("--tmpfs", "/data/converter")
    path = podman("run", "--rm", *CONFINED, *folder, "--entrypoint", "python", image, "-c", code)
    assert path.endswith("'/data/converter']")
    code = "from pathlib import Path; import service.converter as it; "
    code += "print(it.Converter(Path('/data')).state)"
    assert podman(*IN_THE_IMAGE, "python", image, "-c", code) == "fetched first"


def test_nothing_is_told_to_the_makers_of_its_parts(image: str) -> None:
    code = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert podman(*IN_THE_IMAGE, "python", image, "-c", code) == "1"


def test_apparmor_understands_the_profile(image: str) -> None:
    run("apparmor_parser", "--skip-kernel-load", "--skip-cache", ROOT / "apparmor.txt")
