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
from collections.abc import Mapping
from pathlib import Path

from engines.backends.kernels.compiling import ARCHITECTURES, COMPILED, FILES
from engines.backends.tensorrt_module import FLAVOURS, architecture_of
from service import __version__, converter
from service.config import Settings
from service.findings import Finding

DRIVER = 580  # the first that runs CUDA 13
LITTLE_DISK = 2_000_000_000  # bytes
NO_DISK = 200_000_000
NVIDIA_VENDOR = "0x10de"
PCI = Path("/sys/bus/pci/devices")
NAMES = {
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt for rtx",
    "tensorrt_rtx_bindings": "tensorrt for rtx",
}
_TURING = "sm75"  # for which TensorRT for RTX has no float32 products of matrices
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
        found.append(_no_converter(settings))
    return found


def _no_converter(settings: Settings) -> Finding:
    if converter.Converter(settings.data).state == "missing":
        message = "not here (`script/setup` brings it; models converted elsewhere need none)"
    else:
        message = "not here (fetched with the first official model that is installed in the page)"
    return Finding("converting", "ok", message)


def disk(settings: Settings) -> list[Finding]:
    """The data folder: whether it can be written, and how much room it has."""
    folder = settings.data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        user = os.getuid()
        advice = f"give it to user {user} (chown -R {user} FOLDER), or name another with --data"
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
        return _no_driver(settings)
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
    """Which TensorRT is installed, whether it can be loaded, and whether it runs these cards."""
    installed = [name for name in FLAVOURS if importlib.util.find_spec(name) is not None]
    cards = _cards()
    if not installed:
        if not cards and shutil.which("nvidia-smi") is None:
            return [Finding("tensorrt", "ok", "not here (only for NVIDIA cards)")]
        advice = "use the `gpu` image; until then the processor speaks"
        return [Finding("tensorrt", "warn", "not installed", advice)]
    found = [_load(name, cards) for name in installed]
    return [*found, *([_kernels(cards)] if cards else [])]


# Prints the version, and what is built for ahead of time: nothing where every card is built for.
_ASK = """
import {name} as it
names = dir(getattr(it, "ComputeCapability", None))
print(it.__version__, *(name for name in names if name.startswith("SM")))
"""


def _load(name: str, cards: Mapping[str, str]) -> Finding:
    # In a process of its own: a library that does not fit may end the one that loads it.
    command = [sys.executable, "-c", _ASK.format(name=name)]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if loaded.returncode:
        said = loaded.stderr.strip().splitlines()
        reason = said[-1] if said else f"status {loaded.returncode}"
        advice = "check gpu and driver above first; then build the image again"
        return Finding(NAMES[name], "fail", f"cannot be loaded: {reason}", advice)
    version, *runs = loaded.stdout.lower().split()
    left_out = [each for each, architecture in cards.items() if runs and architecture not in runs]
    if left_out:
        message = f"{version}, which does not run on {', '.join(left_out)}"
        advice = "the processor speaks; build the `gpu` image with TensorRT 11 (docs/container.md)"
        return Finding(NAMES[name], "warn", message, advice)
    partly = [each for each, architecture in cards.items() if runs and architecture == _TURING]
    if partly:
        message = f"{version}, which builds only some of the engines for {', '.join(partly)}"
        advice = "the processor stands in; build the `gpu` image with TensorRT 11"
        return Finding(NAMES[name], "warn", message, advice)
    return Finding(NAMES[name], "ok", version)


def _kernels(cards: Mapping[str, str]) -> Finding:
    missing = [f"{name}.fatbin" for name in FILES if not (COMPILED / f"{name}.fatbin").is_file()]
    if missing:
        advice = f"use the `gpu` image, or: python -m engines.backends.kernels {COMPILED}"
        return Finding("kernels", "warn", f"not compiled: {', '.join(missing)}", advice)
    oldest = min(ARCHITECTURES)
    old = [name for name, sm in cards.items() if int(sm.removeprefix("sm")) < oldest]
    if old:
        message = f"{', '.join(old)} is older than sm_{oldest}"
        return Finding("kernels", "fail", message, "the processor speaks; a newer card is needed")
    return Finding("kernels", "ok", f"compiled for sm_{oldest} to sm_{max(ARCHITECTURES)}")


def _cards() -> dict[str, str]:
    """Each card's name and architecture; none where the driver does not tell."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if asked.returncode:
        return {}
    rows = (line.rsplit(", ", 1) for line in asked.stdout.strip().splitlines())
    return {name: architecture_of(capability) for name, capability in rows}


def _no_driver(settings: Settings) -> list[Finding]:
    vendors = (path.read_text().strip() for path in PCI.glob("*/vendor"))
    if NVIDIA_VENDOR not in vendors:
        message = "no NVIDIA card; the processor speaks"
        if settings.backend == "tensorrt":
            return [Finding("gpu", "warn", message, "set backend to auto, or run it beside a card")]
        if any(importlib.util.find_spec(name) is not None for name in FLAVOURS):
            advice = "hand a card over (addon/compose.gpu.yaml), or take the `cpu` image: smaller"
            return [Finding("gpu", "warn", f"{message}, though TensorRT is here", advice)]
        return [Finding("gpu", "ok", message)]
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
