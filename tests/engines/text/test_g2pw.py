import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import TextError
from engines.text.g2pw import G2pw

POLYPHONIC = "行\tㄒㄧㄥ2\n行\tㄏㄤ2\n長\tㄔㄤ2\n長\tㄓㄤ3\n一\tㄧ1\n一\tㄧ4\n"
MONOPHONIC = "銀\tㄧㄣ2\n丈\tㄓㄤ4\n似\tㄙ4\n"
PINYIN = {"ㄒㄧㄥ": "xing", "ㄏㄤ": "hang", "ㄔㄤ": "chang", "ㄓㄤ": "zhang", "ㄧㄣ": "yin"}
VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n行\n長\n很"


class LastAllowedLabel:
    """Answers with the last label that the mask allows, and keeps what it was asked."""

    def __init__(self) -> None:
        self.feeds: list[Mapping[str, NDArray[Any]]] = []

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        self.feeds.append(feeds)
        labels = np.arange(feeds["phoneme_mask"].shape[1], dtype=np.float32)
        probabilities: NDArray[np.float32] = feeds["phoneme_mask"] * (labels + 1)
        return probabilities


@pytest.fixture
def model() -> LastAllowedLabel:
    return LastAllowedLabel()


@pytest.fixture
def g2pw(model: LastAllowedLabel) -> G2pw:
    def to_taiwan(text: str) -> str:
        return text.replace("长", "長").replace("银", "銀")

    return G2pw(POLYPHONIC, MONOPHONIC, PINYIN, VOCABULARY, model, to_taiwan)


def test_model_reads_polyphonic_characters_only(g2pw: G2pw, model: LastAllowedLabel) -> None:
    assert g2pw(["丈", "很", "长"]) == [["zhang4"], ["hen3"], ["chang2"]]
    assert len(model.feeds) == 1


def test_sentence_without_polyphonic_characters_asks_nothing(
    g2pw: G2pw, model: LastAllowedLabel
) -> None:
    assert g2pw(["一丈", "，"]) == [["yi1", "zhang4"], ["，"]]
    assert model.feeds == []


def test_word_table_overrules_the_model(g2pw: G2pw) -> None:
    assert g2pw(["银行"]) == [["yin2", "hang2"]]


def test_feeds_are_what_the_official_graph_takes(g2pw: G2pw, model: LastAllowedLabel) -> None:
    g2pw(["很", "长", "行"])
    feeds = {name: array.tolist() for name, array in model.feeds[0].items()}
    assert feeds == {
        "input_ids": [[2, 6, 5, 4, 3], [2, 6, 5, 4, 3]],
        "token_type_ids": [[0] * 5, [0] * 5],
        "attention_mask": [[1] * 5, [1] * 5],
        # Labels in code point order: ㄏㄤ2 ㄒㄧㄥ2 ㄓㄤ3 ㄔㄤ2 ㄧ1 ㄧ4.
        "phoneme_mask": [[0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]],
        "char_ids": [2, 1],
        "position_ids": [2, 3],
    }
    assert [array.dtype.name for array in model.feeds[0].values()] == [
        "int64",
        "int64",
        "int64",
        "float32",
        "int64",
        "int64",
    ]


def test_context_is_sixteen_characters_on_either_side(g2pw: G2pw, model: LastAllowedLabel) -> None:
    g2pw(["很"] * 40 + ["长"] + ["很"] * 40)
    assert model.feeds[0]["input_ids"].shape == (1, 16 + 1 + 16 + 2)
    assert model.feeds[0]["position_ids"].tolist() == [17]


def test_missing_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("opencc")
    with pytest.raises(TextError, match=r"g2pW\.onnx"):
        G2pw.load(tmp_path)


def test_official_folder_is_read(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("opencc")
    onnx = pytest.importorskip("onnx")
    kinds = {"phoneme_mask": onnx.TensorProto.FLOAT}
    inputs = [
        onnx.helper.make_tensor_value_info(name, kinds.get(name, onnx.TensorProto.INT64), shape)
        for name, shape in {
            "input_ids": ["b", "t"],
            "token_type_ids": ["b", "t"],
            "attention_mask": ["b", "t"],
            "phoneme_mask": ["b", "labels"],
            "char_ids": ["b"],
            "position_ids": ["b"],
        }.items()
    ]
    output = onnx.helper.make_tensor_value_info("probs", onnx.TensorProto.FLOAT, ["b", "labels"])
    node = onnx.helper.make_node("Identity", ["phoneme_mask"], ["probs"])
    graph = onnx.helper.make_graph([node], "g2pw", inputs, [output])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "g2pW.onnx"
    )
    (tmp_path / "POLYPHONIC_CHARS.txt").write_text(POLYPHONIC, "utf-8")
    (tmp_path / "MONOPHONIC_CHARS.txt").write_text(MONOPHONIC, "utf-8")
    (tmp_path / "bopomofo_to_pinyin_wo_tune_dict.json").write_text(json.dumps(PINYIN), "utf-8")
    (tmp_path / "vocab.txt").write_text(VOCABULARY, "utf-8")
    assert G2pw.load(tmp_path)(["很", "长"]) == [["hen3"], ["zhang3"]]


def test_broken_table_is_refused() -> None:
    with pytest.raises(TextError, match="g2pw"):
        G2pw("行 ㄒㄧㄥ2", MONOPHONIC, PINYIN, VOCABULARY, LastAllowedLabel(), str)
