"""Which model speaks: each model's share of the speech, the same choice again for the same key."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import voluptuous as vol

from service.durable import write_file
from service.rules import stands_for

STICKY = ("voice", "request")
MOST_HISTORY = 20
MOST_WEIGHT = 1_000_000
FILE = "traffic.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who speaks how much.

    Attributes:
        weights: model id → weight above 0; 90 and 10 are nine tenths and one tenth.
        sticky: `voice`: a voice always gets the same model; `request`: each request is dealt anew.
        history: earlier weights, the latest last; what a roll-back returns to.
        setting: the setting `model` when this was written; another one now goes before this.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    sticky: str = "voice"
    history: tuple[Mapping[str, float], ...] = ()
    setting: str = ""

    def pick(self, key: str, among: Collection[str]) -> str | None:
        """The model for a key; the same as long as the shares stay, and mostly when they change.

        Weighted rendezvous hashing: each model draws a number from the key and its own name, and
        the best one wins with a probability of its weight. Taking a model out moves only what it
        spoke.

        Args:
            key: a voice's or a request's id.
            among: models that can speak now; those without weight are never picked.
        """
        able = {model: weight for model, weight in self.weights.items() if model in among}
        return max(able, key=lambda model: able[model] / _draw(key, model), default=None)

    def share(self, model: str) -> float:
        """A model's share of the speech, 0 to 1."""
        return self.weights.get(model, 0.0) / (sum(self.weights.values()) or 1.0)

    def to(self, weights: Mapping[str, float], sticky: str | None = None) -> Traffic:
        """Other weights; those of now become the latest of the history."""
        history = (*self.history, self.weights)[-MOST_HISTORY:] if self.weights else self.history
        return replace(self, weights=dict(weights), sticky=sticky or self.sticky, history=history)

    def back(self) -> Traffic | None:
        """The weights before these, None where there were none."""
        if not self.history:
            return None
        return replace(self, weights=self.history[-1], history=self.history[:-1])

    def without(self, model: str) -> Traffic:
        """The same, in which a model has never been."""
        left = [_left(weights, model) for weights in self.history]
        history = tuple(weights for weights in left if weights)
        return replace(self, weights=_left(self.weights, model), history=history)


def read_traffic(folder: Path) -> Traffic:
    """What is kept in a folder; nobody's traffic where there is nothing.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what `write_traffic` wrote.
    """
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Traffic()
    try:
        fields = _SCHEMA(json.loads(text))
    except (vol.Invalid, ValueError, RecursionError) as error:
        raise ValueError(f"{FILE}: {error}") from error
    del fields["format"]
    return Traffic(**{**fields, "history": tuple(fields["history"])})


def write_traffic(folder: Path, traffic: Traffic) -> None:
    """Keep it; a power cut leaves the old or the new.

    Raises:
        OSError: it could not be written; the old one stands.
    """
    document: dict[str, Any] = {
        "format": _FORMAT,
        "weights": dict(traffic.weights),
        "sticky": traffic.sticky,
        "history": [dict(weights) for weights in traffic.history],
        "setting": traffic.setting,
    }
    write_file(folder / FILE, json.dumps(document, indent=1).encode())


@stands_for(type="number", minimum=0, maximum=MOST_WEIGHT)
def weight(value: object) -> float:
    """A rule: a number from 0 to a million."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise vol.Invalid("weights must be numbers")
    if not 0 <= value <= MOST_WEIGHT:
        raise vol.Invalid(f"weights must be from 0 to {MOST_WEIGHT}")
    return float(value)


_WEIGHTS = {str: weight}
_SCHEMA = vol.Schema(
    {
        vol.Required("format"): _FORMAT,
        vol.Required("weights"): _WEIGHTS,
        vol.Required("sticky"): vol.In(STICKY),
        vol.Required("history"): [_WEIGHTS],
        vol.Required("setting"): str,
    }
)


def _draw(key: str, model: str) -> float:
    digest = hashlib.sha256(f"{key}\0{model}".encode()).digest()
    return -math.log((int.from_bytes(digest[:8], "big") + 0.5) / 2**64)


def _left(weights: Mapping[str, float], model: str) -> dict[str, float]:
    return {each: share for each, share in weights.items() if each != model}
