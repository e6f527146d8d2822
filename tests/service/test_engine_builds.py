"""Engines, built beside the service: what fails, dies or is deleted leaves the rest alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from engines.engine_store import EngineStore
from engines.errors import BackendUnavailableError
from engines.model_folder import ModelFolder
from service import graphics_card
from service.engine_builds import EngineBuilds, EnginesMissing
from service.installed_model import InstalledModel, read_model
from service.job_runner import JobRunner
from service.model_errors import ChildKilled, InstallFailed
from service.model_metrics import ModelMetrics
from tests.service.card_double import Card
from tests.service.conftest import eventually
from tests.service.model_house import (
    StartHouse,
    enrol,
    golden,  # noqa: F401 - fixtures
    house,  # noqa: F401
    install,
    tiny_files,  # noqa: F401
    tiny_model,  # noqa: F401
)
from tests.service.test_models_killed import children

FOR = ("--for", "sm_86", "--precision", "fp32")
SPOKEN = ["t2s_prefill", "t2s_decode", "vits_encode", "vits_flow", "vits_generate"]


class Builds:
    """A builder of engines for one model, outside any house."""

    def __init__(self, model: InstalledModel, arguments: tuple[str, ...] = ()) -> None:
        self.model = model
        self.jobs = JobRunner(model.folder.parent)
        self.registry = CollectorRegistry()
        self.builds = EngineBuilds(self.jobs, ModelMetrics(self.registry), arguments)

    async def build(self) -> str:
        return await self.builds.build(self.model)

    def counted(self, state: str) -> list[str]:
        lines = generate_latest(self.registry).decode().splitlines()
        return [line for line in lines if "builds_total" in line and f'state="{state}"' in line]


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> InstalledModel:  # noqa: F811
    return read_model(shutil.copytree(tiny_model, tmp_path / "models" / "ours"), "ours")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two graphs be all that speak: building takes its time."""
    pytest.importorskip("tensorrt_rtx_bindings")
    monkeypatch.setattr("service.engine_builds._speaking", lambda model: ["vits_flow", "style"])


def pretend(monkeypatch: pytest.MonkeyPatch, child: Callable[..., Any]) -> list[list[str]]:
    """Put a made-up builder in place of the process; what each one is asked to build."""
    asked: list[list[str]] = []

    async def run(task: str, *arguments: Any, tell: Any, hear: Any, **_: Any) -> None:
        names = list(arguments[arguments.index("--only") + 1 :])
        asked.append(names)
        for number, name in enumerate(names):
            tell(100 * number, 100 * len(names), name)
            await asyncio.sleep(0)
            outcome = child(name)
            hear({"graph": name, "state": "built", "seconds": 1.0, "reason": ""} | (outcome or {}))

    monkeypatch.setattr("service.engine_builds.run_child", run)
    return asked


@pytest.mark.usefixtures("two")
async def test_engines_are_built_by_a_process_and_kept(model: InstalledModel) -> None:
    shown: set[tuple[str, str]] = set()
    one = Builds(model, FOR)
    building = asyncio.create_task(one.build())
    while not building.done():
        shown |= {(job.stage, job.message) for job in one.jobs.all()}
        await asyncio.sleep(0.02)
    assert await building == "2 engines are ready"
    assert any(stage == "build" and "(1 of 2)" in message for stage, message in shown)
    (job,) = one.jobs.all()
    assert (job.source, job.state, job.percent, job.model) == ("engines", "done", 100, "ours")
    assert (len(one.counted("built")), len(one.counted("kept"))) == (2, 0)
    assert len(list((model.folder / "engines").glob("*.engine"))) == 2
    # One that was there is found again, one whose graph is damaged leaves it alone.
    graph = ModelFolder.read(model.folder).graph_file("style")
    graph.write_bytes(b"?" * graph.stat().st_size)
    for engine in (model.folder / "engines").glob("style.*"):
        engine.unlink()
    again = Builds(model, FOR)
    said = await again.build()
    assert said.startswith("1 of 2 engines are ready, the CPU stands in for style: ")
    assert (len(again.counted("built")), len(again.counted("kept"))) == (0, 1)
    assert len(again.counted("failed")) == 1


async def test_a_builder_that_is_killed_loses_only_what_it_was_at(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crashing(name: str) -> None:
        crash = {"t2s_decode": ChildKilled("build: the process was killed (signal 11)")}
        if error := crash.get(name):
            raise error

    asked = pretend(monkeypatch, crashing)
    said = await Builds(model).build()
    assert asked == [SPOKEN, SPOKEN[2:]]
    assert "4 of 5 engines are ready" in said
    assert "t2s_decode: build: the process was killed (signal 11)" in said


async def test_without_any_engine_it_has_failed(
    model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda name: {"state": "failed", "reason": "no"})
    one = Builds(model)
    with pytest.raises(EnginesMissing, match="0 of 5"):
        await one.build()
    assert one.jobs.all()[0].state == "failed"


@pytest.mark.slow
@pytest.mark.usefixtures("two")
async def test_a_real_builder_is_killed_and_the_next_clears_up(model: InstalledModel) -> None:
    one = Builds(model, FOR)
    building = asyncio.create_task(one.build())
    await eventually(lambda: any("(1 of 2)" in job.message for job in one.jobs.all()))
    (child,) = children(os.getpid())
    os.kill(child, signal.SIGKILL)
    said = await building
    assert said.startswith("1 of 2 engines are ready, the CPU stands in for ")
    assert "killed (signal 9)" in said
    assert await Builds(model, FOR).build() == "2 engines are ready"


@pytest.mark.usefixtures("two")
async def test_a_folder_that_takes_no_engine_says_so(model: InstalledModel) -> None:
    (model.folder / "engines").write_bytes(b"")
    with pytest.raises(InstallFailed, match="cannot be written"):
        await Builds(model, FOR).build()


async def test_here_there_is_no_card(model: InstalledModel) -> None:
    with pytest.raises(InstallFailed) as failure:
        await Builds(model).build()
    assert failure.value.code == BackendUnavailableError.code


def test_what_killed_builders_left_is_swept(tmp_path: Path) -> None:
    half, ours = tmp_path / ".a.engine.4194999", tmp_path / f".b.engine.{os.getpid()}"
    whole = tmp_path / "c.engine"
    for path in (half, ours, whole):
        path.write_bytes(b"x")
    EngineStore(tmp_path).sweep()
    assert sorted(tmp_path.iterdir()) == sorted((ours, whole))


def test_auto_takes_a_card_only_where_all_that_it_needs_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, both = ("onnxruntime",), ("tensorrt", "onnxruntime")
    assert graphics_card.backends_for("onnxruntime") == cpu
    assert graphics_card.backends_for("tensorrt") == both
    monkeypatch.setattr(graphics_card, "_installed", lambda name: True)
    monkeypatch.setattr(graphics_card.ctypes, "CDLL", lambda name: None)
    assert graphics_card.backends_for("auto") == both
    monkeypatch.setattr(graphics_card, "_installed", lambda name: name != "pycuda")
    assert graphics_card.backends_for("auto") == cpu


@pytest.mark.parametrize(
    ("setting", "rungs", "status"),
    [
        ("auto", ["onnxruntime", "plain"], "ok"),
        ("tensorrt", ["tensorrt", "onnxruntime", "plain"], "degraded"),
    ],
)
async def test_a_card_that_cannot_be_used_is_told_where_it_was_asked_for(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    rungs: list[str],
    status: str,
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        failed = InstallFailed("there is no NVIDIA card in this machine")
        failed.code = BackendUnavailableError.code
        raise failed

    monkeypatch.setattr("service.engine_builds.run_child", refuse)
    monkeypatch.setattr(graphics_card, "may_have_card", lambda: True)
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)
    home = await house(backend=setting)
    await eventually(lambda: [each["name"] for each in home.health.ladder.snapshot()] == rungs)
    await eventually(lambda: home.health.snapshot()["status"] == status)
    assert await home.say("Dinner is ready.") == (200, "onnxruntime", "ours")


async def test_the_cpu_speaks_while_engines_are_built_and_a_deletion_ends_the_building(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card, gate = Card(), asyncio.Event()
    monkeypatch.setattr("service.model_rung.open_backend", card.open)

    async def built(task: str, *arguments: Any, tell: Any, hear: Any, **_: Any) -> None:
        tell(100, 500, "t2s_decode (2 of 5)")
        await gate.wait()
        for graph in arguments[arguments.index("--only") + 1 :]:
            hear({"graph": graph, "state": "built", "seconds": 1.0, "reason": ""})

    monkeypatch.setattr("service.engine_builds.run_child", built)
    install(tmp_path, tiny_model, "ours")
    enrol(tmp_path)
    home = await house(backend="tensorrt", cache_mb=0)
    assert await home.say("One.") == (200, "onnxruntime", "ours")
    assert home.health.snapshot()["status"] == "ok"
    job = (await home.ask("GET", "/v1/models/jobs"))[1]["jobs"][0]
    assert (job["source"], job["stage"], job["percent"]) == ("engines", "build", 20)
    assert job["message"] == "t2s_decode (2 of 5)"
    gate.set()
    await eventually(lambda: home.fleet.rungs("ours")[0]["state"] == "ready")
    assert await home.say("Two.") == (200, "tensorrt", "ours")

    gate.clear()
    assert (await home.ask("POST", "/v1/models/ours/build"))[0] == 202
    await eventually(lambda: home.fleet.rungs("ours")[0]["state"] == "building")
    assert await home.say("Three.") == (200, "onnxruntime", "ours")
    async with home.session.delete(f"{home.url}/v1/models/ours?last=true") as answer:
        assert answer.status == 204
    assert not (tmp_path / "models" / "ours").exists()
    assert (await home.say("Four."))[:2] == (200, "plain")


async def test_without_a_card_there_is_nothing_to_build(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "ours")
    home = await house()
    status, refused = await home.ask("POST", "/v1/models/ours/build")
    assert (status, refused["error"]["code"]) == (409, "no_card")
