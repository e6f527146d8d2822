"""The doctor's look at the machine: programs, disk, graphics card, driver, TensorRT."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engines.backends.tensorrt_module import FLAVOURS
from service import __version__, converter
from service.config import Settings
from service.findings import Finding

DRIVER = 580  # the first that runs CUDA 13
LITTLE_DISK = 2_000_000_000  # bytes
NO_DISK = 200_000_000
NVIDIA_VENDOR = "0x10de"
PCI = Path("/sys/bus/pci/devices")
_SECONDS = 60  # until a program that hangs is given up


def programs(settings: Settings) -> list[Finding]:
    """This service, Python, and what stands beside it."""
    version = f"{__version__} on Python {platform.python_version()}, {platform.machine()}"
    found = [Finding("service", "ok", version)]
    if shutil.which("espeak-ng"):
        found.append(Finding("plain voice", "ok", "English, and what espeak-ng speaks"))
    else:
        advice = "install espeak-ng (Debian and Ubuntu: apt-get install espeak-ng)"
        found.append(Finding("plain voice", "warn", "English only", advice))
    if converter.is_there():
        found.append(Finding("converting", "ok", "official models can be converted here"))
    else:
        message = "not here (needed only to convert official models)"
        found.append(Finding("converting", "ok", message))
    return found


def disk(settings: Settings) -> list[Finding]:
    """The data folder: whether it can be written, and how much room it has."""
    folder = settings.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = f"let user {os.getuid()} write it, or name another folder with --data"
        return [Finding("disk", "fail", f"{folder}: {error.strerror}", advice)]
    free = shutil.disk_usage(folder).free
    message = f"{folder}: {free / 1e9:.1f} GB free"
    if free < NO_DISK:
        return [Finding("disk", "fail", message, "make room; nothing can be kept")]
    if free < LITTLE_DISK:
        return [Finding("disk", "warn", message, "make room; a model takes about 1 GB")]
    return [Finding("disk", "ok", message)]


def graphics(settings: Settings) -> list[Finding]:
    """NVIDIA cards, and whether their driver can be used from here."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return _no_driver()
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if asked.returncode:
        said = (asked.stdout or asked.stderr).strip().splitlines()
        advice = "restart the machine; if that does not help, install the driver again"
        return [Finding("gpu", "fail", said[0] if said else "nvidia-smi fails", advice)]
    rows = [line.split(", ") for line in asked.stdout.strip().splitlines()]
    found = [Finding("gpu", "ok", f"{name}, {memory}") for name, memory, _ in rows]
    driver = rows[0][2]
    if int(driver.split(".")[0]) < DRIVER:
        advice = f"install driver {DRIVER} or newer; CUDA 13 needs it"
        return [*found, Finding("driver", "fail", driver, advice)]
    status = _initialise_cuda()
    if status:
        advice = "start the container with NVIDIA's container toolkit (addon/compose.gpu.yaml)"
        return [*found, Finding("driver", "fail", f"{driver}, but CUDA {status}", advice)]
    return [*found, Finding("driver", "ok", driver)]


def tensorrt(settings: Settings) -> list[Finding]:
    """Which TensorRT is installed, and whether it can be loaded."""
    installed = [name for name in FLAVOURS if importlib.util.find_spec(name) is not None]
    if not installed:
        if shutil.which("nvidia-smi") is None:
            return [Finding("tensorrt", "ok", "not here (only for NVIDIA cards)")]
        advice = "use the `gpu` image; this installation uses the processor only"
        return [Finding("tensorrt", "warn", "not installed", advice)]
    return [_load(name) for name in installed]


def _load(name: str) -> Finding:
    # In a process of its own: a library that does not fit may end the one that loads it.
    command = [sys.executable, "-c", f"import {name}; print({name}.__version__)"]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if loaded.returncode == 0:
        return Finding(name, "ok", loaded.stdout.strip())
    said = loaded.stderr.strip().splitlines()
    reason = said[-1] if said else f"status {loaded.returncode}"
    advice = "check gpu and driver above first; then pull the image again"
    return Finding(name, "fail", f"cannot be loaded: {reason}", advice)


def _no_driver() -> list[Finding]:
    vendors = (path.read_text().strip() for path in PCI.glob("*/vendor"))
    if NVIDIA_VENDOR not in vendors:
        return [Finding("gpu", "ok", "no NVIDIA card; the processor speaks")]
    advice = (
        "in a container: start it with addon/compose.gpu.yaml; "
        f"else install NVIDIA's driver, {DRIVER} or newer"
    )
    return [Finding("gpu", "warn", "an NVIDIA card, but no driver here", advice)]


def _initialise_cuda() -> str:
    """Why CUDA cannot be used; empty where it can."""
    try:
        status = ctypes.CDLL("libcuda.so.1").cuInit(0)
    except OSError:
        return "has no library here"
    return f"answers with error {status}" if status else ""
