"""Fetches what converts official models, PyTorch and onnx, into the data folder: once, when asked.

A running service never needs them and the image does not bring them. `converter` in the data
folder comes last where Python looks for packages, so nothing there can stand in for what is in
the image; only the process that converts imports from it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import shutil
import subprocess
import sys
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
FOLDER = "converter"  # in the data folder; a .pth file in the image names it
TORCH = "torch==2.13.0"
# PyPI's own wheel for Linux on x86-64 wants gigabytes of CUDA; this index has builds for CPUs.
INDEX = "https://download.pytorch.org/whl/cpu"
LOCKED = Path(__file__).parents[1] / "requirements" / "convert.txt"
SPACE = 3_000_000_000  # bytes free that are needed: the packages, and their archives meanwhile


class ConverterError(Exception):
    """It could not be fetched; says why."""


def is_there() -> bool:
    """Whether official models can be converted."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "onnx"))


def fetch(data: Path, index: str = INDEX) -> Path:
    """Install PyTorch and onnx into the data folder; returns the folder.

    Raises:
        ConverterError: there is no room, or pip fails.
        OSError: the data folder cannot be written.
    """
    data.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(data).free) < SPACE:
        raise ConverterError(f"{data} has {free / 1e9:.1f} GB free; {SPACE / 1e9:.0f} are needed")
    target, part = data / FOLDER, data / f"{FOLDER}.part"
    scratch = data / f"{FOLDER}.tmp"
    try:
        for folder in (part, scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        for wanted in (
            ["--index-url", index, TORCH],
            ["--require-hashes", "-r", str(LOCKED)],
        ):
            _pip(["--no-deps", "--target", str(part), *wanted], scratch)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        for folder in (part, scratch):
            shutil.rmtree(folder, ignore_errors=True)
    return target


def _pip(arguments: list[str], scratch: Path) -> None:
    # A container's own /tmp is in memory and too small.
    command = ["env", f"TMPDIR={scratch}", sys.executable, "-m", "pip", "install"]
    command += ["--no-cache-dir", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ConverterError("; ".join(said) or f"pip ended with status {done.returncode}")


async def fetch_in_the_background(data: Path) -> None:
    """Fetch it unless it is there; what goes wrong is logged, and tried again at the next start."""
    if is_there():
        return
    _LOGGER.info("fetching PyTorch, to convert official models")
    command = (sys.executable, "-m", "service", "add-converter", "--data", str(data))
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        _, said = await child.communicate()
    except asyncio.CancelledError:
        child.terminate()
        await child.wait()
        raise
    if child.returncode:
        _LOGGER.warning("cannot convert official models: %s", said.decode(errors="replace").strip())
    else:
        _LOGGER.info("PyTorch is there; official models can be converted")
