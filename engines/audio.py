"""Audio as the engines hand it on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of speech.

    Attributes:
        samples: mono float32 in [-1, 1], shape (n,).
        sample_rate: in Hz.
        sentence: index of the sentence that it belongs to.
        last: true for the last piece of that sentence.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    sentence: int = 0
    last: bool = False

    def pcm16(self) -> bytes:
        """Little-endian 16-bit samples; what lies outside [-1, 1] is clipped."""
        clipped = np.clip(self.samples, -1.0, 1.0)
        return (clipped * 32767.0).round().astype("<i2").tobytes()
