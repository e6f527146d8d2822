"""How a model draws what it says; the plain voice knows no such thing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from engines import SamplingParams

MAX_SEED = 2**32 - 1
TOP_K = (1, 100)
TEMPERATURE = (0.05, 2.0)
REPETITION_PENALTY = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Sampling:
    """A request's way of drawing; `engines.SamplingParams` says what each value does.

    What is None is left to the model that speaks, whose manifest may say how it sounds best.

    Attributes:
        seed: 0 where nobody chose one: the same sentence always sounds the same, so that it can be
            cached.
    """

    seed: int = 0
    top_k: int | None = None
    top_p: float | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None

    def params(self, speed: float, usual: SamplingParams) -> SamplingParams:
        """As the engine wants it.

        Args:
            speed: of the request.
            usual: of the model, for what the request leaves open.
        """
        named = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(usual, **named, speed=speed)


AS_USUAL = Sampling()
