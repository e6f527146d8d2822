"""The voices that can be asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from service.errors import VoiceNotFound

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a request may name.

    Attributes:
        id: what requests call it.
        name: what people call it.
        languages: tags that it speaks, its own first.
        revision: changes whenever the voice would sound different.
        rung: the rung that speaks it as it should sound; others only stand in.
    """

    id: str
    name: str
    languages: tuple[str, ...]
    revision: str
    rung: str


class VoiceStore:
    """All voices of this house."""

    def __init__(
        self, plain_languages: tuple[str, ...], plain_version: str, plain_rung: str
    ) -> None:
        revision = hashlib.sha256(plain_version.encode()).hexdigest()[:12]
        self._voices = {PLAIN: Voice(PLAIN, "Plain voice", plain_languages, revision, plain_rung)}

    @property
    def default(self) -> Voice:
        """The voice of requests that name none."""
        return self._voices[PLAIN]

    def all(self) -> list[Voice]:
        """Every voice, the default one first."""
        return list(self._voices.values())

    def get(self, voice_id: str | None) -> Voice:
        """The voice with this id, the default one for None.

        Raises:
            VoiceNotFound: there is none; the message names those that there are.
        """
        if voice_id is None:
            return self.default
        try:
            return self._voices[voice_id]
        except KeyError:
            known = ", ".join(self._voices)
            message = f"voice: there is no voice {voice_id[:80]!r}; known are {known}"
            raise VoiceNotFound(message, param="voice") from None
