"""Choosing the next semantic token: the original's order of operations and reproducible noise.

The order is GPT-SoVITS's own (end token held back, repetition penalty, top-p, temperature, top-k,
softmax, arg-max of probability over exponential noise): top-p sees the logits *before* the
temperature, and the penalised logits also decide whether the sentence has ended.

The noise is a function of (seed, step) alone, by the counter-based generator Philox 4x32-10
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). No state is carried from
one draw to the next, so a stream draws the same whatever shares its batch, and a kernel on a
device can compute the very same numbers in any order.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError
from engines.graphs import NOISE_SCALE

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
Wide = npt.NDArray[np.uint64]

MINIMUM_TOKENS = 11
"""Steps during which the end token cannot be drawn."""

TOKEN_NOISE = 0
PRIOR_NOISE = 1
"""What a draw is for; the last word of the generator's counter."""


class SamplingError(EngineError, ValueError):
    """A sampling parameter is outside its range."""

    code = "bad_parameter"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a sentence is spoken; names and defaults are the original's.

    Attributes:
        top_k: how many of the likeliest tokens may be drawn, at least 1.
        top_p: share of probability that may be drawn, from 0 (the likeliest token) to 1 (all).
        temperature: divides the logits, at least 0; 0 means the likeliest token.
        repetition_penalty: weakens tokens already heard, above 0; 1 does nothing.
        speed: 2 is twice as fast; from 0.25 to 4.
        seed: same seed, same audio, in [0, 2**64); -1 draws a new one for every request.

    Raises:
        SamplingError: a value is outside its range.
    """

    top_k: int = 15
    top_p: float = 1.0
    temperature: float = 1.0
    repetition_penalty: float = 1.35
    speed: float = 1.0
    seed: int = -1

    def __post_init__(self) -> None:
        checks = (
            ("top_k", self.top_k, self.top_k >= 1, "at least 1"),
            ("top_p", self.top_p, 0 <= self.top_p <= 1, "from 0 to 1"),
            ("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 or more"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                0 < self.repetition_penalty < math.inf,
                "above 0",
            ),
            ("speed", self.speed, 0.25 <= self.speed <= 4, "from 0.25 to 4"),
            ("seed", self.seed, -1 <= self.seed < 2**64, "-1, or from 0 to 2**64-1"),
        )
        for field, value, good, limit in checks:
            if not good:
                raise SamplingError(f"{field} must be {limit}, not {value}")

    def with_seed(self) -> SamplingParams:
        """The same parameters with a definite seed (drawn now if it was -1)."""
        return self if self.seed >= 0 else replace(self, seed=secrets.randbits(32))


def penalise(logits: Floats, previous: npt.NDArray[np.integer], penalty: float) -> Floats:
    """Weaken every token that occurs in `previous`, once, however often it occurs.

    Args:
        logits: [V].
        previous: tokens of the prompt and everything drawn so far; those >= V are ignored.
        penalty: positive logits are divided by it, negative ones multiplied.

    Returns:
        A new array [V].
    """
    heard = np.unique(previous[previous < len(logits)])
    penalised = logits.copy()
    scores = logits[heard]
    factor = np.float32(penalty)
    penalised[heard] = np.where(scores < 0, scores * factor, scores / factor)
    return penalised


def probabilities(penalised: Floats, params: SamplingParams) -> Floats:
    """Distribution [V] to draw from: top-p, then temperature, then top-k, then softmax."""
    scores = penalised
    if params.top_p < 1:
        order = np.argsort(-scores, kind="stable")
        outside = np.cumsum(_softmax(scores[order]), dtype=np.float32) > np.float32(params.top_p)
        outside[0] = False
        scores = scores.copy()
        scores[order[outside]] = -np.inf
    scores = scores / np.float32(max(params.temperature, 1e-5))
    kept = min(params.top_k, len(scores))
    threshold = np.partition(scores, -kept)[-kept]
    return _softmax(np.where(scores < threshold, np.float32(-np.inf), scores))


def sample(
    logits: Floats,
    previous: npt.NDArray[np.integer],
    step: int,
    params: SamplingParams,
    noise: Floats,
) -> tuple[int, bool]:
    """Draw one token.

    Args:
        logits: [V], the end token is V-1.
        previous: prompt codes and tokens drawn so far.
        step: how many tokens of this sentence were drawn before.
        params: how to draw.
        noise: at least V exponential(1) numbers; all ones give the likeliest token.

    Returns:
        The token, and whether the sentence ends here (the token itself is then not part of it).
    """
    end = len(logits) - 1
    allowed = logits[:end] if step < MINIMUM_TOKENS else logits
    penalised = penalise(allowed, previous, params.repetition_penalty)
    weights = probabilities(penalised, params)
    token = int(np.argmax(weights / noise[: len(weights)]))
    return token, end in (token, int(np.argmax(penalised)))


def exponential_noise(seed: int, step: int, size: int) -> Floats:
    """`size` exponential(1) numbers for one step of one sentence, float32 [size]."""
    blocks = -(-size // 4)
    counters = np.zeros((blocks, 4), np.uint32)
    counters[:, 0] = np.arange(blocks)
    counters[:, 1] = step
    counters[:, 3] = TOKEN_NOISE
    uniform = _open_interval(philox(seed, counters).reshape(-1)[:size])
    return (-np.log(uniform)).astype(np.float32)


def normal_noise(seed: int, channels: int, start: int, stop: int) -> Floats:
    """Standard normal numbers of latent frames `start` to `stop`: float32 [1, channels, frames].

    A frame's numbers depend on its position in the sentence, not on the piece it is decoded in.
    """
    frames = max(0, stop - start)
    blocks = -(-channels // 4)
    nothing = np.zeros((1, 1), np.uint64)
    words = _rounds(
        seed,
        np.arange(blocks, dtype=np.uint64)[:, None],
        np.arange(start, start + frames, dtype=np.uint64),
        nothing,
        nothing + np.uint64(PRIOR_NOISE),
    )
    # In float32, which a kernel has too, and which is more than twice as fast here.
    uniform = [_open_interval(word).astype(np.float32) for word in words]
    normal = np.empty((blocks, 4, frames), np.float32)
    for place in (0, 1):
        radius = np.sqrt(np.float32(-2) * np.log(uniform[place]))
        angle = np.float32(2 * np.pi) * uniform[place + 2]
        np.multiply(radius, np.cos(angle), out=normal[:, place])
        np.multiply(radius, np.sin(angle), out=normal[:, place + 2])
    return normal.reshape(1, blocks * 4, frames)[:, :channels]


def drawn_latent(mean: Floats, log_deviation: Floats, noise: Floats) -> Floats:
    """A sample of the prior, all [1, C, frames]."""
    return np.asarray(mean + noise * np.exp(log_deviation) * np.float32(NOISE_SCALE), np.float32)


def philox(seed: int, counters: Words) -> Words:
    """Philox 4x32-10: four random words for every counter.

    Args:
        seed: the 64-bit key.
        counters: uint32 [n, 4].

    Returns:
        uint32 [n, 4].
    """
    words = np.ascontiguousarray(counters.T).astype(np.uint64)
    return np.stack(_rounds(seed, *words), axis=1).astype(np.uint32)


def _rounds(seed: int, *counter: Wide) -> tuple[Wide, Wide, Wide, Wide]:
    """The four words of many counters, each word an array; they need only broadcast."""
    zero, one, two, three = counter
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    low, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        first = zero * np.uint64(0xD2511F53)
        second = two * np.uint64(0xCD9E8D57)
        zero, one = second >> shift ^ one ^ np.uint64(key[0]), second & low
        two, three = first >> shift ^ three ^ np.uint64(key[1]), first & low
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return zero, one, two, three


def _open_interval(words: Words | Wide) -> npt.NDArray[np.float64]:
    # 23 bits and a half: strictly between 0 and 1, and exact also in a kernel's float32.
    return ((words >> words.dtype.type(9)).astype(np.float64) + 0.5) * 2.0**-23


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum(), np.float32)
