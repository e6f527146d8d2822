import subprocess
import sys

import pytest

from engines.errors import TextError
from engines.text import LONGEST_TEXT, phonemize
from engines.text.symbols import symbol_ids


def spoken(text: str, language: str, **options: str) -> list[str]:
    return [sentence.text for sentence in phonemize(text, language, **options)]


def test_a_sentence_is_one_result() -> None:
    texts = spoken("The door is open. Please close it!", "en")
    assert texts == ["The door is open.", "Please close it!"]


def test_runs_add_up_to_the_ids() -> None:
    (sentence,) = phonemize("请打开Netflix，谢谢。", "zh")
    ids = symbol_ids("v2")
    assert sentence.phone_ids == tuple(ids[phone] for run in sentence.runs for phone in run.phones)
    assert [run.language for run in sentence.runs] == ["zh", "en", "zh"]
    assert sentence.runs[0].word_to_phone == (2, 2, 2)
    assert sentence.runs[1].word_to_phone is None


def test_home_text_is_written_out_unless_told_otherwise() -> None:
    home, exact = (
        phonemize("It is -4 °C outside.", "en", normalize=how)[0].text
        for how in ("speakable", "exact")
    )
    assert "isnegative" not in home
    assert "isnegative" in exact


def test_pause_belongs_to_the_sentence_before() -> None:
    text = "[pause 1s]One is here.[pause 500ms]<break time='1s'/>Two is here."
    sentences = phonemize(text, "en")
    assert [(sentence.text, sentence.pause) for sentence in sentences] == [
        ("", 1.0),
        ("One is here.", 1.5),
        ("Two is here.", 0.0),
    ]


def test_author_asks_for_a_stop_in_chinese() -> None:
    (sentence,) = phonemize("你好￥世界，再见", "zh", normalize="exact")
    assert sentence.runs[0].phones.count("SP2") == 2
    assert "," not in sentence.runs[0].phones


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("", "en"), "text: 0 characters"),
        (("a" * (LONGEST_TEXT + 1), "en"), "text: 5001 characters, the limits are 1 and 5000"),
        (("hi", "fr"), "language: no 'fr'"),
        (("hi", "ko", "v1"), "language: no 'ko' with symbols v1"),
        (("hi", "en", "v9"), "symbols: no table 'v9'"),
        (("   \n", "en"), "text: nothing in it can be spoken in 'en'"),
        (("...!?", "zh"), "text: nothing in it can be spoken in 'zh'"),
        (("你好", "en"), "text: nothing in it can be spoken in 'en'"),
        (("[pause 1s]", "en"), "text: nothing in it can be spoken in 'en'"),
        (("\u202e\u200b", "en"), "text: nothing in it can be spoken in 'en'"),
    ],
)
def test_what_cannot_be_spoken_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(TextError, match=complaint):
        phonemize(*arguments)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"normalize": "maybe"}, "normalize: no 'maybe'"), ({"cut": "cut9"}, "cut: no method 'cut9'")],
)
def test_unknown_option_is_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(TextError, match=complaint):
        phonemize("hi", "en", **options)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("🙂" * LONGEST_TEXT + "", "en"),
        ("a" * LONGEST_TEXT, "en"),
        ("a" * LONGEST_TEXT, "zh"),
        ("1" * LONGEST_TEXT, "en"),
        ("1" * LONGEST_TEXT, "zh"),
        ("哈" * LONGEST_TEXT, "zh"),
        ("哈" * LONGEST_TEXT, "yue"),
        ("あ" * LONGEST_TEXT, "ja"),
        ("가" * LONGEST_TEXT, "ko"),
        ("\ud800" * (LONGEST_TEXT - 1) + "a", "en"),
        ("<" * LONGEST_TEXT, "en"),
        ("1-" * (LONGEST_TEXT // 2), "zh"),
        ("[pause " * (LONGEST_TEXT // 7), "en"),
    ],
)
@pytest.mark.parametrize("normalize", ["speakable", "exact"])
def test_longest_texts_end(text: str, language: str, normalize: str) -> None:
    segments = segment_lengths(text, language, normalize)
    assert max(segments, default=0) <= 2000


def segment_lengths(text: str, language: str, normalize: str) -> list[int]:
    try:
        return [len(s.phone_ids) for s in phonemize(text, language, normalize=normalize)]
    except TextError:
        return []


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "engines.text.yue", raising=False)
    monkeypatch.setitem(sys.modules, "ToJyutping", None)
    with pytest.raises(TextError, match=r"language: yue needs .*'ToJyutping'.*\[yue\]"):
        phonemize("你好", "yue")


def test_import_brings_no_language_and_no_big_package() -> None:
    code = "import sys, engines.text; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "torch",
        "numpy",
        "jieba",
        "pypinyin",
        "ToJyutping",
        "pyopenjtalk",
        "nltk",
        "onnxruntime",
    }
    assert heavy.isdisjoint(loaded)
    assert "engines.text.zh" not in loaded
