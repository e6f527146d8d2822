"""Pronunciations of words that no dictionary has: the letter-to-sound network of g2p-en.

A GRU (Cho et al. 2014, in PyTorch's gate order r, z, n) reads the letters, a second one writes
phones. The file holds the embeddings already multiplied by the input weights, so one step costs one
product of 256 by 768.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_LONGEST = 20
_UNKNOWN_LETTER, _END_OF_WORD, _LETTER_A = 1, 2, 3
_START, _STOP = 2, 3


def predict(word: str) -> list[str]:
    """Guess the phones (at most 20) of a lower-case word."""
    weights, names = _network()
    hidden = np.zeros(weights["enc_b"].size // 3, np.float32)
    for letter in [*map(_letter, word), _END_OF_WORD]:
        hidden = _step(weights["enc_in"][letter], hidden, weights["enc_w"], weights["enc_b"])
    phones: list[str] = []
    phone = _START
    while len(phones) < _LONGEST:
        hidden = _step(weights["dec_in"][phone], hidden, weights["dec_w"], weights["dec_b"])
        phone = int((hidden @ weights["out_w"] + weights["out_b"]).argmax())
        if phone == _STOP:
            break
        phones.append(names[phone])
    return phones


def _letter(char: str) -> int:
    return ord(char) - ord("a") + _LETTER_A if "a" <= char <= "z" else _UNKNOWN_LETTER


def _step(entering: Array, hidden: Array, weight: Array, bias: Array) -> Array:
    size = hidden.size
    recurrent = hidden @ weight + bias
    one = np.float32(1)
    gates = one / (one + np.exp(-(entering[: 2 * size] + recurrent[: 2 * size])))
    reset, update = gates[:size], gates[size:]
    new = np.tanh(entering[2 * size :] + reset * recurrent[2 * size :])
    result: Array = (one - update) * new + update * hidden
    return result


@cache
def _network() -> tuple[dict[str, Array], list[str]]:
    """Return the weights by name and the phones in the order of the output."""
    with (
        resources.files("engines.text.data").joinpath("en_gru.npz").open("rb") as file,
        np.load(file) as archive,
    ):
        weights = {name: archive[name] for name in archive.files}
    return weights, weights.pop("phones").tolist()
