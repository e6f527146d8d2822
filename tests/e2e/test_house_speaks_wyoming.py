"""Home Assistant's own wyoming integration, no code of ours in it, speaks on a real player."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.lab.environments import home_assistant_python
from tests.lab.ground import lab_folder
from tests.lab.home_assistant import HomeAssistant
from tests.lab.listener import Listener
from tests.lab.player import SAMPLE_RATE, Player, provide_programs
from tests.lab.process import free_port
from tests.lab.speech_service import SpeechService
from tests.lab.word_errors import words, wrong_words
from tests.lab.wyoming_tap import WyomingTap

pytestmark = pytest.mark.slow
TEXT = "The washing machine is done. Please hang up the laundry, dinner will be ready soon."

STORY = " ".join(f"This is sentence number {number} of a long story." for number in range(6))
BEGINNING = 6.0  # seconds of it that Home Assistant is given before the player must be heard


@dataclass
class House:
    home_assistant: HomeAssistant
    player: Player
    service: SpeechService
    tap: WyomingTap
    entry: dict[str, object]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    provide_programs()
    home_assistant_python()
    runs = lab_folder() / "runs"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="wyoming-", dir=runs))
    port = free_port()
    with ExitStack() as stack:
        service = stack.enter_context(SpeechService(folder, "", wyoming_port=port))
        tap = stack.enter_context(WyomingTap(port))
        player = stack.enter_context(Player(folder))
        home = stack.enter_context(HomeAssistant(folder / "config"))
        home.add_integration("mpd", {"host": "127.0.0.1", "port": player.port})
        entry = home.add_integration("wyoming", {"host": "127.0.0.1", "port": tap.port})
        yield House(home, player, service, tap, entry)
    shutil.rmtree(folder)


def test_its_config_flow_finds_the_service(house: House) -> None:
    assert (house.entry["type"], house.entry["title"]) == ("create_entry", "gptsovits")
    assert house.home_assistant.entity("tts") == "tts.gptsovits"


@pytest.fixture(scope="module")
def spoken(house: House) -> str:
    """Have it speak; what a listener understood."""
    entity = house.home_assistant.entity("tts")
    speaker = house.home_assistant.entity("media_player")
    house.tap.events.clear()
    since, called = house.player.mark(), monotonic()
    fields = {"entity_id": entity, "media_player_entity_id": speaker, "message": TEXT}
    fields |= {"language": "en", "options": {"voice": "plain"}}
    house.home_assistant.post("/api/services/tts/speak", fields)
    played = house.player.await_announcement(since, called)
    return Listener().hear(played.samples, SAMPLE_RATE)


def test_the_player_says_what_was_asked_for(spoken: str) -> None:
    assert wrong_words(TEXT, spoken) / len(words(TEXT)) <= 0.1, spoken


def test_it_streams_both_ways(house: House, spoken: str) -> None:
    said = [kind for side, kind in house.tap.events if side == "client" and "synth" in kind]
    assert said == ["synthesize-start", "synthesize-chunk", "synthesize", "synthesize-stop"]
    heard = [kind for side, kind in house.tap.events if side == "server"]
    assert heard[0] == "audio-start"
    assert heard[-2:] == ["audio-stop", "synthesize-stopped"]
    assert heard.count("audio-chunk") > 1
    assert heard.count("audio-start") == 1, "what is sent for older servers is not said again"


def test_it_plays_before_the_end_has_left_the_service(house: House) -> None:
    entity = house.home_assistant.entity("tts")
    speaker = house.home_assistant.entity("media_player")
    fields = {"entity_id": entity, "media_player_entity_id": speaker, "message": STORY}
    fields |= {"language": "en", "options": {"voice": "plain"}, "cache": False}
    house.tap.free = BEGINNING
    house.tap.gate.clear()
    since, called = house.player.mark(), monotonic()
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(house.home_assistant.post, "/api/services/tts/speak", fields)
        deadline = monotonic() + 100
        while house.player.mark() == since:
            assert monotonic() < deadline, "nothing was played before the end was there"
            sleep(0.05)
        house.tap.gate.set()
        asked.result(100)
    played = house.player.await_announcement(since, called)
    assert played.seconds > BEGINNING + 5


def test_the_door_is_the_wyoming_one(house: House, spoken: str) -> None:
    assert "door wyoming, outcome done, voice plain" in house.service.tail()
