"""Build the kernels ahead of time: machine code for every architecture from sm_75 to sm_120.

The files hold PTX of the newest architecture too, for GPUs to come. Building needs nvcc of CUDA
12.8 or later; a running service needs only the files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
COMPILED = SOURCES / "compiled"
"""Where a running service looks for the files."""
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
CLUSTER_ARCHITECTURES = tuple(number for number in ARCHITECTURES if number >= 90)
FILES = {"t2s_generic": ARCHITECTURES, "t2s_cluster": CLUSTER_ARCHITECTURES}
"""Source file → architectures; the result is called `<name>.fatbin`."""


def compile_kernels(
    folder: Path, architectures: Sequence[int] = ARCHITECTURES, nvcc: str = "nvcc"
) -> list[Path]:
    """Compile every source for the architectures that it supports.

    Raises:
        subprocess.CalledProcessError: nvcc refuses a source; its words are on stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, supported in FILES.items():
        wanted = [number for number in architectures if number in supported]
        if not wanted:
            continue
        output = folder / f"{name}.fatbin"
        targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in wanted]
        newest = max(wanted)
        targets.append(f"-gencode=arch=compute_{newest},code=compute_{newest}")
        source = str(SOURCES / f"{name}.cu")
        flags = ("-std=c++17", "-O3", "-fatbin")
        subprocess.run([nvcc, *flags, *targets, "-o", str(output), source], check=True)
        made.append(output)
    return made
