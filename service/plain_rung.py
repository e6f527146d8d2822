"""The ladder's last rung: the plain voice."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from engines.audio import AudioChunk
from engines.plain import PlainVoice
from service.rung_worker import Cancelled
from service.utterance import Utterance


class PlainRung:
    """The plain voice, as the ladder wants it; it is the same for every requested voice."""

    name = "plain"
    patience = None
    bounds = None
    ready = True
    failure = None
    version = f"hibari {version('hibari-tts')}"

    def __init__(self) -> None:
        self._voice = PlainVoice()
        self.languages = self._voice.languages

    def speaks(self, utterance: Utterance) -> bool:
        """It stands in for every voice."""
        return True

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence; errors as `PlainVoice.speak`."""
        asked = (utterance.text, utterance.language, utterance.speed, utterance.normalize)
        for chunk in self._voice.speak(*asked):
            yield chunk
            if cancelled():
                return
