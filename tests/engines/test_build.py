"""Engines: every graph builds for cards that are not here, and what is kept when."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pytest

from engines.__main__ import main
from engines.backends import CheckpointFiles
from engines.backends.tensorrt_module import TensorRT, find_tensorrt
from engines.build import Built, build, profile, speaking
from engines.engine_store import EngineStore
from engines.errors import ConvertError
from engines.export import convert
from engines.graphs import graphs
from engines.model_folder import PLAIN_STEP, ModelFolder

CARDS = ("sm86", "sm89", "sm120")
GRAPHS = (
    *("hubert", "quantize", "style", "condition", "t2s_prefill", "t2s_decode"),
    *("vits_encode", "vits_flow", "vits_generate"),
)


@pytest.fixture(scope="module")
def folder(tiny_model: Path) -> ModelFolder:
    return ModelFolder.read(tiny_model)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_every_graph_builds_ahead_of_time(
    folder: ModelFolder, tmp_path: Path, graph: str, precision: Any
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    store, seen = EngineStore(tmp_path), []
    watch = lambda name, done, total: seen.append((name, done <= total))  # noqa: E731
    made = list(build(folder, find_tensorrt(), precision, CARDS, store, (graph,), watch))
    assert [(each.graph, each.state, each.reason) for each in made] == [(graph, "built", "")]
    assert made[0].file is not None
    assert made[0].file.name.startswith(f"{graph}.{precision}.sm120-sm86-sm89.rtx1.")
    assert set(seen) == {(graph, True)}


@pytest.fixture(scope="module")
def pro(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A model with the graphs that the other has not: BERT and the speaker network."""
    models = tmp_path_factory.mktemp("models")
    for name, stored in (
        ("chinese-hubert-base", "hubert_pipe"),
        ("chinese-roberta-wwm-ext-large", "bert_tiny"),
        ("sv", "sv_tiny"),
    ):
        shutil.copytree(golden.checkpoint(stored).parent, models / name)
    files = CheckpointFiles(golden.checkpoint("s1_pipe"), golden.checkpoint("s2_v2Pro"), models)
    files.tokenizer.write_text("{}")
    convert(files, models / "pro")
    return ModelFolder.read(models / "pro")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", ["bert", "speaker", "style"])
def test_bert_and_the_speaker_network_build_too(
    pro: ModelFolder, tmp_path: Path, graph: str, precision: Any
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    store = EngineStore(tmp_path)
    made = list(build(pro, find_tensorrt(), precision, CARDS, store, (graph,)))
    assert [(each.graph, each.state, each.reason) for each in made] == [(graph, "built", "")]


@dataclass(frozen=True)
class Fake(TensorRT):
    """Stands in for TensorRT: an engine is the size of its graph and where it is for."""

    flavour: str = "tensorrt_rtx"
    module: Any = None
    version: str = "rtx1.0"
    fails: tuple[str, ...] = ()
    built: list[int] = field(default_factory=list)

    architectures = ("sm86",)

    strongly_typed = True

    @property
    def label(self) -> str:
        return self.version

    @property
    def ahead_of_time(self) -> bool:
        return True

    def compile(
        self,
        graph: bytes,
        profile: Any,
        precision: str,
        architectures: Sequence[str] = (),
        timings: bytes = b"",
        progress: Any = None,
    ) -> tuple[bytes, bytes]:
        progress(1, 1)
        self.built.append(len(timings))
        if set(self.fails) & set(profile):
            raise ConvertError("no tactic")
        return f"{precision} {architectures} {len(graph)}".encode(), b"times"


def states(made: list[Built]) -> list[str]:
    return [each.state for each in made]


def run(
    folder: ModelFolder, trt: Fake, store: EngineStore, cards: Sequence[str] = ("sm86",)
) -> list[str]:
    return states(list(build(folder, trt, "fp16", cards, store, ("vits_flow", "condition"))))


@pytest.fixture
def store(folder: ModelFolder, tmp_path: Path) -> EngineStore:
    made = EngineStore(tmp_path / "engines")
    assert run(folder, Fake(), made) == ["built", "built"]
    return made


def files(store: EngineStore) -> list[Path]:
    return sorted(store.folder.glob("*.engine"))


def test_what_is_there_is_kept(folder: ModelFolder, store: EngineStore) -> None:
    trt = Fake()
    assert run(folder, trt, store) == ["kept", "kept"]
    assert trt.built == []


def test_timings_of_the_last_build_are_used(folder: ModelFolder, tmp_path: Path) -> None:
    trt = Fake()
    run(folder, trt, EngineStore(tmp_path))
    assert trt.built == [0, len(b"times")]


@pytest.mark.parametrize("where", [0, 20, 45, -1])
def test_damage_is_built_anew(folder: ModelFolder, store: EngineStore, where: int) -> None:
    victim = files(store)[0]
    content = bytearray(victim.read_bytes())
    content[where] ^= 1
    victim.write_bytes(content)
    assert sorted(run(folder, Fake(), store)) == ["built", "kept"]
    assert run(folder, Fake(), store) == ["kept", "kept"]


@pytest.mark.parametrize("length", [0, 7, 41])
def test_half_a_file_is_built_anew(folder: ModelFolder, store: EngineStore, length: int) -> None:
    victim = files(store)[1]
    victim.write_bytes(victim.read_bytes()[:length])
    assert sorted(run(folder, Fake(), store)) == ["built", "kept"]


def test_another_card_is_another_file(folder: ModelFolder, store: EngineStore) -> None:
    assert run(folder, Fake(), store, ["sm89"]) == ["built", "built"]
    assert run(folder, Fake(), store) == ["kept", "kept"]
    assert len(files(store)) == 4


def test_a_file_for_many_cards_serves_each(folder: ModelFolder, store: EngineStore) -> None:
    assert run(folder, Fake(), store, CARDS) == ["built", "built"]
    assert run(folder, Fake(), store, ["sm120", "sm89"]) == ["kept", "kept"]


def test_a_file_renamed_for_another_card_is_not_trusted(
    folder: ModelFolder, store: EngineStore
) -> None:
    for path in files(store):
        path.rename(path.with_name(path.name.replace("sm86", "sm89")))
    assert run(folder, Fake(), store, ["sm89"]) == ["built", "built"]


def test_another_version_builds_anew_and_takes_the_place(
    folder: ModelFolder, store: EngineStore
) -> None:
    assert run(folder, Fake(version="rtx1.1"), store) == ["built", "built"]
    assert [".rtx1.1." in path.name for path in files(store)] == [True, True]
    # The full TensorRT beside it leaves them alone.
    assert run(folder, Fake(version="trt10.9"), store) == ["built", "built"]
    assert len(files(store)) == 4


def test_other_weights_are_other_engines(
    store: EngineStore, tiny_files: CheckpointFiles, golden: Any, tmp_path: Path
) -> None:
    from dataclasses import replace

    convert(replace(tiny_files, sovits=golden.checkpoint("s2_v1")), tmp_path / "other")
    assert run(ModelFolder.read(tmp_path / "other"), Fake(), store) == ["built", "built"]


def test_one_failure_leaves_the_others(folder: ModelFolder, tmp_path: Path) -> None:
    fake = Fake(fails=("flow_style", "voice_style"))
    made = list(build(folder, fake, "fp16", ["sm86"], EngineStore(tmp_path)))
    assert {each.graph for each in made if each.state == "failed"} == {"vits_flow", "vits_generate"}
    assert {each.reason for each in made if each.state == "failed"} == {"no tactic"}
    assert {each.graph for each in made if each.file} == {
        *("t2s_prefill", "t2s_decode", "vits_encode")
    }


def test_a_folder_that_cannot_be_written_is_named(folder: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvertError, match="--engines"):
        run(folder, Fake(), EngineStore(tmp_path / "file" / "engines"))


def test_nothing_unfinished_stays(
    folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConvertError, match="no space left"):
        run(folder, Fake(), EngineStore(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_matrices_for_the_cpu_are_refused(tiny_files: CheckpointFiles, tmp_path: Path) -> None:
    convert(tiny_files, tmp_path / "m", "int8")
    with pytest.raises(ConvertError, match="--precision fp32"):
        next(build(ModelFolder.read(tmp_path / "m"), Fake(), "fp16", ["sm86"]))


def test_int8_needs_a_calibration(folder: ModelFolder, tmp_path: Path) -> None:
    made = list(build(folder, Fake(), "int8", ["sm86"], EngineStore(tmp_path), ("vits_flow",)))
    assert states(made) == ["failed"]
    assert "calibrate" in made[0].reason


def test_only_what_speaks_gets_an_engine(folder: ModelFolder) -> None:
    assert set(speaking(folder)) == {
        *("t2s_prefill", "t2s_decode", "vits_encode", "vits_flow", "vits_generate")
    }


@pytest.mark.parametrize("graph", GRAPHS)
def test_profiles_are_ordered_and_hold_what_the_graph_reads(
    folder: ModelFolder, graph: str
) -> None:
    shapes = profile(graphs(folder.model)[graph])
    file = PLAIN_STEP if graph == "t2s_decode" else f"{graph}.onnx"
    model = onnx.load(folder.root / file, load_external_data=False)
    assert {value.name for value in model.graph.input} <= set(shapes)
    for smallest, usual, largest in shapes.values():
        assert all(a <= b <= c for a, b, c in zip(smallest, usual, largest, strict=True))


def test_the_command_says_what_it_did(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    command = ["build", str(tiny_model), "--engines", str(tmp_path), "--only", "condition"]
    assert main([*command, "--for", "sm_86", "8.9"]) == 0
    first = capsys.readouterr()
    assert "condition      built in" in first.out
    assert "condition (1 of 1)" in first.err
    assert main([*command, "--for", "sm_86"]) == 0
    assert "condition      was there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--only", "abacus"], "--only: the model has no graph 'abacus'"),
        (["--for", "rtx4090"], "--for: 'rtx4090' is not a GPU architecture"),
        (["--for", "sm_90"], "--for: sm90 is not among"),
    ],
)
def test_the_command_refuses_in_one_line(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    assert main(["build", str(tiny_model), *extra]) == 2
    assert message in capsys.readouterr().err


def test_the_command_counts_failures(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = Fake(fails=("flow_style", "voice_style"))
    monkeypatch.setattr("engines.commands.build.find_tensorrt", lambda: fake)
    shutil.copytree(tiny_model, tmp_path / "m")
    assert main(["build", str(tmp_path / "m"), "--for", "sm86"]) == 1
    out = capsys.readouterr().out
    assert "vits_flow      FAILED" in out
    assert "2 of 5 engines failed, the others are ready" in out
    assert len(list((tmp_path / "m" / "engines").glob("*.engine"))) == 3
