"""What the forms of voices may hold, and who may send them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import voluptuous as vol

from engines.text.segment import LANGUAGES
from service.enrolment import Words
from service.rules import stands_for
from service.voice import folded
from service.voice_folder import LONGEST_NAME, LONGEST_STYLE, LONGEST_TRANSCRIPT

LONGEST_PERSON = 100  # characters
LIMITS: dict[str, Any] = {
    "name": LONGEST_NAME,
    "transcript": LONGEST_TRANSCRIPT,
    "language": list(LANGUAGES),
    "consent_name": LONGEST_PERSON,
    "consent": True,
}


def line(longest: int) -> Callable[[object], str]:
    """A rule: text on one line of printable characters, with single spaces."""

    @stands_for(type="string", minLength=1, maxLength=longest)
    def rule(value: object) -> str:
        if not isinstance(value, str):
            raise vol.Invalid("must be text")
        text = " ".join(value.split())
        if not 1 <= len(text) <= longest:
            raise vol.Invalid(f"must have 1 to {longest} characters")
        if any(unicodedata.category(each) in _NOT_PRINTED or each in _TURNS for each in text):
            raise vol.Invalid("holds characters that cannot be shown")
        return text

    return rule


_NOT_PRINTED = ("Cc", "Cs", "Co", "Cn")
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn the reading direction


@stands_for(type="string", examples=list(LANGUAGES))
def _language(value: object) -> str:
    """A rule: a tag of a language whose text the models read; its region is not looked at."""
    tag = str(value).lower().replace("_", "-").split("-")[0]
    if tag not in LANGUAGES:
        raise vol.Invalid("is not a language that voices can be made in")
    return tag


@stands_for(enum=[True, "true"])
def _confirmed(value: object) -> bool:
    if value is not True and value != "true":
        raise vol.Invalid("must be true: without the person's consent there is no voice")
    return True


@stands_for(type="string", minLength=1, maxLength=LONGEST_STYLE)
def _style_name(value: object) -> str:
    """A rule: letters, digits, spaces, hyphens; a style's name is a part of its address."""
    name = folded(line(LONGEST_STYLE)(value))
    if not all(each.isalnum() or each in " -_" for each in name) or len(name) > LONGEST_STYLE:
        raise vol.Invalid("must have letters, digits, spaces, - and _ only")
    return name


_WORDS: dict[Any, Any] = {
    vol.Required("transcript"): line(LONGEST_TRANSCRIPT),
    vol.Required("language"): _language,
    vol.Required("consent_name"): line(LONGEST_PERSON),
    vol.Required("consent"): _confirmed,
}
ENROL = vol.Schema(
    {vol.Required("name"): line(LONGEST_NAME), **_WORDS, vol.Optional("model", default=""): str}
)
STYLE = vol.Schema({vol.Required("name"): _style_name, **_WORDS})
RERECORD = vol.Schema(_WORDS)
CHECK = vol.Schema(
    {
        vol.Optional("transcript"): line(LONGEST_TRANSCRIPT),
        vol.Optional("language", default="en"): _language,
    }
)
CHANGE = vol.Schema(
    {
        vol.Optional("name"): line(LONGEST_NAME),
        vol.Optional("language"): _language,
        vol.Optional("transcript"): line(LONGEST_TRANSCRIPT),
        vol.Optional("model"): vol.Any(None, str),
        vol.Optional("consent_name"): line(LONGEST_PERSON),
        vol.Optional("consent"): _confirmed,
    }
)


def words_of(fields: dict[str, Any]) -> Words:
    """What a checked form says of its recording."""
    return Words(fields["transcript"], fields["language"], fields["consent_name"])
