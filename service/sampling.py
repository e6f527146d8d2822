"""How a model draws what it says; the plain voice knows no such thing."""

from __future__ import annotations

from dataclasses import dataclass

from engines import SamplingParams

MAX_SEED = 2**32 - 1
TOP_K = (1, 100)
TEMPERATURE = (0.05, 2.0)
REPETITION_PENALTY = (1.0, 2.0)
_ENGINE = SamplingParams()


@dataclass(frozen=True, slots=True)
class Sampling:
    """A request's way of drawing; `engines.SamplingParams` says what each value does.

    Attributes:
        seed: 0 where nobody chose one: the same sentence always sounds the same, so that it can be
            cached.
    """

    seed: int = 0
    top_k: int = _ENGINE.top_k
    top_p: float = _ENGINE.top_p
    temperature: float = _ENGINE.temperature
    repetition_penalty: float = _ENGINE.repetition_penalty

    def params(self, speed: float) -> SamplingParams:
        """As the engine wants it."""
        return SamplingParams(
            top_k=self.top_k,
            top_p=self.top_p,
            temperature=self.temperature,
            repetition_penalty=self.repetition_penalty,
            speed=speed,
            seed=self.seed,
        )


AS_USUAL = Sampling()
