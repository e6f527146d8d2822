"""What a speech request may say beside its text: names, kinds and limits, each in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeassistant.components.tts import (
    ATTR_PREFERRED_FORMAT,
    ATTR_PREFERRED_SAMPLE_BYTES,
    ATTR_PREFERRED_SAMPLE_CHANNELS,
    ATTR_PREFERRED_SAMPLE_RATE,
    ATTR_VOICE,
)

from .const import (
    ATTR_CHIME,
    ATTR_EXPIRES,
    ATTR_FALLBACK,
    ATTR_LANGUAGE,
    ATTR_LEAD_IN,
    ATTR_MODEL,
    ATTR_NORMALIZE,
    ATTR_PAUSE,
    ATTR_PRIORITY,
    ATTR_REPETITION_PENALTY,
    ATTR_SEED,
    ATTR_SPEED,
    ATTR_STYLE,
    ATTR_TEMPERATURE,
    ATTR_TOP_K,
    ATTR_TOP_P,
    FALLBACKS,
    NORMALIZE,
    PRIORITIES,
)
from .errors import mistake

# Newer than the oldest Home Assistant that this runs on.
ATTR_PREFERRED_BITRATE = "preferred_bitrate"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that an option may be; `whole` without a fraction."""

    low: float
    high: float
    step: float
    whole: bool = False

    def read(self, name: str, value: Any) -> float | int:
        """A number out of what a template or a form gave.

        Raises:
            ServiceValidationError: it is none, or outside the range.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not self.low <= number <= self.high or (self.whole and number % 1):
            limits = f"{self.low:g} - {self.high:g}"
            raise mistake("bad_option", option=name, value=str(value)[:40], limits=limits)
        return int(number) if self.whole else number


NUMBERS = {
    ATTR_SPEED: Range(0.25, 4, 0.05),
    ATTR_PAUSE: Range(0, 5, 0.1),
    ATTR_LEAD_IN: Range(0, 5, 0.1),
    ATTR_EXPIRES: Range(0, 86_400, 1),
    ATTR_SEED: Range(0, 2**32 - 1, 1, whole=True),
    ATTR_TOP_K: Range(1, 100, 1, whole=True),
    ATTR_TOP_P: Range(0.01, 1, 0.01),
    ATTR_TEMPERATURE: Range(0.05, 2, 0.05),
    ATTR_REPETITION_PENALTY: Range(1, 2, 0.05),
}
WHOLE = tuple(name for name, limits in NUMBERS.items() if limits.whole)
SAMPLING = (ATTR_SEED, ATTR_TOP_K, ATTR_TOP_P, ATTR_TEMPERATURE, ATTR_REPETITION_PENALTY)
CHOICES = {
    ATTR_PRIORITY: PRIORITIES,
    ATTR_FALLBACK: FALLBACKS,
    ATTR_NORMALIZE: NORMALIZE,
}
SPEECH_OPTIONS = (
    *(ATTR_VOICE, ATTR_LANGUAGE, ATTR_STYLE, ATTR_MODEL, ATTR_CHIME),
    *NUMBERS,
    *CHOICES,
)
FORM_OPTIONS = (
    *(ATTR_PREFERRED_FORMAT, ATTR_PREFERRED_SAMPLE_RATE, ATTR_PREFERRED_BITRATE),
    *(ATTR_PREFERRED_SAMPLE_CHANNELS, ATTR_PREFERRED_SAMPLE_BYTES),
)

_FORMATS = {name: name for name in ("wav", "mp3", "flac", "opus", "ogg")} | {"oga": "ogg"}
_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
# What makes Home Assistant run the sound through ffmpeg anyway.
_CONVERTED = set(FORM_OPTIONS) - {ATTR_PREFERRED_FORMAT}


def speech_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """The service's fields for the options of a call; empty ones are as if left out.

    Raises:
        ServiceValidationError: an option is not what it may be; names it and its limits.
    """
    fields: dict[str, Any] = {}
    for name in SPEECH_OPTIONS:
        value = options.get(name)
        if value is None or value == "":
            continue
        if name in NUMBERS:
            fields[name] = NUMBERS[name].read(name, value)
        elif name in CHOICES and value not in CHOICES[name]:
            limits = ", ".join(CHOICES[name])
            raise mistake("bad_option", option=name, value=str(value)[:40], limits=limits)
        else:
            fields[name] = value
    return fields


def sound_form(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The extension of the sound that is wanted, and the service's fields that make it.

    What ffmpeg is going to touch leaves the service as plain samples, at the rate that is wanted:
    then nothing is compressed twice, and ffmpeg needs not look for the format.
    """
    extension = str(options.get(ATTR_PREFERRED_FORMAT) or "mp3").lower()
    if extension not in _FORMATS or any(options.get(name) is not None for name in _CONVERTED):
        extension = "wav"
    fields: dict[str, Any] = {"response_format": _FORMATS[extension]}
    rate = options.get(ATTR_PREFERRED_SAMPLE_RATE)
    if rate is not None and int(rate) in _RATES:
        fields["sample_rate"] = int(rate)
    return extension, fields
