"""BERT features for the phones of a sentence: what each Chinese character means where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.backends import Backend, Session
from engines.errors import CheckpointError, TextError
from engines.sampling import Floats
from engines.text.types import PhonemizedText, Run

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_CHARACTERS = 510
"""BERT reads 512 pieces, two of which are its own."""


class BertFeatures:
    """Features of phonemized sentences; loads BERT when the first Chinese sentence comes.

    Args:
        backend: runs the graph `bert`.
        tokenizer: the `tokenizer.json` that belongs to it.
    """

    def __init__(self, backend: Backend, tokenizer: Path) -> None:
        self._backend = backend
        self._tokenizer_file = tokenizer
        self._loaded: tuple[Tokenizer, Session] | None = None

    def __call__(self, sentence: PhonemizedText) -> Floats:
        """Features of every phone, float32 [1024, n]; zeros where the language is not Chinese.

        Raises:
            TextError: a stretch is too long, or its phones do not match its characters.
            CheckpointError: the sentence is Chinese and BERT's files are missing or broken.
        """
        width = self._backend.model.bert_width
        parts = [np.zeros((width, 0), np.float32)]
        for run in sentence.runs:
            if run.language == "zh":
                parts.append(self._chinese(run))
            else:
                parts.append(np.zeros((width, len(run.phones)), np.float32))
        features = np.concatenate(parts, axis=1)
        if features.shape[1] != len(sentence.phone_ids):
            raise TextError(
                f"runs: {features.shape[1]} phones, but phone_ids has {len(sentence.phone_ids)}"
            )
        return features

    def _chinese(self, run: Run) -> Floats:
        counts = run.word_to_phone
        if counts is None or len(counts) != len(run.text) or sum(counts) != len(run.phones):
            raise TextError(f"word_to_phone must name the phones of each character of {run.text!r}")
        if len(run.text) > MAX_CHARACTERS:
            raise TextError(
                f"text: a stretch of {len(run.text)} characters, at most {MAX_CHARACTERS} are read"
            )
        return np.repeat(self._characters(run.text), counts, axis=0).T

    def _characters(self, text: str) -> Floats:
        """Features of each character, [characters, 1024]."""
        tokenizer, session = self._load()
        encoding = tokenizer.encode(text)
        features = session.run({"pieces": np.array([encoding.ids], np.int64)})["features"][0]
        rows = np.zeros((len(text), features.shape[1]), np.float32)
        # Chinese characters are one piece each; others may share one, and blanks have none.
        for piece, (start, stop) in enumerate(encoding.offsets):
            rows[start:stop] = features[piece]
        return rows

    def _load(self) -> tuple[Tokenizer, Session]:
        if self._loaded is None:
            if not self._tokenizer_file.is_file():
                raise CheckpointError(f"Chinese needs BERT, but {self._tokenizer_file} is missing")
            # Only Chinese needs it, and a service that speaks plainly is installed without.
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(self._tokenizer_file))
            self._loaded = (tokenizer, self._backend.load("bert"))
        return self._loaded
