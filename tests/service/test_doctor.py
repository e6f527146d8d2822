from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service import doctor, house_checks, machine_checks
from service.config import Settings
from service.findings import Finding
from tests.lab.process import free_port
from tests.service.conftest import StartService

NVIDIA_SMI = """#!/bin/sh
case "$1" in
  *compute_cap*) echo 'NVIDIA GeForce RTX 3060, {capability}' ;;
  *) echo 'NVIDIA GeForce RTX 3060, 12288 MiB, {driver}' ;;
esac
exit {status}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", port=free_port())


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a program nvidia-smi on the path that says a driver, or fails."""

    def install(
        driver: str = "580.95.05", status: int = 0, cuda: str = "", capability: str = "8.6"
    ) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "nvidia-smi"
        program.write_text(NVIDIA_SMI.format(driver=driver, status=status, capability=capability))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.setattr(machine_checks, "_initialise_cuda", lambda: cuda)

    return install


def states(findings: list[Finding]) -> dict[str, str]:
    return {each.check: each.state for each in findings}


@pytest.mark.parametrize(
    ("card", "expected", "advice"),
    [
        ({}, {"gpu": "ok", "driver": "ok"}, ""),
        ({"driver": "550.54"}, {"gpu": "ok", "driver": "fail"}, "install driver 580"),
        ({"status": 9}, {"gpu": "fail"}, "restart the machine"),
        (
            {"cuda": "answers with error 999"},
            {"gpu": "ok", "driver": "fail"},
            "container toolkit",
        ),
    ],
)
def test_cards_and_drivers(
    settings: Settings,
    nvidia: Callable[..., None],
    card: dict[str, Any],
    expected: dict[str, str],
    advice: str,
) -> None:
    nvidia(**card)
    findings = machine_checks.graphics(settings)
    assert states(findings) == expected
    assert advice in findings[-1].advice


@pytest.mark.parametrize(
    ("vendor", "backend", "flavours", "state", "advice"),
    [
        ("0x10de", "auto", (), "warn", "driver, 580"),
        ("0x8086", "auto", (), "ok", ""),
        ("0x8086", "auto", ("json",), "warn", "compose.gpu.yaml"),
        ("0x8086", "tensorrt", (), "warn", "backend to auto"),
    ],
)
def test_a_card_without_a_driver_is_seen(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    backend: str,
    flavours: tuple[str, ...],
    state: str,
    advice: str,
) -> None:
    (tmp_path / "pci" / "0000:01").mkdir(parents=True)
    (tmp_path / "pci" / "0000:01" / "vendor").write_text(vendor + "\n")
    monkeypatch.setattr(machine_checks, "PCI", tmp_path / "pci")
    monkeypatch.setattr(machine_checks, "FLAVOURS", flavours)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = dataclasses.replace(settings, backend=backend)
    (found,) = machine_checks.graphics(here)
    assert (found.check, found.state) == ("gpu", state)
    assert advice in found.advice


@pytest.mark.parametrize(
    ("code", "state", "said"),
    [
        ("__version__ = '11.4'", "ok", "11.4"),
        ("raise ImportError('no libnvinfer.so.11')", "fail", "no libnvinfer.so.11"),
        ("import os; os.abort()", "fail", "cannot be loaded: status -6"),
    ],
)
def test_tensorrt_is_loaded_in_a_process_of_its_own(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    state: str,
    said: str,
) -> None:
    monkeypatch.setattr(machine_checks, "FLAVOURS", ("tensorrt",))
    (tmp_path / "tensorrt.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = machine_checks.tensorrt(settings)
    assert (found.check, found.state) == ("tensorrt", state)
    assert said in found.message


RTX = "__version__ = '1.7'\nclass ComputeCapability:\n    SM75 = 0\n    SM86 = 1\n    SM120 = 2\n"


@pytest.mark.parametrize(
    ("capability", "flavour", "kernels", "expected", "said"),
    [
        (
            "8.6",
            RTX,
            True,
            {"tensorrt for rtx": "ok", "kernels": "ok"},
            "compiled for sm_75 to sm_120",
        ),
        ("12.0", RTX, True, {"tensorrt for rtx": "ok", "kernels": "ok"}, "1.7"),
        (
            "9.0",
            RTX,
            True,
            {"tensorrt for rtx": "warn", "kernels": "ok"},
            "not run on NVIDIA GeForce",
        ),
        ("9.0", "__version__ = '11'", True, {"tensorrt for rtx": "ok", "kernels": "ok"}, "11"),
        (
            "8.6",
            RTX,
            False,
            {"tensorrt for rtx": "ok", "kernels": "warn"},
            "not compiled: t2s_generic",
        ),
        ("7.5", RTX, True, {"tensorrt for rtx": "warn", "kernels": "ok"}, "some of the engines"),
        ("7.5", "__version__ = '11'", True, {"tensorrt for rtx": "ok", "kernels": "ok"}, "11"),
        ("6.1", RTX, True, {"tensorrt for rtx": "warn", "kernels": "fail"}, "is older than sm_75"),
    ],
)
def test_what_a_card_needs_is_compared_with_what_is_there(
    settings: Settings,
    nvidia: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    flavour: str,
    kernels: bool,
    expected: dict[str, str],
    said: str,
) -> None:
    nvidia(capability=capability)
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    for name in [*machine_checks.FILES] * kernels:
        (compiled / f"{name}.fatbin").touch()
    monkeypatch.setattr(machine_checks, "COMPILED", compiled)
    monkeypatch.setattr(machine_checks, "FLAVOURS", ("tensorrt_rtx",))
    (tmp_path / "tensorrt_rtx.py").write_text(flavour)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = machine_checks.tensorrt(settings)
    assert states(findings) == expected
    assert said in " ".join(each.message for each in findings)


def test_a_card_without_tensorrt_asks_for_the_other_image(
    settings: Settings, nvidia: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia()
    monkeypatch.setattr(machine_checks, "FLAVOURS", ())
    (found,) = machine_checks.tensorrt(settings)
    assert found.state == "warn"
    assert "`gpu` image" in found.advice


def test_a_data_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = machine_checks.disk(Settings(data=tmp_path / "file" / "data"))
    assert found.state == "fail"
    assert "--data" in found.advice


@pytest.mark.parametrize(("free", "state"), [(5e9, "ok"), (1e9, "warn"), (1e8, "fail")])
def test_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert states(machine_checks.disk(settings)) == {"disk": state}


def test_free_and_taken_ports() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        here = Settings(port=taken.getsockname()[1], wyoming_port=free_port())
        found = states(
            [
                house_checks._free("http port", here.host, here.port, "--port"),
                house_checks._free("wyoming port", here.host, here.wyoming_port, "--wyoming-port"),
            ]
        )
    assert found == {"http port": "fail", "wyoming port": "ok"}


def test_a_service_that_does_not_run(settings: Settings) -> None:
    assert states(house_checks.ports(settings)) == {
        "running": "warn",
        "http port": "ok",
        "wyoming port": "ok",
    }


async def test_a_service_that_runs(start_service: StartService, tmp_path: Path) -> None:
    service = await start_service()
    here = Settings(data=tmp_path, port=int(service.url.rsplit(":", 1)[1]))
    findings = await asyncio.to_thread(house_checks.ports, here)
    assert states(findings) == {"running": "ok", "http port": "ok", "wyoming port": "ok"}
    assert "fake speaks" in findings[0].message


def test_every_finding_that_is_not_well_says_what_to_do(settings: Settings) -> None:
    findings = doctor.diagnose(settings)
    wanted = {"gpu", "disk", "http port", "wyoming port", "home assistant", "mqtt", "model"}
    assert wanted <= states(findings).keys()
    assert any(each.check.startswith("tensorrt") for each in findings)
    assert [each for each in findings if each.state != "ok" and not each.advice] == []


def test_models(settings: Settings, tmp_path: Path) -> None:
    assert states(house_checks.model(settings)) == {"model": "warn"}
    (found,) = house_checks.model(Settings(data=tmp_path, model=str(tmp_path / "nowhere")))
    assert (found.state, found.message) == ("fail", f"{tmp_path / 'nowhere'} is not there")


def test_an_installed_model_is_named_by_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "family"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (found,) = house_checks.model(Settings(data=tmp_path, model="family"))
    assert found.state == "fail"
    assert found.message.startswith(f"{folder}: ")


def test_voices_of_a_new_home(settings: Settings) -> None:
    assert states(house_checks.voices(settings)) == {"voices": "ok"}


def test_a_check_that_breaks_leaves_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Settings) -> list[Finding]:
        raise subprocess.TimeoutExpired("nvidia-smi", 60)

    monkeypatch.setattr(doctor, "CHECKS", (broken, machine_checks.disk))
    findings = doctor.diagnose(settings)
    assert states(findings) == {"broken": "warn", "disk": "ok"}


@pytest.mark.parametrize(
    ("arguments", "status", "state"),
    [([], 0, "ok"), (["--max-queue", "0"], 2, "fail"), (["--data", "/dev/null/x"], 1, "fail")],
)
def test_the_exit_status_and_the_report_for_machines(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    state: str,
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (machine_checks.disk,))
    monkeypatch.setattr("logging.disable", lambda level: None)
    assert doctor.main(["--data", str(settings.data), *arguments, "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is (status == 0)
    assert [each["state"] for each in report["findings"]] == [state]


def test_the_table_says_what_to_do() -> None:
    table = doctor.to_table(
        [Finding("gpu", "ok", "RTX 3060"), Finding("driver", "fail", "550", "install 580")]
    )
    assert table.splitlines() == [
        "ok    gpu     RTX 3060",
        "fail  driver  550",
        "              → install 580",
        "",
        "1 of 2 checks failed.",
    ]
