"""The store of models: what is on the disk, who speaks, and what a restart finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service import durable
from service.installed_model import ABOUT, about_file
from service.model_errors import (
    ModelFixed,
    ModelInUse,
    ModelNotFound,
    ModelUnusable,
    NothingToRollBack,
)
from service.models import ModelStore
from service.voice import StorageFailed
from tests.service.model_house import golden, install, tiny_files, tiny_model  # noqa: F401


@pytest.fixture
def two(tmp_path: Path, tiny_model: Path) -> ModelStore:  # noqa: F811
    install(tmp_path, tiny_model, "old", "new")
    store = ModelStore(tmp_path / "models")
    store.set_traffic({"old": 1})
    return store


def prepared(tmp_path: Path, model: Path, name: str = "A model") -> Path:
    work = tmp_path / "models" / ".work-1" / "model"
    shutil.copytree(model, work)
    (work / ABOUT).write_bytes(about_file(name, "2026-01-01T00:00:00+00:00", "upload"))
    return work


def test_the_first_model_speaks_and_a_second_does_not(tmp_path: Path, tiny_model: Path) -> None:  # noqa: F811
    store = ModelStore(tmp_path / "models")
    told: list[int] = []
    store.changed = lambda: told.append(len(store.all()))
    first = store.install(prepared(tmp_path, tiny_model), "Grandma's Voice!")
    second = store.install(prepared(tmp_path, tiny_model), "Grandma's Voice!")
    assert (first.id, second.id) == ("grandma-s-voice", "grandma-s-voice-2")
    assert (first.name, first.source, first.facts.version) == ("A model", "upload", "v2")
    assert store.traffic.weights == {first.id: 1.0}
    assert told == [1, 2]
    again = ModelStore(tmp_path / "models")
    assert [model.id for model in again.all()] == [first.id, second.id]
    assert again.traffic == store.traffic


@pytest.mark.parametrize(
    ("name", "model_id"),
    [("traffic", "traffic-2"), ("tts-1", "model-tts-1-2"), ("妈妈", "model"), ("../x", "x")],
)
def test_ids_are_safe_and_nobody_elses(
    tmp_path: Path,
    tiny_model: Path,  # noqa: F811
    name: str,
    model_id: str,
) -> None:
    store = ModelStore(tmp_path / "models")
    assert store.install(prepared(tmp_path, tiny_model), name).id == model_id


def test_what_is_no_whole_model_is_not_installed(tmp_path: Path, tiny_model: Path) -> None:  # noqa: F811
    store = ModelStore(tmp_path / "models")
    folder = prepared(tmp_path, tiny_model)
    (folder / "weights.bin").unlink()
    with pytest.raises(ModelUnusable, match=r"weights\.bin"):
        store.install(folder, "Broken")
    assert store.all() == []


def test_folders_that_are_no_models_are_left_alone(two: ModelStore) -> None:
    (two.folder / "notes").mkdir()
    (two.folder / "Upper").mkdir()
    (two.folder / "link").symlink_to(two.folder / "old")
    two.refresh()
    assert {model.id for model in two.all()} == {"old", "new"}
    assert (two.folder / "notes").is_dir()


def test_promote_and_roll_back_are_kept(two: ModelStore) -> None:
    two.set_traffic({"old": 90, "new": 10}, "request")
    two.promote("new")
    again = ModelStore(two.folder)
    assert again.traffic.weights == {"new": 1.0}
    assert again.rollback("new").weights == {"old": 90.0, "new": 10.0}
    assert ModelStore(two.folder).traffic.weights == {"old": 90.0, "new": 10.0}
    assert again.promote("new").history == again.promote("new").history, "twice is once"
    again.rollback("new")
    again.rollback("old")
    assert again.traffic.weights == {"old": 1.0}
    with pytest.raises(NothingToRollBack):
        again.rollback("old")
    with pytest.raises(NothingToRollBack):
        again.rollback("new")
    with pytest.raises(ModelNotFound, match="installed: new, old"):
        again.promote("other")


def test_a_model_with_traffic_is_not_deleted(two: ModelStore) -> None:
    with pytest.raises(ModelInUse, match="100% of the traffic"):
        two.delete("old")
    two.promote("new")
    two.delete("old")
    assert [path.name for path in two.folder.iterdir() if path.is_dir()] == ["new"]
    assert two.traffic.back() is None, "there is no way back to what is gone"
    two.set_traffic({})
    assert ModelStore(two.folder).traffic.weights == {}, "nobody speaks where nobody shall"
    two.delete("new")
    assert two.all() == []


def test_a_disk_that_takes_nothing_changes_nothing(
    two: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "_write", full)
    with pytest.raises(StorageFailed, match="No space left on device"):
        two.promote("new")
    assert two.traffic.weights == {"old": 1.0}
    monkeypatch.undo()
    assert ModelStore(two.folder).traffic.weights == {"old": 1.0}


def test_the_setting_may_be_a_folder_or_an_id(
    two: ModelStore,
    tmp_path: Path,
    tiny_model: Path,  # noqa: F811
) -> None:
    store = ModelStore(two.folder, str(tiny_model))
    assert store.traffic.weights == {"tiny": 1.0}
    assert store.find("tiny").source == "setting"
    with pytest.raises(ModelFixed):
        store.delete("tiny")
    store.promote("new")
    assert ModelStore(two.folder, str(tiny_model)).traffic.weights == {"new": 1.0}
    changed = ModelStore(two.folder, "old")
    assert changed.traffic.weights == {"old": 1.0}, "a changed setting goes before the page"
    with pytest.raises(ModelFixed):
        changed.delete("old")
    assert {model.id for model in ModelStore(two.folder).all()} == {"old", "new"}
    nowhere = ModelStore(two.folder, str(tmp_path / "nowhere"))
    assert nowhere.traffic.weights == {"old": 1.0}
    assert "has no model.json" in (nowhere.failure or "")


def test_another_process_sees_and_leaves_the_traffic(
    two: ModelStore,
    tmp_path: Path,
    tiny_model: Path,  # noqa: F811
) -> None:
    other = ModelStore(two.folder, None)
    other.install(prepared(tmp_path, tiny_model), "Third")
    assert two.get("third") is None
    two.refresh()
    assert two.find("third").name == "A model"
    shutil.rmtree(two.folder / "old")
    two.refresh()
    assert (two.get("old"), two.traffic.weights) == (None, {})


def test_a_deletion_that_was_cut_short_is_ended(two: ModelStore) -> None:
    durable.hide_folder(two.folder / "new")
    again = ModelStore(two.folder)
    assert [model.id for model in again.all()] == ["old"]
    assert not list(two.folder.glob(".gone-*"))


def test_broken_traffic_is_nobodys(two: ModelStore) -> None:
    (two.folder / "traffic.json").write_text("{")
    assert ModelStore(two.folder).traffic.weights == {}
