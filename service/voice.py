"""What a voice is, and what can be wrong with asking for one or changing it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from service.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Consent:
    """Who agreed to be cloned.

    Attributes:
        who: the person.
        when: ISO 8601 date and time, UTC.
        statement: what they agreed to.
    """

    who: str
    when: str
    statement: str


@dataclass(frozen=True, slots=True)
class Style:
    """A further reference of a voice: the same person in another mood.

    Attributes:
        name: what requests call it.
        language: tag of the reference's language, one of `LANGUAGES`.
        transcript: what is said in the reference.
        created: ISO 8601 date and time, UTC.
        consent: who agreed to this recording.
    """

    name: str
    language: str
    transcript: str
    created: str
    consent: Consent


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """What is known of a voice beside its sound.

    Attributes:
        name: what people call it.
        language: tag of the reference's language, one of `LANGUAGES`.
        transcript: what is said in the reference.
        created: ISO 8601 date and time, UTC.
        consent: None while nobody has confirmed it; the voice is then not spoken.
        model: the model that speaks it, None for the house's own choice.
        styles: its further references, by name.
    """

    name: str
    language: str
    transcript: str
    created: str
    consent: Consent | None = None
    model: str | None = None
    styles: tuple[Style, ...] = ()

    def style(self, name: str | None) -> Style | None:
        """The style of that name; None where there is none, and for None."""
        return next((style for style in self.styles if style.name == name), None)


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a request may name.

    Attributes:
        id: what requests call it.
        name: what people call it.
        languages: tags that it speaks, its own first.
        revision: changes whenever the voice would sound different.
        rung: the rung that speaks it as it should sound; others only stand in. None where there is
            no such rung yet.
        facts: what is known of a person's voice, None for the plain one.
        seconds: length of its reference.
        source: changes whenever the person's own part of it does: references, language, transcript.
    """

    id: str
    name: str
    languages: tuple[str, ...]
    revision: str
    rung: str | None
    facts: VoiceFacts | None = None
    seconds: float = 0.0
    source: str = ""

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of its further references."""
        return tuple(style.name for style in self.facts.styles) if self.facts else ()

    @property
    def usable(self) -> bool:
        """Whether it may be spoken: a person's voice needs that person's consent."""
        return self.facts is None or self.facts.consent is not None


class NameTaken(ServiceError):
    """Another voice has that name."""

    code = "name_taken"
    status = 409


class VoiceFixed(ServiceError):
    """The plain voice is part of the service."""

    code = "voice_fixed"
    status = 409


class StyleNotFound(ServiceError):
    """The voice has no reference of that name."""

    code = "style_not_found"
    status = 404

    def __init__(self, style: str, voice: Voice) -> None:
        known = ", ".join(voice.styles) or "none"
        message = f"style: {voice.id} has no style {style[:40]!r}; its styles: {known}"
        super().__init__(message, param="style", limit=list(voice.styles))


class ConsentMissing(ServiceError):
    """Nobody has confirmed that the person agreed; the voice waits for it."""

    code = "consent_missing"
    status = 403


class TooManyStyles(ServiceError):
    """The voice has as many styles as it may have."""

    code = "too_many_styles"
    status = 409


class TooManyVoices(ServiceError):
    """As many voices as there may be are there."""

    code = "too_many_voices"
    status = 409


class StorageFailed(ServiceError):
    """The disk is full, read-only or broken; what was there before still is."""

    code = "storage_failed"
    status = 507


def folded(name: str) -> str:
    """A name as it is compared: case and width make no difference."""
    return unicodedata.normalize("NFKC", name).casefold()
