"""The g2pW model: which reading a Mandarin character has in its sentence.

The model is the user's own (`G2PWModel` of the official download, about 600 MB); without it
`zh.by_sentence` asks pypinyin instead. Chen et al., "g2pW: A Conditional Weighted Softmax BERT for
Polyphone Disambiguation in Mandarin", 2022.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engines.errors import TextError
from engines.text.data import read_table
from engines.text.zh import corrected, pinyin_of

_CONTEXT = 16
_BIGGEST_TABLE = 4_000_000
_INPUTS = (
    "input_ids",
    "token_type_ids",
    "attention_mask",
    "phoneme_mask",
    "char_ids",
    "position_ids",
)


class PolyphoneModel(Protocol):
    """What runs the network."""

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the probability of each label for each queried character, (B, labels)."""
        ...


class G2pw:
    """Reads the words of a sentence with the g2pW model; pass it as `phonemize(reader=...)`.

    Args:
        polyphonic: lines "character<TAB>bopomofo with tone" of characters that the model reads.
        monophonic: lines of the same form, of characters with one reading.
        pinyin: bopomofo without tone → pinyin without tone.
        vocabulary: tokens of the Chinese BERT, one a line.
        model: the network.
        to_taiwan: converts simplified to Taiwan's characters, in which the tables are.
    """

    def __init__(
        self,
        polyphonic: str,
        monophonic: str,
        pinyin: Mapping[str, str],
        vocabulary: str,
        model: PolyphoneModel,
        to_taiwan: Callable[[str], str],
    ) -> None:
        tables = read_table("zh_tables.json")
        readings = _pairs(polyphonic)
        self._labels = sorted({bopomofo for _, bopomofo in readings})
        label_ids = {label: index for index, label in enumerate(self._labels)}
        self._choices: dict[str, list[int]] = {}
        for character, bopomofo in readings:
            self._choices.setdefault(character, []).append(label_ids[bopomofo])
        self._character_ids = {c: index for index, c in enumerate(sorted(self._choices))}
        self._asked = frozenset(self._choices) - frozenset(tables["g2pw_forced_nonpoly"])
        known = dict(_pairs(monophonic))
        self._known = {c: b for c, b in known.items() if c not in tables["g2pw_forced_nonmono"]}
        self._pinyin = pinyin
        self._token_ids = {token: index for index, token in enumerate(vocabulary.split("\n"))}
        self._model = model
        self._to_taiwan = to_taiwan

    @classmethod
    def load(cls, folder: Path, vocabulary: Path | None = None) -> G2pw:
        """Open the official `G2PWModel` folder.

        Args:
            folder: with `g2pW.onnx`, both tables of characters and the table of bopomofo.
            vocabulary: `vocab.txt` of the Chinese BERT, looked for in the folder unless told.

        Raises:
            TextError: a file is missing or is not what it should be, or the extra is not installed.
        """
        try:
            import onnxruntime
            from opencc import OpenCC
        except ModuleNotFoundError as error:
            raise TextError(
                f"g2pw: needs the package {error.name!r}, of the extra `g2pw`"
            ) from error
        try:
            session = onnxruntime.InferenceSession(
                str(folder / "g2pW.onnx"), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # onnxruntime raises classes of its own for a missing and for a broken file.
            raise TextError(f"g2pw: cannot open {folder / 'g2pW.onnx'}: {error}") from error
        return cls(
            polyphonic=_text(folder / "POLYPHONIC_CHARS.txt"),
            monophonic=_text(folder / "MONOPHONIC_CHARS.txt"),
            pinyin=_pinyin_table(folder / "bopomofo_to_pinyin_wo_tune_dict.json"),
            vocabulary=_text(vocabulary or folder / "vocab.txt"),
            model=lambda feeds: cast("NDArray[np.float32]", session.run(None, dict(feeds))[0]),
            to_taiwan=OpenCC("s2tw").convert,
        )

    def __call__(self, words: Sequence[str]) -> list[list[str]]:
        """Read the words of one sentence: pinyin with tone digit per character."""
        sentence = "".join(words)
        pinyin = pinyin_of(sentence)
        taiwan = self._to_taiwan(sentence)
        if len(taiwan) != len(sentence):
            return corrected(words, pinyin)
        queries = [index for index, character in enumerate(taiwan) if character in self._asked]
        answers = self._ask(taiwan, queries) if queries else {}
        for index, character in enumerate(taiwan):
            bopomofo = answers.get(index) or self._known.get(character, "")
            toneless = self._pinyin.get(bopomofo[:-1])
            if toneless:
                pinyin[index] = toneless + bopomofo[-1]
        return corrected(words, pinyin)

    def _ask(self, sentence: str, queries: list[int]) -> dict[int, str]:
        start = max(0, queries[0] - _CONTEXT)
        context = sentence[start : queries[-1] + _CONTEXT + 1]
        unknown = self._token_ids.get("[UNK]", 0)
        inner = [self._token_ids.get(character, unknown) for character in context]
        tokens = [self._token_ids.get("[CLS]", 0), *inner, self._token_ids.get("[SEP]", 0)]
        input_ids = np.tile(np.array(tokens, dtype=np.int64), (len(queries), 1))
        mask = np.zeros((len(queries), len(self._labels)), dtype=np.float32)
        for row, index in enumerate(queries):
            mask[row, self._choices[sentence[index]]] = 1.0
        arrays: tuple[NDArray[Any], ...] = (
            input_ids,
            np.zeros_like(input_ids),
            np.ones_like(input_ids),
            mask,
            np.array([self._character_ids[sentence[i]] for i in queries], dtype=np.int64),
            np.array([index - start + 1 for index in queries], dtype=np.int64),
        )
        probabilities = self._model(dict(zip(_INPUTS, arrays, strict=True)))
        best = np.argmax(probabilities, axis=-1)
        return {index: self._labels[int(label)] for index, label in zip(queries, best, strict=True)}


def _pairs(table: str) -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in table.splitlines() if line.strip()]
    if not all(len(row) == 2 and len(row[0]) == 1 and row[1] for row in rows):
        raise TextError(
            "g2pw: a table of characters has a line that is not character, tab, reading"
        )
    return [(character, bopomofo) for character, bopomofo in rows]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _BIGGEST_TABLE:
            raise TextError(f"g2pw: {path} is larger than {_BIGGEST_TABLE} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"g2pw: cannot read {path}: {error}") from error


def _pinyin_table(path: Path) -> dict[str, str]:
    try:
        table = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise TextError(f"g2pw: {path} is not JSON: {error}") from error
    if not isinstance(table, dict):
        raise TextError(f"g2pw: {path} is not a table")
    return {str(bopomofo): str(pinyin) for bopomofo, pinyin in table.items()}
