import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.text import zh
from engines.text.zh_normalize import cardinal, one_by_one


def phones(text: str, symbols: str = "v2") -> str:
    return " ".join(zh.g2p(zh.normalize(text), symbols)[0])


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("0", "零"),
        ("10", "十"),
        ("12", "十二"),
        ("110", "一百一十"),
        ("1001", "一千零一"),
        ("10010", "一万零一十"),
        ("20000500", "二千万零五百"),
        ("100000001", "一亿零一"),
        ("1000100000000", "一万零一亿"),
        ("007", "七"),
        ("0.50", "零点五零"),
        ("2.00", "二点零"),
        ("3.14", "三点一四"),
        ("12345678901234567", "一二三四五六七八九零一二三四五六七"),
    ],
)
def test_cardinal(digits: str, said: str) -> None:
    assert cardinal(digits) == said


def test_digits_on_the_telephone() -> None:
    assert one_by_one("110", telephone=True) == "幺幺零"
    assert one_by_one("110") == "一一零"


@pytest.mark.parametrize(
    ("text", "norm_text"),
    [
        ("2024年3月5日", "二零二四年三月五日"),
        ("2024-03-05", "二零二四年三月五日"),
        ("18:05开会", "十八点零五分开会"),
        ("9:30", "九点半"),
        ("8:30-9:15", "八点半至九点半"),
        ("-12℃", "零下十二度"),
        ("湿度48%", "湿度百分之四十八"),
        ("3/4", "四分之三"),
        ("13812345678", "幺三八幺二三四五六七八"),
        ("2个人", "两个人"),
        ("10~20", "十到二十"),
        ("版本1.2.3", "版本一点二点三"),
        ("聲音", "声音"),
        ("嗯，好！！", "恩,好!"),
        ("１２楼", "十二楼"),
        ("a²", "的二次方"),
    ],
)
def test_normalize(text: str, norm_text: str) -> None:
    assert zh.normalize(text) == norm_text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("你好", "n i2 h ao3"),
        ("不是", "b u2 sh ir4"),
        ("看不懂", "k an4 b u5 d ong3"),
        ("一样", "y i2 y ang4"),
        ("一天", "y i4 t ian1"),
        ("看一看", "k an4 y i5 k an4"),
        ("妈妈", "m a1 m a5"),
        ("我们", "w o3 m en5"),
        ("一只猫", "y i4 zh ir1 m ao1"),
        ("只有", "zh ir2 y ou3"),
        ("绿鱼", "l v4 y v2"),
    ],
)
def test_spoken_tones(text: str, spoken: str) -> None:
    assert phones(text) == spoken


def test_erhua_came_with_the_second_models() -> None:
    assert phones("小院儿", "v1") == "x iao3 y van4 EE er5"
    assert phones("小院儿", "v2") == "x iao3 y van4 EE er4"
    assert phones("女儿", "v2") == "n v3 EE er2"


def test_every_character_has_its_phones() -> None:
    text = zh.normalize("今天天气很好，我们去不去公园？欸！")
    spoken, counts = zh.g2p(text, "v2")
    assert counts is not None
    assert len(counts) == len(text)
    assert sum(counts) == len(spoken)


def test_character_without_a_reading_is_unknown() -> None:
    assert zh.g2p("嗯", "v2") == (["UNK"], [1])


def test_reader_chooses_among_readings() -> None:
    words = ["银行", "行"]
    assert zh.by_word(words) == [["yin2", "hang2"], ["xing2"]]
    assert zh.g2p("行", "v2", lambda words: [["hang2"]]) == (["h", "ang2"], [2])


def test_word_table_overrules_the_reader() -> None:
    assert zh.corrected(["标识", "行"], ["biao1", "shi2", "hang2"]) == [
        ["biao1", "zhi4"],
        ["hang2"],
    ]


def test_dictionary_leaves_nothing_in_the_shared_temporary_folder(tmp_path: Path) -> None:
    speak = "from engines.text import zh; print(zh.g2p('今天', 'v2')[0])"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    spoken = subprocess.run(
        [sys.executable, "-c", speak], env=environment, capture_output=True, text=True, check=True
    )
    assert spoken.stdout.strip() == "['j', 'in1', 't', 'ian1']"
    assert spoken.stderr == ""
    assert list(tmp_path.iterdir()) == []
