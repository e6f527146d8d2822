"""Pronunciations are those of the official front end; see also the golden vectors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.text import ko
from engines.text.ko_numbers import spell_numbers
from engines.text.ko_rules import jamo, pronounce
from engines.text.symbols import V2, symbol_ids


def said(text: str) -> str:
    return "".join(ko.g2p(ko.normalize(text), V2)[0])


@pytest.mark.parametrize(
    ("annotated", "words"),
    [
        ("3개/B", "세개/B"),
        ("20개/B", "스무개/B"),
        ("21마리/B", "스물한마리/B"),
        ("120개/B", "백스물개/B"),
        ("110층", "일일영층"),
        ("5분/B", "오분/B"),
        ("1,250원/B", "천이백오십원/B"),
        ("0개/B", "영개/B"),
        ("10000원/B", "만원/B"),
        ("210000원/B", "이십만원/B"),
        ("100000000원/B", "일억원/B"),
        ("30400원/B", "삼만사백원/B"),
        ("13개/B 3개/B", "열세개/B 세개/B"),
        ("1,2", "일,이"),
        ("12345678901234567개/B", "일이삼사오육칠팔구영일이삼사오육칠개/B"),
    ],
)
def test_numbers_by_their_counter(annotated: str, words: str) -> None:
    assert spell_numbers(annotated) == words


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("가져", "가저"),  # 5.1
        ("희망", "히망"),  # 5.3
        ("깎다", "깍따"),  # 9, 23
        ("넋과", "넉꽈"),  # 10
        ("밟/P는", "밤는"),  # 10.1, 18
        ("넓죽하다", "넙쭈카다"),  # 10.1, 12
        ("맑/P게", "말께"),  # 11.1
        ("놓고", "노코"),  # 12
        ("옷 한", "오 탄"),  # 12
        ("많아", "마나"),  # 12.4
        ("깎아", "까까"),  # 13
        ("값을", "갑쓸"),  # 14
        ("디귿이", "디그시"),  # 16
        ("굳이", "구지"),  # 17
        ("밭이", "바치"),  # 17
        ("닫히다", "다치다"),  # 17
        ("국물", "궁물"),  # 18
        ("강릉", "강능"),  # 19
        ("협력", "혐녁"),  # 19, 18
        ("신라", "실라"),  # 20
        ("칼날", "칼랄"),  # 20
        ("신/P고", "신꼬"),  # 24
        ("앉/P자", "안짜"),  # 24
        ("핥/P다", "할따"),  # 25
        ("할/E 것", "할 껃"),  # 27
        ("할수록", "할쑤록"),  # 27
        ("우리의/J 집", "우리의 집"),
    ],
)
def test_rules_of_the_standard_pronunciation(written: str, spoken: str) -> None:
    assert pronounce(written) == jamo(spoken)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("사과 3개", "ㅅㅏㄱㅗㅏ空ㅅㅔㄱㅐ."),
        ("3시 5분.", "ㅅㅔㅅㅣ空ㅇㅗㅂㅜㄴ."),
        ("2026년 10월", "ㅇㅣㅊㅓㄴㅣㅅㅣㅂㅣㅜㅇㄴㅣㅓㄴ空ㅅㅣㅇㅜㅓㄹ."),
        ("10층", "ㅇㅣㄹㅣㅓㅇㅊㅡㅇ."),
        ("50%", "ㅇㅗㅅㅣㅂㅍㅓㅅㅔㄴㅌㅡ."),
        ("3.5도", "ㅅㅏㅁ.ㅇㅗㄷㅗ."),
        ("할 수 있다", "ㅎㅏㄹ空ㅆㅜ空ㅇㅣㄷㄸㅏ."),
        ("읽거나", "ㅇㅣㄹㄲㅓㄴㅏ."),
        ("의사의 집", "ㅇㅡㅣㅅㅏㅇㅡㅣ空ㅈㅣㅂ."),
        ("꽃잎", "ㄲㅗㄴㄴㅣㅂ."),
        ("TV를 켜", "ㅌㅣㅂㅡㅇㅣㄹㅡㄹ空ㅋㅣㅓ."),
    ],
)
def test_sentences(text: str, phones: str) -> None:
    assert said(text) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("을 라디오", "ㅇㅡㄹ空ㄴㅏㄷㅣㅇㅗ."),
        ("을 라.", "ㅇㅡㄹ空ㄴㅏ."),
        ("를 을 라를 라", "ㄹㅡㄹ空ㅇㅡㄹ空ㄴㅏㄹㅡㄹ空ㄴㅏ."),
    ],
)
def test_doubled_rieul_is_undone(text: str, phones: str) -> None:
    assert said(text) == phones


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("가。나：다！라？", "ㄱㅏ.ㄴㅏ,ㄷㅏ!ㄹㅏ?"),
        ("가~나", "ㄱㅏ停ㄴㅏ."),
        ("漢\ud800\0🚪", "停停停停"),
        ("가\n", "ㄱㅏ.."),
        (" ", "空"),
        ("", ""),
    ],
)
def test_marks_and_what_is_no_korean(text: str, phones: str) -> None:
    assert said(text) == phones


@pytest.mark.parametrize("text", ["문이 3개 열려 있습니다.", "값이 없는 것을 읽거나", "우리의 집"])
def test_plain_mecab_agrees_on_plain_sentences(text: str) -> None:
    assert ko.plain_analyser()(text) == ko._analyser()(text)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3) | st.characters()))
def test_any_text_ends_in_known_phones(text: str) -> None:
    assert set(said(text)) <= set(symbol_ids(V2))
