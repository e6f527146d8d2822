"""The shapes that home text is made of, shared by all languages.

Every repetition is bounded or starts at a place that only the first of a run can match, so that
reading stays linear in the length of the text.
"""

from __future__ import annotations

import re

LEFT = r"(?<![A-Za-z0-9_])"
RIGHT = r"(?![A-Za-z0-9_])"
WHOLE = r"(?:\d{1,3}(?:,\d{3}){1,5}(?!\d)|\d+)"
NUMBER = rf"(?:{WHOLE}(?:\.\d+)?|\.\d+)"
# Only beside a unit is 1,5 surely a decimal and not a list.
MEASURED = rf"(?:\d{{1,3}}(?:\.\d{{3}}){{1,5}},\d{{1,2}}(?!\d)|\d+,\d{{1,2}}(?![\d,])|{NUMBER})"
# With spaces on both sides a sign joins two numbers instead.
SIGN = r"(?:(?P<sign>(?<![A-Za-z0-9.,%°)\]²³/])[-+±–](?=\.?\d)|^[-–±](?=[ ]\.?\d)|±(?=[ ]\d))[ ]?)?"
# A number does not start inside another one.
START = r"(?<![\d.])"
DASH = r"[ ]?[-–—~〜～][ ]?"

# Spelling → key of the words in each language's table.
UNITS: dict[str, str] = {
    spelling: key
    for key, spellings in {
        "percent": "%",
        "celsius": "°C|° C",
        "fahrenheit": "°F|° F",
        "degree": "°",
        "W": "W|w",
        "kW": "kW|KW|kw|Kw",
        "MW": "MW",
        "mW": "mW",
        "Wh": "Wh|wh",
        "kWh": "kWh|KWh|KWH|kwh|Kwh",
        "MWh": "MWh",
        "VA": "VA",
        "kVA": "kVA",
        "V": "V",
        "mV": "mV",
        "kV": "kV",
        "A": "A",
        "mA": "mA",
        "Ah": "Ah",
        "mAh": "mAh",
        "ohm": "Ω|Ω",
        "Hz": "Hz",
        "kHz": "kHz",
        "MHz": "MHz",
        "GHz": "GHz",
        "km/h": "km/h|kmh|kph|KM/H|Km/h",
        "m/s": "m/s",
        "mph": "mph|MPH",
        "knot": "kn|kt|kts",
        "Pa": "Pa",
        "kPa": "kPa",
        "hPa": "hPa|hpa",
        "mbar": "mbar|mb",
        "bar": "bar",
        "psi": "psi|PSI",
        "mmHg": "mmHg",
        "inHg": "inHg",
        "ppm": "ppm|PPM",
        "ppb": "ppb|PPB",
        "µg/m³": "µg/m³|µg/m3|ug/m³|ug/m3",
        "mg/m³": "mg/m³|mg/m3",
        "g/m³": "g/m³|g/m3",
        "lx": "lx|lux|Lux",
        "lm": "lm",
        "dB": "dB|db|dBA|dB(A)",
        "dBm": "dBm",
        "mm/h": "mm/h",
        "L/min": "L/min|l/min",
        "m³/h": "m³/h|m3/h",
        "W/m²": "W/m²|W/m2",
        "mm": "mm",
        "cm": "cm",
        "m": "m",
        "km": "km",
        "in": "inch|inches",
        "ft": "ft",
        "mi": "mi",
        "yd": "yd",
        "mm²": "mm²",
        "cm²": "cm²|cm2",
        "m²": "m²|m2|sqm",
        "km²": "km²|km2",
        "cm³": "cm³|cm3",
        "m³": "m³|m3",
        "L": "L|l|ℓ",
        "mL": "mL|ml",
        "gal": "gal",
        "mg": "mg",
        "g": "g",
        "kg": "kg|KG|Kg",
        "t": "t",
        "lb": "lb|lbs",
        "oz": "oz",
        "B": "bytes",
        "kB": "kB|KB|KiB",
        "MB": "MB|MiB",
        "GB": "GB|GiB",
        "TB": "TB|TiB",
        "kbit/s": "kbps|kbit/s|Kbps",
        "Mbit/s": "Mbps|Mbit/s|mbps",
        "Gbit/s": "Gbps|Gbit/s",
        "kB/s": "kB/s|KB/s|KiB/s",
        "MB/s": "MB/s|MiB/s",
        "rpm": "rpm|RPM",
        "cal": "cal",
        "kcal": "kcal",
        "kJ": "kJ",
        "d": "d",
        "h": "h|hr|hrs",
        "min": "min|mins",
        "s": "s|sec|secs",
        "ms": "ms",
    }.items()
    for spelling in spellings.split("|")
}
UNIT = "(?:" + "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True)) + ")"
UNIT_END = r"(?![A-Za-z0-9²³_]|/[A-Za-z])"

_CODES = (
    "USD", "EUR", "GBP", "JPY", "CNY", "HKD", "TWD", "KRW",
    "INR", "CHF", "AUD", "CAD", "SEK", "NOK", "DKK", "PLN",
)  # fmt: skip
CURRENCIES: dict[str, str] = {
    "US$": "USD", "HK$": "HKD", "NT$": "TWD", "A$": "AUD", "C$": "CAD", "$": "$", "€": "EUR",
    "£": "GBP", "¥": "¥", "₩": "KRW", "₹": "INR",
    **{c: c for c in _CODES},
    "RMB": "CNY",
}  # fmt: skip
_CURRENCY = "|".join(re.escape(c) for c in sorted(CURRENCIES, key=len, reverse=True))
SCALE = r"(?:[ ]?(?P<scale>thousand|million|billion|bn|[kKM])(?![A-Za-z]))?"

# A regular expression: the domain of an entity is not said.
DOMAINS = (
    "alarm_control_panel|automation|binary_sensor|button|calendar|camera|climate|cover"
    "|device_tracker|event|fan|group|humidifier|input_boolean|input_button|input_datetime"
    "|input_number|input_select|input_text|light|lock|media_player|number|person|remote|scene"
    "|script|select|sensor|siren|sun|switch|text|timer|todo|update|vacuum|valve|water_heater"
    "|weather|zone"
)
_TOP_LEVEL = "com|org|net|io|dev|app|edu|gov|local|lan|info|cn|jp|kr|hk|tw|de|fr|eu|uk"
_LABEL = r"[A-Za-z0-9-]{1,63}"

EMAIL = re.compile(rf"{LEFT}[A-Za-z0-9._%+-]{{1,64}}@{_LABEL}(?:\.{_LABEL}){{1,4}}")
URL = re.compile(
    r"(?:https?|ftp|wss?|mqtts?|rtsp|homeassistant)://(?P<rest>[!-~]+)"
    rf"|{LEFT}(?P<bare>(?:www\.(?:{_LABEL}\.){{1,4}}[A-Za-z]{{2,20}}"
    rf"|(?:{_LABEL}\.){{1,4}}(?:{_TOP_LEVEL}))"
    r"(?![A-Za-z0-9_@-])(?::\d{2,5})?(?:/[!-~]*)?)",
    re.I,
)
IP_ADDRESS = re.compile(r"(?<![\d.])(?P<ip>\d{1,3}(?:\.\d{1,3}){3})(?:/\d\d?|:\d{1,5})?(?!\.?\d)")
ENTITY = re.compile(
    rf"{LEFT}(?:(?:{DOMAINS})\.(?P<object>[a-z0-9_]+)"
    rf"|(?P<snake>[A-Za-z0-9]+(?:_+[A-Za-z0-9]+)+)){RIGHT}"
)
ISO_MOMENT = re.compile(
    rf"{LEFT}(?P<date>\d{{4}}-\d\d-\d\d)T(?P<time>\d\d:\d\d)(?::\d\d(?:\.\d+)?)?"
    rf"(?:Z|[+-]\d\d:?\d\d)?{RIGHT}"
)
DATE_YEAR_FIRST = re.compile(
    rf"{LEFT}(?P<y>\d{{4}})(?P<s>[-/.])(?P<m>\d\d?)(?P=s)(?P<d>\d\d?){RIGHT}"
)
DATE_YEAR_LAST = re.compile(
    rf"{LEFT}(?P<a>\d\d?)(?P<s>[-/.])(?P<b>\d\d?)(?P=s)(?P<y>\d{{4}}){RIGHT}"
)
VERSION = re.compile(
    rf"(?<![A-Za-z0-9_.])(?:[vV](?=\d))?(?P<parts>\d{{1,6}}(?:\.\d{{1,6}}){{2,5}})"
    rf"(?P<tail>(?:b|rc|a|beta)\d{{1,3}})?(?![.]?\d|[A-Za-z_])"
    rf"|{LEFT}[vV](?P<short>\d{{1,6}}(?:\.\d{{1,6}})?){RIGHT}"
)
_CLOCK = r"(?:[01]?\d|2[0-4])[:：][0-5]\d"
# The last stop of "p.m." is the sentence's own when a capital or nothing follows.
_M = r"(?:\.[Mm](?![A-Za-z])(?:\.(?![ ]+[A-Z]|[ ]*$))?|[Mm](?![A-Za-z]))"
_HALF = r"(?:[ ]?(?P<half{0}>[AaPp])" + _M.replace("{", "{{").replace("}", "}}") + r")?"
CLOCK_RANGE = re.compile(
    rf"(?<![\d:.])(?P<from>{_CLOCK}){_HALF.format(1)}{DASH}(?P<to>{_CLOCK}){_HALF.format(2)}(?![\d:])"
)
CLOCK = re.compile(
    rf"(?<![\d:.])(?P<time>{_CLOCK})(?:[:：](?P<s>[0-5]\d)(?:\.\d{{1,9}})?)?"
    rf"{_HALF.format('')}(?![\d:])"
)
HOUR = re.compile(
    rf"(?<![\d:.])(?:(?P<from>1[0-2]|0?[1-9])(?:[ ]?(?P<half1>[AaPp])\.?[Mm]\.?)?{DASH})?"
    r"(?P<h>1[0-2]|0?[1-9])"
    rf"[ ]?(?P<half>[AaPp]){_M}"
)
LAPSE = re.compile(
    rf"{LEFT}(?<![.,])(?=\d)(?:(?P<d>\d{{1,4}})[ ]?d(?:ays?)?,?[ ]?)?"
    r"(?:(?P<h>\d{1,4})[ ]?(?:hours?|hrs?|h),?[ ]?)?"
    r"(?:(?P<m>\d{1,4})[ ]?(?:minutes?|mins?|m),?[ ]?)?"
    r"(?:(?P<s>\d{1,4})[ ]?(?:seconds?|secs?|s))?(?<=[a-z])" + RIGHT
)
# 72F and 20C, as many a weather text has them; never with a space.
BARE_DEGREES = re.compile(
    r"(?<![A-Za-z0-9_.,])(?P<n>-?\d{1,3}(?:\.\d)?)(?P<unit>[CF])(?![A-Za-z0-9_+#-])"
)
MONEY = re.compile(
    rf"{SIGN}(?<![A-Za-z])(?P<before>{_CURRENCY})[ ]?(?P<n1>{MEASURED}){SCALE}"
    rf"|{SIGN.replace('sign', 'sign2')}{START}(?P<n2>{MEASURED})[ ]?"
    rf"(?P<after>{_CURRENCY})(?![A-Za-z0-9])"
)
PHONE = re.compile(
    r"(?<![A-Za-z0-9_+])(?:(?P<plus>\+)\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6}"
    r"|(?:\(\d{2,5}\)[ ]?|\d{2,5}[- ])\d{3,4}-\d{3,4}"
    r"|0\d{1,4}[- ]\d{3,4}[- ]?\d{3,4}"
    r"|0\d{1,3}-\d{6,8}|1[3-9]\d[ -]\d{4}[ -]\d{4}|0\d{8,10}|1[3-9]\d{9})(?![\d-])"
)
_A = rf"{SIGN.replace('sign', 'sa')}{START}(?P<a>{MEASURED})"
_B = rf"(?P<sb>[-+])?(?P<b>{MEASURED})"
# The last two of "2-3-4" are no range: said as one, the next reading would find another before it.
RANGE = re.compile(
    rf"(?<!\d[-‐‑–—~])(?<!\d[-‐‑–—~][-+])"
    rf"{_A}[ ]?(?P<ua>{UNIT})?{DASH}{_B}(?:[ ]?(?P<ub>{UNIT}){UNIT_END})?(?![\d-])(?!\.\d)(?![ ]?=)"
)
QUANTITY = re.compile(
    rf"{SIGN}{START}(?<![A-Za-z_])(?P<n>{MEASURED})[ ]?(?P<unit>{UNIT}){UNIT_END}"
)
PER_UNIT = re.compile(rf"(?<=\S)[ ]?/[ ]?(?P<unit>{UNIT}){UNIT_END}")
FRACTION = re.compile(
    rf"{LEFT}(?<![.,/])(?:(?P<w>\d{{1,4}})[ ])?(?P<a>\d{{1,4}})/(?P<b>\d{{1,4}})"
    r"(?![\d/]|\.\d|[A-Za-z])"
)
RATIO = re.compile(r"(?<![\d:.])(?P<a>\d{1,4})[ ]?:[ ]?(?P<b>\d{1,4})(?![\d:])")
# No START: whatever digits are left must be said, even in "1.2.3.4.5.6.7".
PLAIN = re.compile(rf"{SIGN}(?P<n>{WHOLE}(?:\.\d+)?|(?<!\d)\.\d+)")
