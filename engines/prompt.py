"""A reference recording and its text become a voice: everything that depends on them alone, once.

The original computes the style vector anew for every sentence and the speaker embedding for every
batch; here a `VoicePrompt` holds them ready, and what the networks derive from them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.audio import Recording, limit_peak, resample_sinc, resample_soxr
from engines.backends import Backend
from engines.bert_features import BertFeatures
from engines.errors import PromptError
from engines.sampling import Floats
from engines.spectra import filterbank, magnitudes
from engines.text.types import PhonemizedText

Tokens = npt.NDArray[np.int64]

SHORTEST, LONGEST = 3.0, 10.0
"""Seconds of the reference whose tokens are continued; the networks were trained on these."""
SHORTEST_MORE, LONGEST_MORE = 0.5, 60.0
"""Seconds of further references, which only lend their style."""
SILENCE = 1e-3
"""Peak below which a recording is taken for silence: -60 dB of full scale."""
CLIPPED_SHARE = 0.02
"""Share of samples at the very peak beyond which a recording is taken for clipped."""
HUBERT_RATE = 16_000
HUBERT_SILENCE = 9_600
"""Zeros after the reference: the original's 0.3 s at the wrong rate. The tokens depend on them."""
CLOSING = "，。？！,.?!~:：—…"

_FORMAT = 1
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class VoicePrompt:
    """What a sentence needs to know of a voice.

    Attributes:
        semantic_tokens: int64 [P], the reference's tokens; empty if its text is not known.
        phone_ids: int64 [n], phones of the reference's text.
        bert: float32 [1024, n], their features.
        style: float32 [1, C, 1], mean over the references.
        text_style: what the text encoder takes from it.
        flow_style: what the flow takes from it.
        voice_style: what the generator takes from it.
        model: identity of the model it was made with; no other can use it.
    """

    semantic_tokens: Tokens
    phone_ids: Tokens
    bert: Floats
    style: Floats
    text_style: Floats
    flow_style: Floats
    voice_style: Floats
    model: str

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        arrays: dict[str, Any] = {
            field.name: np.asarray(getattr(self, field.name)) for field in fields(self)
        }
        with path.open("wb") as stream:
            np.savez(stream, **arrays, format=np.array(_FORMAT))

    @classmethod
    def load(cls, path: Path) -> VoicePrompt:
        """Read an .npz file.

        Raises:
            PromptError: the file is not a voice prompt, or was written by another version.
        """
        try:
            arrays = _read(path)
            model = str(arrays.pop("model"))
            number = int(arrays.pop("format"))
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise PromptError(f"{path.name} is not a voice prompt: {error}") from error
        if number != _FORMAT:
            raise PromptError(f"{path.name} has format {number}, this version reads {_FORMAT}")
        _check_arrays(path.name, arrays)
        return cls(**arrays, model=model)


class Enroller:
    """Makes voice prompts for a model; loads the networks for it once.

    Args:
        backend: runs the graphs of the stage "enrol".
        bert: features of the reference's text.
    """

    def __init__(self, backend: Backend, bert: BertFeatures) -> None:
        self._model = backend.model
        self._bert = bert
        self._hubert = backend.load("hubert")
        self._quantize = backend.load("quantize")
        self._style = backend.load("style")
        self._condition = backend.load("condition")
        self._speaker = backend.load("speaker") if self._model.speaker_embedding else None

    def enrol(self, references: Sequence[Recording], text: Sequence[PhonemizedText]) -> VoicePrompt:
        """Make a voice.

        Args:
            references: the first (3 to 10 s) is continued; all lend their style, averaged.
            text: what the first one says; empty if that is not known, then only the style is used.

        Raises:
            PromptError: a recording cannot serve; says which and why.
        """
        if not references:
            raise PromptError("references: at least one recording is needed")
        for number, reference in enumerate(references):
            limits = (SHORTEST_MORE, LONGEST_MORE) if number else (SHORTEST, LONGEST)
            check_recording(reference, f"reference {number + 1}", *limits)
        style = np.mean([self._style_of(reference) for reference in references], axis=0)
        derived = self._condition.run({"style": style})
        features = [self._bert(sentence) for sentence in text]
        return VoicePrompt(
            semantic_tokens=self.tokens(references[0]) if text else np.zeros(0, np.int64),
            phone_ids=np.array([i for sentence in text for i in sentence.phone_ids], np.int64),
            bert=np.concatenate(
                [np.zeros((self._model.bert_width, 0), np.float32), *features], axis=1
            ),
            style=style,
            text_style=derived["text_style"],
            flow_style=derived["flow_style"],
            voice_style=derived["voice_style"],
            model=self._model.identity,
        )

    def tokens(self, reference: Recording) -> Tokens:
        """Semantic tokens of a recording and the zeros after it, int64 [25 a second]."""
        wave = resample_soxr(reference.samples, reference.sample_rate, HUBERT_RATE)
        padded = np.concatenate([wave, np.zeros(HUBERT_SILENCE, np.float32)])
        features = self._hubert.run({"wave": padded[None]})["features"]
        return np.asarray(self._quantize.run({"features": features})["codes"][0])

    def _style_of(self, reference: Recording) -> Floats:
        """Style vector of one recording, float32 [1, C, 1]."""
        rate = self._model.sample_rate
        wave = limit_peak(resample_sinc(reference.samples, reference.sample_rate, rate))
        feeds = {"spectrum": magnitudes(wave)[None]}
        if self._speaker is not None:
            fbank = filterbank(resample_sinc(wave, rate, HUBERT_RATE))
            feeds["embedding"] = self._speaker.run({"fbank": fbank[None]})["embedding"]
        return np.asarray(self._style.run(feeds)["style"])


def closed_text(text: str, language: str) -> str:
    """A reference's text with an end: a full stop is added where no punctuation closes it."""
    text = " ".join(text.split())
    if not text or text[-1] in CLOSING:
        return text
    return text + ("." if language == "en" else "。")


def check_recording(recording: Recording, name: str, shortest: float, longest: float) -> None:
    """Refuse a recording that cannot serve as a reference.

    Args:
        recording: as it was made.
        name: how messages call it.
        shortest: seconds.
        longest: seconds.

    Raises:
        PromptError: it is too short or long, silent, clipped, or not finite.
    """
    if not shortest <= recording.seconds <= longest:
        raise PromptError(
            f"{name}: must be from {shortest:g} to {longest:g} s long, "
            f"not {recording.seconds:.2f} s"
        )
    if not np.isfinite(recording.samples).all():
        raise PromptError(f"{name}: some samples are not numbers (NaN or infinite)")
    level = np.abs(recording.samples)
    peak = float(level.max())
    if peak < SILENCE:
        raise PromptError(f"{name}: is silent, its peak is {peak:.6f} and must be {SILENCE:g}")
    clipped = float(np.mean(level >= 0.999 * peak))
    if clipped > CLIPPED_SHARE:
        raise PromptError(
            f"{name}: is clipped, {clipped:.0%} of the samples are at its peak "
            f"(at most {CLIPPED_SHARE:.0%})"
        )


def _read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_BYTES:
        raise ValueError(f"it holds {size} bytes, at most {_MAX_BYTES} are read")
    with np.load(path, allow_pickle=False) as archive:
        wanted = {field.name for field in fields(VoicePrompt)} | {"format"}
        if set(archive.files) != wanted:
            raise ValueError(f"it holds {sorted(archive.files)}, not {sorted(wanted)}")
        return {name: archive[name] for name in archive.files}


def _check_arrays(name: str, arrays: Mapping[str, Any]) -> None:
    expected = {"semantic_tokens": ("int64", 1), "phone_ids": ("int64", 1), "bert": ("float32", 2)}
    for field, array in arrays.items():
        dtype, dimensions = expected.get(field, ("float32", 3))
        if array.dtype != dtype or array.ndim != dimensions:
            raise PromptError(f"{name}: {field} must be {dtype} with {dimensions} axes")
        if dtype == "float32" and not np.isfinite(array).all():
            raise PromptError(f"{name}: {field} is not finite")
    if arrays["bert"].shape[1] != len(arrays["phone_ids"]):
        raise PromptError(f"{name}: bert must have one column for every phone")
