from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from service import converter
from service.__main__ import main
from service.converter import Converter, ConverterError, fetch
from tests.service.model_house import bare

Usage = namedtuple("Usage", "total used free")


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a package of one empty module; returns its file's hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that pip takes for an index, with a tiny torch and a tiny onnx."""
    folder = tmp_path / "index"
    for name in ("torch", "onnx"):
        (folder / name).mkdir(parents=True)
    wheel(folder / "torch", "torch", "2.13.0")
    digest = wheel(folder / "onnx", "onnx", "1.0")
    for name in ("torch", "onnx"):
        (file,) = (folder / name).iterdir()
        (folder / name / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')
    locked = tmp_path / "convert.txt"
    locked.write_text(f"onnx==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setattr(converter, "LOCKED", locked)
    # For the locked list, which names no index of its own.
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return folder.as_uri()


def test_what_converts_is_fetched_into_the_data_folder(tmp_path: Path, index: str) -> None:
    data = tmp_path / "data"
    assert fetch(data, index) == data / "converter"
    assert {"torch.py", "onnx.py"} <= {path.name for path in (data / "converter").iterdir()}
    assert [path.name for path in data.iterdir()] == ["converter"]


def test_fetching_again_takes_the_old_ones_place(tmp_path: Path, index: str) -> None:
    (tmp_path / "converter").mkdir()
    (tmp_path / "converter" / "old.py").touch()
    fetch(tmp_path, index)
    assert not (tmp_path / "converter" / "old.py").exists()


def test_a_package_that_is_not_the_locked_one_is_refused(tmp_path: Path, index: str) -> None:
    converter.LOCKED.write_text(f"onnx==1.0 --hash=sha256:{'0' * 64}\n")
    data = tmp_path / "data"
    with pytest.raises(ConverterError, match="DO NOT MATCH THE HASHES"):
        fetch(data, index)
    assert list(data.iterdir()) == []


def test_without_room_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9e9, 8e9, 1e9))
    with pytest.raises(ConverterError, match=r"1\.0 GB free; 3 are needed"):
        fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("problem", "status", "said"),
    [
        (None, 0, "can be converted now"),
        (ConverterError("no net"), 1, "cannot be fetched: no net"),
        (PermissionError(13, "Permission denied"), 1, "Permission denied"),
    ],
)
def test_the_command_says_what_came_of_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: Exception | None,
    status: int,
    said: str,
) -> None:
    outcomes = [problem] if problem else []

    def pretend(data: Path) -> Path:
        for outcome in outcomes:
            raise outcome
        return data

    monkeypatch.setattr(converter, "fetch", pretend)
    monkeypatch.setattr("sys.argv", ["service", "add-converter", "--data", str(tmp_path)])
    assert main() == status
    assert said in "".join(capsys.readouterr())


async def test_what_is_there_is_not_fetched_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "is_there", lambda: True)
    monkeypatch.setattr("asyncio.create_subprocess_exec", None)
    await Converter(tmp_path).bring_in_the_background()


async def test_a_fetch_that_fails_is_logged_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / "a file"
    taken.touch()
    bare(monkeypatch, taken)
    await Converter(taken).bring_in_the_background()
    assert "PyTorch cannot be fetched: " in caplog.text
