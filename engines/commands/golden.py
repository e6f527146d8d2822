"""`python -m engines golden DIR`: recompute recorded arrays, report the worst error of each."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from engines.golden import Check, Folder, check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, help="folder with recipe.py, manifests/ and *.npz")
    parser.add_argument(
        "--only",
        nargs="+",
        default=(),
        metavar="GROUP",
        help="check these groups, e.g. audio s2_v2",
    )
    parser.add_argument(
        "--cache", type=Path, help="keep the checkpoints that the recipe writes in this folder"
    )
    parser.add_argument("--failed", action="store_true", help="print only what did not pass")


def run(arguments: argparse.Namespace) -> int:
    """Check the folder and print a table; returns 1 if an array is wrong or unchecked."""
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
        folder = Folder(arguments.folder, arguments.cache or Path(scratch))
        checks = []
        for check in check_folder(folder, tuple(arguments.only)):
            checks.append(check)
            if not (check.passed and arguments.failed):
                print(_line(check), flush=True)
    failed = [check for check in checks if not check.passed]
    for group in dict.fromkeys(check.group for check in checks):
        print(_summary(group, [check for check in checks if check.group == group]))
    print(f"{len(checks)} arrays, {len(failed)} failed")
    return 1 if failed else 0


def _line(check: Check) -> str:
    name = f"{check.group}/{check.array}"
    error = "" if check.state == "input" else f"{check.worst:.2e}"
    return f"{name:<48} {check.state:<12} {error:>9}  {check.note}".rstrip()


def _summary(group: str, checks: list[Check]) -> str:
    counts = {state: sum(check.state == state for check in checks) for state in ("ok", "input")}
    bad = sum(not check.passed for check in checks)
    worst = max((check.worst for check in checks if check.state == "ok"), default=0.0)
    return (
        f"{group:<12} {counts['ok']:>3} ok, {counts['input']:>3} inputs, {bad:>3} failed, "
        f"worst error {worst:.2e}"
    )
