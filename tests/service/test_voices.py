from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.audio import Recording
from service.errors import VoiceNotFound
from service.voice import (
    Consent,
    ConsentMissing,
    NameTaken,
    StorageFailed,
    Style,
    TooManyVoices,
    VoiceFacts,
    VoiceFixed,
)
from service.voice_folder import FACTS, REFERENCE
from service.voices import VoiceStore
from service.wyoming_server import describe

RATE = 16_000
TONE = Recording(np.sin(np.arange(4 * RATE, dtype=np.float32) / 9) / 2, RATE)
OTHER_TONE = Recording(np.sin(np.arange(5 * RATE, dtype=np.float32) / 5) / 3, RATE)
CONSENT = Consent("Anna", "2026-11-23T17:00:00+00:00", "I agree.")
MUM = VoiceFacts("Mum", "en", "Dinner is ready.", "2026-11-23T17:00:00+00:00", CONSENT)
HAPPY = Style("happy", "en", "How wonderful!", "2026-11-23T17:00:00+00:00", CONSENT)
WRITING = ("mkdir", "open", "write", "fsync", "rename", "replace", "unlink", "rmdir")


class Home:
    """A folder of voices that can be opened again, as after a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.forgotten: list[str] = []

    def open(self) -> VoiceStore:
        return VoiceStore(self.folder, ("en", "de"), "hibari 1", "plain", self.forgotten.append)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "voices")


def state(store: VoiceStore) -> dict[str, Any]:
    """Everything that a caller can learn about the voices of people."""
    voices = [voice for voice in store.all() if voice.facts is not None]
    return {
        voice.id: (voice, [store.reference(voice.id, style) for style in (None, *voice.styles)])
        for voice in voices
    }


def test_a_voice_survives_a_restart_as_it_was(home: Home) -> None:
    made = home.open().enrol(replace(MUM, name="Mum 妈妈", model="v2"), TONE)
    kept = home.open().get(made.id)
    assert kept == made
    assert (kept.id, kept.name, kept.languages) == ("mum", "Mum 妈妈", ("en", "de"))
    assert kept.facts == replace(MUM, name="Mum 妈妈", model="v2")
    assert kept.seconds == pytest.approx(4.0)
    assert kept.rung != "plain"
    files = {path.name for path in (home.folder / "mum").iterdir()}
    assert files == {FACTS, REFERENCE}


def test_a_reference_is_kept_as_it_was_heard(home: Home) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    pcm = np.frombuffer(store.reference("mum")[44:], "<i2") / 32768
    assert np.abs(pcm - TONE.samples).max() <= 1 / 32768


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Grandma Ève", "grandma-eve"),
        ("奶奶", "voice"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "voice"),
        ("plain", "plain-2"),
        ("Check", "check-2"),
        ("CON:\\x", "con-x"),
        ("a" * 60, "a" * 40),
    ],
)
def test_the_server_makes_the_id(home: Home, name: str, expected: str) -> None:
    assert home.open().enrol(replace(MUM, name=name), TONE).id == expected
    assert {path.name for path in home.folder.iterdir()} == {".lock", expected}


def test_ids_differ_where_names_look_alike(home: Home) -> None:
    store = home.open()
    ids = [store.enrol(replace(MUM, name=name), TONE).id for name in ("Mum", "Mum!", "Müm?")]
    assert ids == ["mum", "mum-2", "mum-3"]


@pytest.mark.parametrize("name", ["Mum", "MUM", "Ｍum", "Plain Voice"])
def test_a_name_belongs_to_one_voice(home: Home, name: str) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    dad = store.enrol(replace(MUM, name="Dad"), TONE)
    with pytest.raises(NameTaken):
        store.enrol(replace(MUM, name=name), TONE)
    with pytest.raises(NameTaken):
        store.change(dad.id, replace(MUM, name=name))
    assert [voice.id for voice in store.all()] == ["plain", "dad", "mum"]


def test_there_is_an_end_to_voices(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.voices.MAX_VOICES", 1)
    store = home.open()
    store.enrol(MUM, TONE)
    with pytest.raises(TooManyVoices):
        store.enrol(replace(MUM, name="Dad"), TONE)


def test_a_new_name_does_not_change_the_sound(home: Home) -> None:
    store = home.open()
    before = store.enrol(MUM, TONE)
    assert store.keep_prompt(before, "model", b"prompt")
    after = store.change("mum", replace(MUM, name="Mother"))
    assert (after.id, after.name, after.revision) == ("mum", "Mother", before.revision)
    assert store.prompt(after, "model") is not None
    assert home.open().get("mum") == after


@pytest.mark.parametrize(
    "facts", [replace(MUM, transcript="Lunch is ready."), replace(MUM, language="zh")]
)
def test_other_words_change_the_sound_and_drop_the_prompts(home: Home, facts: VoiceFacts) -> None:
    store = home.open()
    before = store.enrol(MUM, TONE)
    store.keep_prompt(before, "model", b"prompt")
    after = store.change("mum", facts)
    assert after.revision != before.revision
    assert store.prompt(after, "model") is None
    assert store.reference("mum") == home.open().reference("mum")
    assert sorted(path.name for path in (home.folder / "mum").iterdir()) == [REFERENCE, FACTS]


def test_a_new_recording_changes_the_sound_and_drops_the_prompts(home: Home) -> None:
    store = home.open()
    before = store.enrol(MUM, TONE)
    store.keep_prompt(before, "model", b"prompt")
    after = store.rerecord("mum", MUM, OTHER_TONE)
    assert after.revision != before.revision
    assert after.seconds == pytest.approx(5.0)
    assert store.prompt(after, "model") is None
    assert home.open().get("mum") == after


def test_a_prompt_is_computed_once_and_survives_a_restart(home: Home) -> None:
    store = home.open()
    voice = store.enrol(MUM, TONE)
    assert store.prompt(voice, "../model: v2") is None
    assert store.keep_prompt(voice, "../model: v2", b"prompt")
    again = home.open()
    path = again.prompt(again.get("mum"), "../model: v2")
    assert path is not None
    assert path.parent == home.folder / "mum"
    assert path.read_bytes() == b"prompt"
    assert again.prompt(voice, "../model: v3") is None


def test_a_prompt_of_what_the_voice_was_is_not_kept(home: Home) -> None:
    store = home.open()
    before = store.enrol(MUM, TONE)
    after = store.rerecord("mum", MUM, OTHER_TONE)
    assert not store.keep_prompt(before, "model", b"old")
    assert store.prompt(after, "model") is None
    store.delete("mum")
    assert not store.keep_prompt(after, "model", b"gone")
    assert not (home.folder / "mum").exists()


def test_delete_is_for_good(home: Home) -> None:
    store = home.open()
    voice = store.enrol(MUM, TONE)
    store.keep_prompt(voice, "model", b"prompt")
    store.delete("mum")
    assert home.forgotten == ["mum"]
    assert [path.name for path in home.folder.iterdir()] == [".lock"]
    assert not store.is_current(voice)
    with pytest.raises(VoiceNotFound):
        store.get("mum")


def test_the_log_tells_what_becomes_of_a_voice_and_not_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = Home(tmp_path / "voices").open()
    store.enrol(MUM, TONE)
    store.change("mum", replace(MUM, name="Mother"))
    store.rerecord("mum", MUM, OTHER_TONE)
    store.delete("mum")
    assert [record.getMessage() for record in caplog.records] == [
        "voice mum: enrolled",
        "voice mum: its facts are changed",
        "voice mum: recorded anew",
        "voice mum: deleted, with all that it has said",
    ]


@pytest.mark.parametrize("voice_id", ["plain", "nobody", "..", "../voices/mum", ".lock", ""])
def test_only_voices_of_people_can_be_changed(home: Home, voice_id: str) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    before = state(store)
    actions: list[Callable[[], object]] = [
        lambda: store.delete(voice_id),
        lambda: store.change(voice_id, MUM),
        lambda: store.rerecord(voice_id, MUM, TONE),
        lambda: store.reference(voice_id),
    ]
    for act in actions:
        with pytest.raises((VoiceFixed, VoiceNotFound)):
            act()
    assert state(home.open()) == before


def test_without_consent_a_voice_is_listed_but_not_spoken(home: Home) -> None:
    store = home.open()
    store.enrol(replace(MUM, consent=None), TONE)
    assert [(voice.id, voice.usable) for voice in store.all()] == [("plain", True), ("mum", False)]
    assert [voice.id for voice in store.usable()] == ["plain"]
    assert [voice.name for voice in describe(store).tts[0].voices] == ["plain"]
    with pytest.raises(ConsentMissing):
        store.get("mum")
    store.change("mum", MUM)
    assert home.open().get("mum").usable


def test_what_another_process_does_is_seen(home: Home) -> None:
    here, there = home.open(), home.open()
    there.enrol(MUM, TONE)
    here.refresh()
    assert here.get("mum").name == "Mum"
    there.delete("mum")
    here.refresh()
    assert [voice.id for voice in here.all()] == ["plain"]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (FACTS, None, "No such file"),
        (REFERENCE, None, "No such file"),
        (FACTS, b"", "expected a dictionary"),
        (FACTS, b"\xff\xfe\x00", "voice.yaml"),
        (FACTS, b"[" * 1500, "nested"),
        (FACTS, b"x" * 70_000, "larger"),
        (FACTS, b"!!python/object/apply:os.system [id]", "voice.yaml"),
        (FACTS, b"format: 2", ""),
        (FACTS, b"format: 1\nname: Mum\nlanguage: xx\ntranscript: a\ncreated: b", "language"),
        (REFERENCE, b"", ""),
        (REFERENCE, b"RIFF", ""),
        (REFERENCE, b"RIFF\xff\xff\xff\xffWAVE" * 9, ""),
        (REFERENCE, b"\0" * (17 << 20), "larger"),
    ],
)
def test_a_broken_folder_is_left_out_and_left_alone(
    home: Home,
    caplog: pytest.LogCaptureFixture,
    file: str,
    content: bytes | None,
    reason: str,
) -> None:
    home.open().enrol(MUM, TONE)
    home.open().enrol(replace(MUM, name="Dad"), TONE)
    (home.folder / "mum" / file).unlink()
    _ = content is not None and (home.folder / "mum" / file).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        store = home.open()
        store.refresh()
    assert [voice.id for voice in store.all()] == ["plain", "dad"]
    assert ["voices/mum is left out: " in message for message in caplog.messages] == [True]
    assert reason in caplog.text
    assert store.enrol(replace(MUM, name="Mum"), TONE).id == "mum-2"
    assert (home.folder / "mum").is_dir()


def test_a_torn_reference_is_left_out(home: Home) -> None:
    home.open().enrol(MUM, TONE)
    path = home.folder / "mum" / REFERENCE
    path.write_bytes(path.read_bytes()[:-1000])
    assert [voice.id for voice in home.open().all()] == ["plain"]


def test_foreign_things_in_the_folder_do_no_harm(home: Home, tmp_path: Path) -> None:
    home.open().enrol(MUM, TONE)
    (home.folder / "My recordings").mkdir()
    (home.folder / "notes.txt").write_text("hello")
    (home.folder / "link").symlink_to(home.folder / "mum")
    (home.folder / ".trash").mkdir()
    assert [voice.id for voice in home.open().all()] == ["plain", "mum"]
    assert (home.folder / "My recordings").is_dir()


def test_a_disk_that_cannot_be_written_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "voices").write_text("a file where the folder should be")
    store = Home(tmp_path / "voices").open()
    assert store.get(None).id == "plain"
    with pytest.raises(StorageFailed):
        store.enrol(MUM, TONE)


class PowerCut(BaseException):
    """Nothing runs after it, so nothing catches it."""


class Disk:
    """Lets so many writing calls through; then a write stops half way and `failure` is raised.

    Args:
        allowed: calls that succeed.
        failure: what the next one raises.
        recovers: whether calls after that succeed again (a full disk) or not (no power).
    """

    def __init__(self, allowed: int, failure: BaseException, *, recovers: bool) -> None:
        self.calls = 0
        self._allowed = allowed
        self._failure = failure
        self._recovers = recovers

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in WRITING:
            monkeypatch.setattr(os, name, self._guarded(name, getattr(os, name)))

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            late = self.calls > self._allowed
            if self.calls == self._allowed + 1 and name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if late and not (self._recovers and self.calls > self._allowed + 1):
                raise self._failure
            return real(*arguments, **named)

        return call


CHANGES: dict[str, Callable[[VoiceStore], object]] = {
    "enrol": lambda store: store.enrol(replace(MUM, name="Dad"), OTHER_TONE),
    "rename": lambda store: store.change("mum", replace(MUM, name="Mother")),
    "other words": lambda store: store.change("mum", replace(MUM, transcript="Lunch.")),
    "re-record": lambda store: store.rerecord("mum", MUM, OTHER_TONE),
    "style": lambda store: store.add_style("mum", replace(HAPPY, name="sad"), TONE),
    "less style": lambda store: store.delete_style("mum", "happy"),
    "delete": lambda store: store.delete("mum"),
    "prompt": lambda store: store.keep_prompt(store.get("mum"), "other model", b"prompt"),
}


def prepared(folder: Path) -> Home:
    home = Home(folder)
    store = home.open()
    store.enrol(MUM, TONE)
    store.keep_prompt(store.add_style("mum", HAPPY, OTHER_TONE), "model", b"prompt")
    return home


def leftovers(home: Home) -> set[str]:
    paths = [path.relative_to(home.folder) for path in home.folder.rglob("*")]
    return {str(path) for path in paths if any(part.startswith(".") for part in path.parts)}


@pytest.mark.parametrize("change", CHANGES)
def test_a_power_cut_leaves_the_old_or_the_new_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    home = prepared(tmp_path / "whole")
    old = state(home.open())
    counting = Disk(10**9, PowerCut(), recovers=False)
    with monkeypatch.context() as patch:
        counting.attach(patch)
        CHANGES[change](home.open())
    new = state(home.open())
    seen = []
    for allowed in range(counting.calls):
        home = prepared(tmp_path / f"cut-{allowed}")
        with monkeypatch.context() as patch:
            Disk(allowed, PowerCut(), recovers=False).attach(patch)
            with pytest.raises(PowerCut):
                CHANGES[change](home.open())
        after = state(home.open())
        assert after in (old, new)
        assert leftovers(home) == {".lock"}
        assert {path.name for path in home.folder.iterdir()} == {".lock", *after}
        assert "mum" in after or "mum" in home.forgotten
        seen.append(after == new)
    assert seen == sorted(seen)  # once new, always new
    assert counting.calls >= 4


@pytest.mark.parametrize("change", CHANGES)
def test_a_disk_that_fails_once_leaves_what_is_listed_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    home = prepared(tmp_path / "whole")
    old = state(home.open())
    counting = Disk(10**9, OSError(28, "No space left on device"), recovers=True)
    store = home.open()
    with monkeypatch.context() as patch:
        counting.attach(patch)
        CHANGES[change](store)
    new = state(store)
    for allowed in range(counting.calls):
        home = prepared(tmp_path / f"full-{allowed}")
        store = home.open()
        with monkeypatch.context() as patch:
            Disk(allowed, OSError(28, "No space left on device"), recovers=True).attach(patch)
            with contextlib.suppress(StorageFailed):
                CHANGES[change](store)
        assert state(store) in (old, new)
        assert state(store) == state(home.open())
        assert leftovers(home) == {".lock"}
