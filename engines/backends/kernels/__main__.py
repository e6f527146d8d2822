"""Compile the kernels: `python -m engines.backends.kernels FOLDER [--arch 86 89]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.backends.kernels.compiling import ARCHITECTURES, compile_kernels

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, help="where t2s_*.fatbin go")
parser.add_argument("--nvcc", default="nvcc", help="the compiler")
parser.add_argument("--arch", type=int, nargs="*", default=ARCHITECTURES, help="such as 86 89")
arguments = parser.parse_args()
for path in compile_kernels(arguments.folder, arguments.arch, arguments.nvcc):
    print(f"{path}: {path.stat().st_size} bytes")
