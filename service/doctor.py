"""`python -m service doctor`: looks at machine, house and service, and says what to do."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Sequence

from service import house_checks, machine_checks, neighbour_checks
from service.config import ConfigError, Settings, load_settings
from service.findings import Finding

CHECKS: tuple[Callable[[Settings], list[Finding]], ...] = (
    machine_checks.programs,
    machine_checks.disk,
    machine_checks.graphics,
    machine_checks.tensorrt,
    house_checks.ports,
    house_checks.model,
    house_checks.voices,
    neighbour_checks.home_assistant,
    neighbour_checks.mqtt,
    neighbour_checks.remote,
    neighbour_checks.transcripts,
)


def main(arguments: Sequence[str]) -> int:
    """Print the report; returns 1 where something fails, 2 where settings are wrong, else 0.

    Args:
        arguments: settings as for the service, and `--json` for machines.
    """
    logging.disable(logging.CRITICAL)
    as_json = "--json" in arguments
    try:
        settings = load_settings([each for each in arguments if each != "--json"])
    except ConfigError as error:
        findings = [Finding("settings", "fail", str(error), "correct this setting")]
        status = 2
    else:
        findings = diagnose(settings)
        status = int(any(each.state == "fail" for each in findings))
    sys.stdout.write(to_json(findings) if as_json else to_table(findings))
    return status


def diagnose(settings: Settings) -> list[Finding]:
    """All findings; a check that breaks is a finding too."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check(settings)
        except Exception as error:
            message = f"could not be checked: {type(error).__name__}: {error}"
            findings.append(Finding(check.__name__, "warn", message))
    return findings


def to_json(findings: Sequence[Finding]) -> str:
    """The report for machines."""
    failed = any(each.state == "fail" for each in findings)
    report = {"ok": not failed, "findings": [dataclasses.asdict(each) for each in findings]}
    return json.dumps(report, indent=2) + "\n"


def to_table(findings: Sequence[Finding]) -> str:
    """The report for people: a line for each finding, what to do below it, and a sum."""
    width = max(len(each.check) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{each.state:<4}  {each.check:<{width}}  {each.message}")
        if each.advice:
            lines.append(f"{'':<4}  {'':<{width}}  → {each.advice}")
    counts = {state: sum(each.state == state for each in findings) for state in ("warn", "fail")}
    if counts["fail"]:
        sum_ = f"{counts['fail']} of {len(findings)} checks failed."
    elif counts["warn"]:
        sum_ = "Nothing fails; what could be better is marked with warn."
    else:
        sum_ = "All is well."
    return "\n".join([*lines, "", sum_, ""])
