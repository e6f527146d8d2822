import pytest

from engines.text.segment import language_runs


@pytest.mark.parametrize(
    ("text", "language", "runs"),
    [
        ("你好 world", "en", [("en", "你好 world")]),
        ("打开Netflix吧", "zh", [("zh", "打开"), ("en", "Netflix"), ("zh", "吧")]),
        ("有3个apple", "zh", [("zh", "有3个"), ("en", "apple")]),
        ("500ml水", "zh", [("en", "500ml"), ("zh", "水")]),
        ("500ml水", "all_zh", [("zh", "500"), ("en", "ml"), ("zh", "水")]),
        ("OK，好", "ja", [("en", "OK，"), ("ja", "好")]),
        ("문 open", "ko", [("ko", "문 "), ("en", "open")]),
        ("Hello,5苹果", "zh", [("en", "Hello,"), ("zh", "5苹果")]),
        ("好5.apple", "zh", [("zh", "好5."), ("en", "apple")]),
        ("苹果5ab", "zh", [("zh", "苹果5"), ("en", "ab")]),
        ("3.5", "zh", [("zh", "3.5")]),
        ("", "zh", []),
        ("don't", "zh", [("en", "don't")]),
    ],
)
def test_runs_follow_the_scripts(text: str, language: str, runs: list[tuple[str, str]]) -> None:
    assert language_runs(text, language) == runs


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("东京的天气很好。", [("zh", "东京的天气很好。")]),
        ("洗濯完了。取り出してください。", [("ja", "洗濯完了。取り出してください。")]),
        ("他说「ありがとう」。", [("zh", "他说「"), ("ja", "ありがとう」。")]),
        ("这个のは好", [("zh", "这个"), ("ja", "のは好")]),
        ("문이 open", [("ko", "문이 "), ("en", "open")]),
        ("12345", [("zh", "12345")]),
        ("🙂", [("zh", "🙂")]),
        ("。", [("zh", "。")]),
    ],
)
def test_auto_goes_by_what_a_language_can_write(text: str, runs: list[tuple[str, str]]) -> None:
    assert language_runs(text, "auto") == runs


def test_auto_yue_reads_chinese_as_cantonese() -> None:
    assert language_runs("你好 hi こんにちは", "auto_yue") == [
        ("yue", "你好 "),
        ("en", "hi "),
        ("ja", "こんにちは"),
    ]


@pytest.mark.parametrize("language", ["zh", "ja", "ko", "yue", "all_zh", "all_yue", "auto"])
def test_no_character_is_lost_where_all_can_be_spoken(language: str) -> None:
    text = "今天21.5度，OK！ありがとう。문이 열렸어요。3/4"
    assert "".join(part for _, part in language_runs(text, language)) == text
