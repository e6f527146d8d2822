"""The whole way, all of it real: service, Home Assistant, player, and ears that understand.

`tts.speak` is called in a Home Assistant that got the integration through its config flow, and what
is checked is the sound that left the player.
"""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.home import TOKEN, Home
from tests.lab.home_assistant import INTEGRATION
from tests.lab.listener import Listener
from tests.lab.player import SAMPLE_RATE, Played
from tests.lab.word_errors import words, wrong_words

pytestmark = pytest.mark.slow

# Without numbers: speech writes them as words, Whisper as digits.
SENTENCES = (
    "The washing machine is done, please hang up the laundry.",
    "Dinner will be ready soon. Wash your hands and come to the table.",
    "Someone is standing at the front door.",
    "Good night. All windows are closed and the lights are off.",
    "The garden has been watered, so the sprinkler stays dry until tomorrow evening.",
)


@dataclass(frozen=True)
class Announcement:
    text: str
    played: Played
    expected_seconds: float
    heard: str


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with Home() as home:
        yield home


@pytest.fixture(scope="module")
def announcements(home: Home) -> list[Announcement]:
    listener = Listener()
    made = []
    for text in SENTENCES:
        played = home.announce(text)
        seconds = _speak_directly(home, text)[1]
        heard = listener.hear(played.samples, SAMPLE_RATE)
        made.append(Announcement(text, played, seconds, heard))
        print(f"{seconds:.2f} s made, {played.seconds:.2f} s played at {played.level:.1f} dBFS, ")
        print(f"first sound after {played.first_sound:.2f} s: {heard!r}")
    return made


def _speak_directly(home: Home, text: str) -> tuple[str, float]:
    """The rung that speaks and the seconds of sound, from the service itself."""
    request = urllib.request.Request(
        f"{home.service.url}/v1/audio/speech",
        json.dumps({"input": text, "response_format": "pcm"}).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        samples = len(answer.read()) / 2
        rate = int(answer.headers["X-Audio-Sample-Rate"])
        return answer.headers["X-Speech-Rung"], samples / rate


def test_the_service_says_that_the_plain_voice_speaks(home: Home) -> None:
    assert _speak_directly(home, "Hello.")[0] == "plain"


def test_every_announcement_is_played_whole(announcements: list[Announcement]) -> None:
    for said in announcements:
        assert said.played.seconds == pytest.approx(said.expected_seconds, abs=0.3), said.text


def test_every_announcement_can_be_heard(announcements: list[Announcement]) -> None:
    for said in announcements:
        assert -35 < said.played.level < -10, said.text


def test_the_words_are_understood(announcements: list[Announcement]) -> None:
    wrong = sum(wrong_words(said.text, said.heard) for said in announcements)
    total = sum(len(words(said.text)) for said in announcements)
    assert wrong / total <= 0.10, [said.heard for said in announcements]


def test_the_player_fetched_the_sound_from_home_assistant(
    home: Home, announcements: list[Announcement]
) -> None:
    assert f"{home.home_assistant.url}/api/tts_proxy/" in home.player.log.read_text()


@pytest.mark.parametrize(
    ("token", "end"),
    [
        (TOKEN, {"type": "abort", "reason": "already_configured"}),
        ("stranger", {"type": "form", "errors": {"base": "invalid_auth"}}),
    ],
)
def test_the_config_flow_knows_the_service(home: Home, token: str, end: dict[str, object]) -> None:
    answers = {"host": "127.0.0.1", "port": home.service.port, "token": token}
    step = home.home_assistant.add_integration(INTEGRATION, answers)
    assert end.items() <= step.items()
