"""One voice on disk: `voice.yaml`, `reference.wav`, and a `prompt-<model>.npz` for every model.

A style adds `style-<key>.wav`, and its prompts `style-<key>-prompt-<model>.npz`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import wave
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import voluptuous as vol
import yaml

from engines.audio import AudioChunk, Recording
from engines.text.segment import LANGUAGES
from service.voice import Consent, Style, VoiceFacts

FACTS, REFERENCE = "voice.yaml", "reference.wav"
LONGEST_NAME, LONGEST_TRANSCRIPT, LONGEST_STYLE = 60, 500, 30  # characters
MAX_STYLES = 8
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FORMAT = 1
_MAX_FACTS, _MAX_REFERENCE = 16 << 10, 16 << 20  # bytes


class BrokenVoice(Exception):
    """A folder is not a voice, or not a whole one; the message says why."""


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """What a voice's folder holds.

    Attributes:
        reference: bytes of its `reference.wav`.
        styles: bytes of the reference of every style in the facts, by name.
    """

    facts: VoiceFacts
    reference: bytes
    styles: Mapping[str, bytes]


_TEXT = vol.All(str, vol.Length(min=1, max=500))
_TRANSCRIPT = vol.All(str, vol.Length(min=1, max=LONGEST_TRANSCRIPT))
_CONSENT = {vol.Required("who"): _TEXT, vol.Required("when"): _TEXT, "statement": _TEXT}
_STYLE = vol.Schema(
    {
        vol.Required("name"): vol.All(str, vol.Length(min=1, max=LONGEST_STYLE)),
        vol.Required("language"): vol.In(LANGUAGES),
        vol.Required("transcript"): _TRANSCRIPT,
        vol.Required("created"): _TEXT,
        vol.Required("consent"): _CONSENT,
    },
    required=True,
)
_SCHEMA = vol.Schema(
    {
        vol.Required("format"): _FORMAT,
        vol.Required("name"): vol.All(str, vol.Length(min=1, max=LONGEST_NAME)),
        vol.Required("language"): vol.In(LANGUAGES),
        vol.Required("transcript"): _TRANSCRIPT,
        vol.Required("created"): _TEXT,
        vol.Optional("consent", default=None): vol.Any(None, _CONSENT),
        vol.Optional("model", default=None): vol.Any(None, _TEXT),
        vol.Optional("styles", default=list): vol.All([_STYLE], vol.Length(max=MAX_STYLES)),
    },
    required=True,
)


def facts_file(facts: VoiceFacts) -> bytes:
    """The bytes of `voice.yaml`."""
    document = {"format": _FORMAT, **asdict(facts)}
    document["styles"] = list(document["styles"])
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode()


def reference_file(recording: Recording) -> bytes:
    """The bytes of `reference.wav`: 16 bit, one channel, the recording's own rate."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(recording.sample_rate)
        file.writeframes(AudioChunk(recording.samples, recording.sample_rate).pcm16())
    return buffer.getvalue()


def read_folder(folder: Path) -> VoiceFolder:
    """What a voice's folder holds.

    Raises:
        BrokenVoice: something is missing, foreign or damaged.
    """
    if folder.is_symlink() or not ID.fullmatch(folder.name):
        raise BrokenVoice("its name is not one that the service gives")
    try:
        fields = _SCHEMA(yaml.safe_load(_read(folder / FACTS, _MAX_FACTS)))
        reference = _read(folder / REFERENCE, _MAX_REFERENCE)
        seconds_of(reference)
        names = [style["name"] for style in fields["styles"]]
        if len(set(names)) < len(names):
            raise ValueError(f"{FACTS}: two styles have one name")
        styles = {name: _read(folder / style_file(name), _MAX_REFERENCE) for name in names}
        for recording in styles.values():
            seconds_of(recording)
    except OSError as error:
        raise BrokenVoice(f"{Path(error.filename or folder).name}: {error.strerror}") from error
    except RecursionError as error:
        raise BrokenVoice(f"{FACTS}: is nested too deeply") from error
    except (ValueError, RuntimeError, EOFError) as error:
        raise BrokenVoice(str(error) or type(error).__name__) from error
    except yaml.YAMLError as error:
        raise BrokenVoice(f"{FACTS}: is not YAML") from error
    except wave.Error as error:
        raise BrokenVoice(f"{REFERENCE}: {error}") from error
    except vol.Invalid as error:
        raise BrokenVoice(f"{FACTS}: {error}") from error
    del fields["format"]
    consent = fields.pop("consent")
    further = [
        Style(**{**style, "consent": Consent(**style["consent"])}) for style in fields.pop("styles")
    ]
    facts = VoiceFacts(
        **fields, consent=Consent(**consent) if consent else None, styles=tuple(further)
    )
    return VoiceFolder(facts, reference, styles)


def seconds_of(reference: bytes) -> float:
    """Length of a `reference.wav`.

    Raises:
        ValueError, RuntimeError, EOFError, wave.Error: it is not a whole one.
    """
    with wave.open(io.BytesIO(reference)) as file:
        frames, rate = file.getnframes(), file.getframerate()
        whole = len(file.readframes(frames)) == 2 * frames > 0
        if (file.getnchannels(), file.getsampwidth()) != (1, 2) or not whole or rate <= 0:
            raise ValueError(f"{REFERENCE}: is not a whole 16-bit recording of one channel")
    return float(frames / rate)


def revision_of(folder: VoiceFolder) -> str:
    """A text that changes whenever the voice would sound different in the same model."""
    facts = folder.facts
    sounding: list[object] = [facts.language, facts.transcript]
    sounding += [[each.name, each.language, each.transcript] for each in facts.styles]
    digest = hashlib.sha256(json.dumps(sounding).encode() + b"\0")
    digest.update(folder.reference)
    for style in facts.styles:
        digest.update(hashlib.sha256(folder.styles[style.name]).digest())
    return digest.hexdigest()[:12]


def style_key(name: str) -> str:
    """What the names of a style's files begin with; any name gives a harmless one."""
    return f"style-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def style_file(name: str) -> str:
    """File name of a style's reference."""
    return f"{style_key(name)}.wav"


def prompt_name(model: str, style: str | None = None) -> str:
    """File name of the prompt that a model made; any identity gives a harmless one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model)[:40]
    name = f"prompt-{plain}-{hashlib.sha256(model.encode()).hexdigest()[:8]}.npz"
    return name if style is None else f"{style_key(style)}-{name}"


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path.name}: is larger than {limit} bytes")
    return data
