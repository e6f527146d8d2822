"""What the service says about itself, as typed values."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class LastSpeech:
    """The service's latest answer; seconds to its first sound, and of audio."""

    rung: str
    first_audio: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How the service is, as `/health` tells it.

    Attributes:
        model: name of the installed model that clones, None where there is none.
        queue: requests that wait or are being spoken; None where an older service does not say.
        last: its latest answer, None before the first and where an older service does not say.
    """

    id: str
    status: str
    version: str
    rung: str
    reason: str | None
    model: str | None = None
    queue: int | None = None
    last: LastSpeech | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the answer of `/health`; KeyError or TypeError when it is not one."""
        model, queue, last = data.get("model"), data.get("queue"), data.get("last")
        return cls(
            id=data["id"],
            status=data["status"],
            version=data["version"],
            rung=data["rung"],
            reason=data["reason"],
            model=model.get("name", model.get("id")) if model else None,
            queue=queue["depth"] if queue else None,
            last=LastSpeech(last["rung"], last["first_audio"], last["seconds"]) if last else None,
        )

    @property
    def speaks(self) -> bool:
        """Whether there is something to speak with."""
        return self.status in ("ok", "degraded")


@dataclass(frozen=True, slots=True)
class ServerVoice:
    """A voice of the service; `revision` changes whenever its sound does."""

    id: str
    name: str
    languages: tuple[str, ...]
    revision: str
    styles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerVoices:
    """All voices, the one that speaks when none is named, and every language spoken.

    `revision` changes with what sounds in every voice; empty where an older service has none.
    """

    voices: tuple[ServerVoice, ...]
    default: str
    languages: tuple[str, ...]
    revision: str = ""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read the answer of `/v1/voices`; KeyError or TypeError when it is not one."""
        voices = tuple(
            ServerVoice(
                id=voice["id"],
                name=voice["name"],
                languages=tuple(voice["languages"]),
                revision=voice["revision"],
                styles=tuple(voice.get("styles", ())),
            )
            for voice in data["voices"]
            # A voice that waits for its person's consent is listed, but cannot be spoken.
            if voice.get("usable", True)
        )
        languages = tuple(data["languages"])
        return cls(voices, data["default"], languages, data.get("revision", ""))

    def find(self, wanted: str) -> ServerVoice | None:
        """The voice of this id, or else of this name, whatever its case."""
        for voice in self.voices:
            if voice.id == wanted:
                return voice
        name = wanted.casefold()
        return next((voice for voice in self.voices if voice.name.casefold() == name), None)


def model_ids(answer: dict[str, Any]) -> list[str]:
    """The ids that `/v1/models` lists; KeyError or TypeError when it is no such answer."""
    return [str(model["id"]) for model in answer["data"]]
