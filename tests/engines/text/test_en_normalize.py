"""Expected words are what the official front end says; its oddities are kept on purpose."""

import pytest

from engines.text.en_normalize import normalize
from engines.text.en_numbers import cardinal, number, ordinal, ordinal_mark


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"),
        ("000", "zero"),
        ("19", "nineteen"),
        ("20", "twenty"),
        ("999", "nine hundred ninety-nine"),
        ("1005", "one thousand five"),
        ("1100", "one thousand, one hundred"),
        ("12450", "twelve thousand, four hundred fifty"),
        ("1000000", "one million"),
        ("1000000017", "one billion seventeen"),
        ("1" + "0" * 35, "one hundred decillion"),
        ("1" + "0" * 36, "one" + " zero" * 36),
    ],
)
def test_cardinal(digits: str, words: str) -> None:
    assert cardinal(digits) == words


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("1", "first"),
        ("12", "twelfth"),
        ("20", "twentieth"),
        ("33", "thirty-third"),
        ("101", "one hundred and first"),
        ("115", "one hundred and fifteenth"),
        ("1000", "one thousandth"),
        ("1002345", "one million, two thousand, three hundred and forty-fifth"),
    ],
)
def test_ordinal(digits: str, words: str) -> None:
    assert ordinal(digits) == words


@pytest.mark.parametrize(
    ("digits", "mark"),
    [
        ("1", "st"),
        ("2", "nd"),
        ("3", "rd"),
        ("4", "th"),
        ("11", "th"),
        ("112", "th"),
        ("113", "th"),
        ("121", "st"),
    ],
)
def test_ordinal_mark(digits: str, mark: str) -> None:
    assert ordinal_mark(digits) == mark


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("1000", "one thousand"),
        ("1001", "ten oh one"),
        ("1900", "nineteen hundred"),
        ("1905", "nineteen oh five"),
        ("1999", "nineteen ninety-nine"),
        ("2000", "two thousand"),
        ("2009", "two thousand nine"),
        ("2010", "twenty ten"),
        ("2100", "twenty-one hundred"),
        ("2999", "twenty-nine ninety-nine"),
        ("3000", "three thousand"),
        ("02026", "twenty twenty-six"),
    ],
)
def test_four_digits_sound_like_a_year(digits: str, words: str) -> None:
    assert number(digits) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Lock at 0:05.", "Lock at zero five a.m."),
        ("At 12:00 sharp", "At twelve o'clock p.m. sharp"),
        ("At 23:59", "At eleven fifty-nine p.m."),
        ("At 24:00", "At twenty-fourzero"),
        ("At 17:5", "At seventeenfive"),
        ("At 08:07", "At eight seven a.m."),
    ],
)
def test_times(text: str, words: str) -> None:
    assert normalize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("£5 or 5£", "five pounds or five pounds"),
        ("£1.01", "one pound and one penny"),
        ("£0.00", "zero pounds"),
        ("$1", "one dollar"),
        ("$0.05", "five cents"),
        ("$.5", "fifty cents"),
        ("2.5$", "two dollars and fifty cents"),
        ("$1,000,000", "one million dollars"),
        ("1.2.3$", "one point two.three dollars"),
        (",5£ and ,$", "five pounds and "),
        ("€100", "one hundred"),
    ],
)
def test_money(text: str, words: str) -> None:
    assert normalize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1m", "one meter"),
        ("1.0m", "one point zero meters"),
        ("01h", "one hour"),
        ("2ft", "two feet"),
        ("1tsp and 3tbsp", "one teaspoon and three tablespoons"),
        ("90s", "ninety seconds"),
        ("1°C", "one degree celsius"),
        ("21.5°F", "twenty-one point five degrees fahrenheit"),
        ("5 °C", "five C"),
        ("5km/h", "five kilometersh"),
        ("1980s", "nineteen eighty seconds"),
        ("48%", "forty-eight percent"),
    ],
)
def test_measures(text: str, words: str) -> None:
    assert normalize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3.14", "three point one four"),
        ("1/2, 3/2 and 2/1", "one half, three halves and two"),
        ("0/3 and 7/101", "zero third and seven one hundred and firsts"),
        ("the 112th", "the one hundred and twelfth"),
        ("Step 5. Then 12. Now", "Step fifth, Then twelfth, Now"),
        ("5 - 3 = 2", "five minus three Equals two"),
        ("x + y × 2 ÷ .5", "x plus y times two divided by five"),
        ("a² + b", "a plus b"),
        ("-4 and -12", "negative four andnegative twelve"),
        ("5-3", "five-three"),
        ("555-1234", "five hundred fifty-five-twelve thirty-four"),
        ("12,450", "twelve thousand, four hundred fifty"),
        ("192.168.1.1", "one hundred ninety-two point one six eight.one point one"),
    ],
)
def test_other_numbers(text: str, words: str) -> None:
    assert normalize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Zoë's naïve café", "Zoe's naive cafe"),
        ("i.e. this, E.G. that", "that is this, for example that"),
        ("iPhone on WiFi", "i Phone on Wi Fi"),
        ("IT IS", "I T I S"),
        ('He said: "go"; (now)', "He said go now"),
        ("Hi... -- ok?!", "Hi.  ok?"),
        ("一！ok？二。", "!ok?"),
        ("tab\there\nNew", "tabhere New"),
        ("\ud800\u202e\0🚪", ""),
        ("", ""),
    ],
)
def test_letters_and_marks(text: str, words: str) -> None:
    assert normalize(text) == words


@pytest.mark.parametrize(
    "unit", ["1", "1,", "1.", "1/", " ", "-", "5. ", "a + ", "£1", "A", "1m", "\u0301"]
)
def test_long_rows_of_one_thing_end_in_plain_text(unit: str) -> None:
    said = normalize(unit * (5000 // len(unit)))
    assert set(said) <= set("abcdefghijklmnopqrstuvwxyzA ,.-")
