from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.audio import AudioChunk
from engines.errors import DeviceError, TextError
from service.errors import LanguageUnavailable, SynthesisFailed, TextRefused
from service.jobs import Utterance
from service.ladder import Ladder

CHUNK = AudioChunk(np.zeros(10, np.float32), 24000)
WORDS = Utterance("Hello.", "plain", "en")


class FakeRung:
    def __init__(self, name: str, *script: AudioChunk | Exception) -> None:
        self.name = name
        self.languages = ("en", name)
        self._script = script

    def speak(self, utterance: Utterance) -> Iterator[AudioChunk]:
        for item in self._script:
            if isinstance(item, Exception):
                raise item
            yield item


def rungs(*each: FakeRung) -> list[str]:
    return [chunk.rung for chunk in Ladder(each).speak(WORDS)]


def test_the_best_rung_speaks() -> None:
    assert rungs(FakeRung("gpu", CHUNK, CHUNK), FakeRung("plain", CHUNK)) == ["gpu", "gpu"]


@pytest.mark.parametrize("failure", [DeviceError("lost"), TextError("text: no")])
def test_a_rung_that_fails_hands_over(failure: Exception) -> None:
    assert rungs(FakeRung("gpu", failure), FakeRung("plain", CHUNK)) == ["plain"]


def test_a_rung_that_fails_midway_has_the_sentence_said_again() -> None:
    failing = FakeRung("gpu", CHUNK, DeviceError("lost"))
    assert rungs(failing, FakeRung("plain", CHUNK, CHUNK)) == ["gpu", "plain", "plain"]


@pytest.mark.parametrize(
    ("failure", "error", "code"),
    [
        (DeviceError("lost"), SynthesisFailed, "device_failed"),
        (TextError("text: nothing to say"), TextRefused, "bad_text"),
        (TextError("language: not here"), LanguageUnavailable, "language_unavailable"),
    ],
)
def test_the_last_failure_is_told(failure: Exception, error: type, code: str) -> None:
    with pytest.raises(error) as raised:
        rungs(FakeRung("gpu", DeviceError("first")), FakeRung("plain", failure))
    assert raised.value.code == code


def test_languages_of_all_rungs_are_offered() -> None:
    ladder = Ladder([FakeRung("gpu"), FakeRung("plain")])
    assert ladder.languages == ("en", "gpu", "plain")
    assert ladder.rung == "gpu"
