"""Fetches what converts official models, PyTorch and onnx, into the data folder: once, when asked.

Asked for by the setting `converter`, the command `add-converter`, or installing official files.
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
import sysconfig
from pathlib import Path
from typing import Literal

from service.model_errors import ConverterFailed, ConverterMissing

_LOGGER = logging.getLogger(__name__)
FOLDER = "converter"  # in the data folder; a .pth file in the image names it
HOOK = Path(sysconfig.get_path("purelib")) / "converter.pth"
PACKAGES = ("torch", "onnx")
COMMAND = (sys.executable, "-m", "service", "add-converter")
TORCH = "torch==2.13.0"
# PyPI's own wheel for Linux on x86-64 wants gigabytes of CUDA; this index has builds for CPUs.
INDEX = "https://download.pytorch.org/whl/cpu"
LOCKED = Path(__file__).parents[1] / "requirements" / "convert.txt"
SPACE = 3_000_000_000  # bytes free that are needed: the packages, and their archives meanwhile


class ConverterError(Exception):
    """It could not be fetched; says why."""


Converting = Literal["here", "fetched first", "missing"]


class Converter:
    """What converts official models, for a service that runs.

    Args:
        data: the service's data folder.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._fetching = asyncio.Lock()

    @property
    def state(self) -> Converting:
        """Whether official files can be converted: now, once PyTorch is fetched, or not at all."""
        # What came into the folder while this process runs is found by the processes it starts.
        folder = self._data / FOLDER
        hooked = _hooked(folder)
        if is_there() or (hooked and all((folder / name).exists() for name in PACKAGES)):
            return "here"
        return "fetched first" if hooked else "missing"

    def check(self) -> None:
        """Refuse early what would fail late, after a long download.

        Raises:
            ConverterMissing: nothing here converts official files, and nothing can be fetched.
        """
        if self.state == "missing":
            raise ConverterMissing(
                "official files cannot be converted here: PyTorch is missing. `script/setup` "
                "brings it; or convert them on another machine and install the folder"
            )

    async def bring(self) -> None:
        """Fetch it unless it is there; cancelling ends the process that fetches.

        Raises:
            ConverterFailed: with the reason.
            ConverterMissing: see `check`.
        """
        async with self._fetching:
            self.check()
            if self.state == "here":
                return
            _LOGGER.info("fetching PyTorch, to convert official models")
            child = await asyncio.create_subprocess_exec(
                *(*COMMAND, "--data", str(self._data)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                _, said = await child.communicate()
            except asyncio.CancelledError:
                child.terminate()
                await child.wait()
                raise
            if child.returncode:
                lines = said.decode(errors="replace").strip().splitlines()
                raise ConverterFailed(f"PyTorch {lines[-1] if lines else 'cannot be fetched'}")
        _LOGGER.info("PyTorch is there; official models can be converted")

    async def bring_in_the_background(self) -> None:
        """As `bring`; what goes wrong is logged, and tried again at the next start."""
        try:
            await self.bring()
        except (ConverterMissing, ConverterFailed) as error:
            _LOGGER.warning("%s", error)


def is_there() -> bool:
    """Whether official models can be converted."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


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


def _hooked(folder: Path) -> bool:
    """Whether Python, as it is installed here, looks for packages in the folder."""
    try:
        return HOOK.read_text(encoding="utf-8").strip() == str(folder.absolute())
    except OSError:
        return False
