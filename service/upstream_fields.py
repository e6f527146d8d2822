"""What GPT-SoVITS's own server reads in a `/tts` request, read the same way.

Its defaults, its order of checks, its messages. Types are read as leniently as there: a query has
text only, and clients send "true" and "5" in JSON too.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

import voluptuous as vol

from engines.model_folder import DRAWN
from engines.text.segment import MODES
from engines.text.symbols import V2
from service.rules import stands_for
from service.sampling import Sampling

MEDIA_TYPES = ("wav", "raw", "ogg")
STREAMING_MODES = (0, 1, 2, 3)
SPLIT_METHODS = ("cut0", "cut1", "cut2", "cut3", "cut4", "cut5")
_TRUE, _FALSE = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")
_RANDOM = -1
# Our tag for its modes; a text whose script should decide has none.
_TAGS = {"auto": None, "auto_yue": "yue"}
_SOUND = re.compile(r"\.(wav|mp3|flac|ogg|m4a|opus)\Z", re.IGNORECASE)


class Refused(Exception):
    """A request that upstream refuses with 400 and a message."""


class Unreadable(Exception):
    """A field of the wrong type, which upstream refuses with 422.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A checked request.

    Attributes:
        reference: what it names as its reference; never opened.
        language: our tag of the text's language, None where its script decides.
        pause: seconds between sentences.
        streamed: whether the answer flows while it is made.
    """

    text: str
    reference: str
    language: str | None
    speed: float
    pause: float
    sampling: Sampling
    media_type: str
    streamed: bool


def read_fields(given: dict[str, Any]) -> UpstreamRequest:
    """Check a request's fields; what upstream does not know is left aside, as there.

    Raises:
        Refused, Unreadable: with upstream's message.
    """
    try:
        fields = FIELDS(given)
    except vol.MultipleInvalid as errors:
        error = errors.errors[0]
        raise Unreadable(str(error.path[0]) if error.path else "body", error.msg) from errors
    _refuse_wrong(fields)
    language = fields["text_lang"].lower()
    seed = fields["seed"]
    return UpstreamRequest(
        text=fields["text"],
        reference=fields["ref_audio_path"],
        language=_TAGS.get(language, language.removeprefix("all_")),
        speed=fields["speed_factor"],
        pause=min(max(fields["fragment_interval"], 0.01), 5.0),
        sampling=Sampling(
            seed=secrets.randbits(32) if seed == _RANDOM else seed,
            # What is not named is the model's choice: the original's, where it says nothing.
            **{name: fields[name] for name in DRAWN if name in fields},
        ),
        media_type=fields["media_type"],
        streamed=fields["streaming_mode"] != 0,
    )


def reference_names(reference: str) -> list[str]:
    """What a voice may be called that this reference means: all of it, its file name, its stem."""
    file = re.split(r"[/\\]", reference)[-1]
    names = [reference, file, _SOUND.sub("", file)]
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def _refuse_wrong(fields: dict[str, Any]) -> None:
    if not fields["ref_audio_path"]:
        raise Refused("ref_audio_path is required")
    if not fields["text"]:
        raise Refused("text is required")
    for name in ("text_lang", "prompt_lang"):
        if not fields[name]:
            raise Refused(f"{name} is required")
        if fields[name].lower() not in MODES[V2]:
            raise Refused(f"{name}: {fields[name]} is not supported in version {V2}")
    if fields["media_type"] not in MEDIA_TYPES:
        raise Refused(f"media_type: {fields['media_type']} is not supported")
    if fields["text_split_method"] not in SPLIT_METHODS:
        raise Refused(f"text_split_method:{fields['text_split_method']} is not supported")
    if fields["streaming_mode"] not in STREAMING_MODES:
        raise Refused("streaming_mode must be 0, 1, 2, 3, true or false")


@stands_for(type="string")
def _text(value: object) -> str:
    if not isinstance(value, str):
        raise vol.Invalid("must be text")
    return value


@stands_for(type=["number", "string"])
def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise vol.Invalid("must be a number")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise vol.Invalid("must be a number") from error
    if not abs(number) < float("inf"):
        raise vol.Invalid("must be a number")
    return number


@stands_for(type=["integer", "string"])
def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _number(value)
    if number != int(number):
        raise vol.Invalid("must be a whole number")
    return int(number)


@stands_for(type=["boolean", "string", "integer"])
def _flag(value: object) -> bool:
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        raise vol.Invalid("must be true or false")
    return word in _TRUE


@stands_for(type=["integer", "boolean", "string"])
def _mode(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    word = str(value).strip().lower()
    if re.fullmatch(r"-?[0-9]{1,9}", word):
        return int(word)
    return int(_flag(word))


@stands_for(type=["array", "string", "null"], items={"type": "string"})
def _names(value: object) -> object:
    if value is not None and not isinstance(value, list | str):
        raise vol.Invalid("must be a list")
    return value


WEIGHTS = vol.Schema({vol.Optional("weights_path", default=""): _text}, extra=vol.REMOVE_EXTRA)
FIELDS = vol.Schema(
    {
        vol.Optional("text", default=""): _text,
        vol.Optional("text_lang", default=""): _text,
        vol.Optional("ref_audio_path", default=""): _text,
        vol.Optional("aux_ref_audio_paths"): _names,
        vol.Optional("prompt_lang", default=""): _text,
        vol.Optional("prompt_text", default=""): _text,
        vol.Optional("top_k"): _whole,
        vol.Optional("top_p"): _number,
        vol.Optional("temperature"): _number,
        vol.Optional("text_split_method", default="cut5"): _text,
        vol.Optional("batch_size", default=1): _whole,
        vol.Optional("batch_threshold", default=0.75): _number,
        vol.Optional("split_bucket", default=True): _flag,
        vol.Optional("speed_factor", default=1.0): _number,
        vol.Optional("fragment_interval", default=0.3): _number,
        vol.Optional("seed", default=_RANDOM): _whole,
        vol.Optional("media_type", default="wav"): _text,
        vol.Optional("streaming_mode", default=False): _mode,
        vol.Optional("parallel_infer", default=True): _flag,
        vol.Optional("repetition_penalty"): _number,
        vol.Optional("sample_steps", default=32): _whole,
        vol.Optional("super_sampling", default=False): _flag,
        vol.Optional("overlap_length", default=2): _whole,
        vol.Optional("min_chunk_length", default=16): _whole,
    },
    extra=vol.REMOVE_EXTRA,
)
