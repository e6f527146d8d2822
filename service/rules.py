"""Rules of fields that say in JSON Schema what they let through, for the published description."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

import voluptuous as vol

_Rule = TypeVar("_Rule", bound=Callable[..., Any])
_DESCRIBED: dict[Callable[..., Any], dict[str, Any]] = {}


def stands_for(**facts: object) -> Callable[[_Rule], _Rule]:
    """Say what a rule lets through; JSON Schema can say less than a rule checks, never more."""

    def remember(rule: _Rule) -> _Rule:
        _DESCRIBED[rule] = dict(facts)
        return rule

    return remember


def description_of(rule: Callable[..., Any]) -> dict[str, Any]:
    """What a rule said of itself.

    Raises:
        KeyError: it said nothing.
    """
    return dict(_DESCRIBED[rule])


@stands_for(type="number")
def number(value: object) -> float:
    """A rule: a number; JSON's true and false, which Python counts as such, are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise vol.Invalid("must be a number")
    try:
        made = float(value)
    except OverflowError as error:
        raise vol.Invalid("is far too large") from error
    if not isfinite(made):
        raise vol.Invalid("must be a number")
    return made


@stands_for(type="integer")
def whole(value: object) -> int:
    """A rule: a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise vol.Invalid("must be a whole number")
    return value
