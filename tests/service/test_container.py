from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from service import container


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be asked of the system, in order."""
    made: list[tuple[Any, ...]] = []
    for name in ("setgroups", "setresgid", "setresuid", "execv"):
        monkeypatch.setattr(os, name, lambda *given, name=name: made.append((name, *given)))
    monkeypatch.setattr(os, "chown", lambda path, *given, **_: made.append(("chown", path, *given)))
    return made


def test_root_becomes_an_ordinary_user_before_anything_else_runs(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(container, "DATA", tmp_path)
    monkeypatch.setattr("ctypes.CDLL", lambda _: type("Libc", (), {"prctl": lambda *_: 0})())
    (tmp_path / "options.json").touch()
    container.main()
    assert [call[0] for call in calls] == [
        "chown",
        "chown",
        "setgroups",
        "setresgid",
        "setresuid",
        "execv",
    ]
    assert {call[1] for call in calls[:2]} == {tmp_path, tmp_path / "options.json"}
    assert calls[2:5] == [
        ("setgroups", []),
        ("setresgid", 1000, 1000, 1000),
        ("setresuid", 1000, 1000, 1000),
    ]


def test_anybody_else_stays_what_they_are(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr("sys.argv", ["container", "doctor", "--json"])
    container.main()
    ((name, program, arguments),) = calls
    assert name == "execv"
    assert arguments == [program, "-m", "service", "doctor", "--json"]


def test_links_are_not_followed_out_of_the_data(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        os,
        "chown",
        lambda path, user, group, follow_symlinks=True: seen.append((path, follow_symlinks)),
    )
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "voices").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").touch()
    (data / "voices" / "mum").symlink_to(outside)
    container.hand_over(data)
    assert {path for path, _ in seen} == {data, data / "voices", data / "voices" / "mum"}
    assert not any(followed for _, followed in seen)


def test_what_is_ours_already_is_left_alone(
    calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = tmp_path.stat()
    monkeypatch.setattr(container, "USER", found.st_uid)
    container.hand_over(tmp_path)
    assert calls == []


def test_a_root_without_rights_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "setgroups", refuse)
    monkeypatch.setattr(container, "DATA", tmp_path)
    assert container.main() == 77
    assert "--user 1000:1000" in capsys.readouterr().err
