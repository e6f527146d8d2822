"""What a check of the doctor found, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        check: what was looked at.
        state: `warn` works but not as well as it could, `fail` does not work.
        message: what is there.
        advice: what to do next; empty where nothing is to be done.
    """

    check: str
    state: State
    message: str
    advice: str = ""
