"""What the integration promises, in a real Home Assistant: nothing here is faked but the talker.

One house for the whole file; its tests go through it in this order, the last ones break it.
"""

import asyncio
import io
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.lab.full_house import DEGRADED, LAST, OTHER_TTS, READY, SPEAKER, TTS, FullHouse
from tests.lab.ground import LabError
from tests.lab.home_assistant import INTEGRATION
from tests.lab.home_assistant_socket import HomeSocket
from tests.lab.language_model import NAME, LanguageModel
from tests.lab.listener import Listener
from tests.lab.player import SAMPLE_RATE
from tests.lab.rooms import enrol, make_pipeline
from tests.lab.word_errors import words, wrong_words
from tests.service.recordings import SAID

pytestmark = pytest.mark.slow
TOKEN, NEW_TOKEN = "family-only", "somebody-told-the-neighbours"
TEXT = "The washing machine is done."


@pytest.fixture(scope="module")
def house() -> Iterator[FullHouse]:
    with FullHouse(TOKEN) as house:
        yield house


def direct(house: FullHouse, text: str, **fields: object) -> NDArray[np.int16]:
    """(samples,) at SAMPLE_RATE, from the service itself."""
    body = {"input": text, "response_format": "pcm", "sample_rate": SAMPLE_RATE, **fields}
    request = urllib.request.Request(
        f"{house.service.url}/v1/audio/speech",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return np.frombuffer(answer.read(), "<i2")


def likeness(sound: NDArray[np.int16], wanted: NDArray[np.int16], within: float = 0.3) -> float:
    """The best correlation of `wanted` with `sound`, begun at most `within` seconds later."""
    size = 1 << (len(wanted) + round(within * SAMPLE_RATE)).bit_length()
    heard, pattern = np.fft.rfft(sound[:size], size * 2), np.fft.rfft(wanted, size * 2)
    products = np.fft.irfft(heard * np.conj(pattern))[: round(within * SAMPLE_RATE)]
    at = int(np.argmax(products))
    piece = sound[at : at + len(wanted)].astype(np.float64)
    whole = np.linalg.norm(piece) * np.linalg.norm(wanted.astype(np.float64))
    return float(products[at] / whole)


def test_speak(house: FullHouse) -> None:
    fields = {"entity_id": TTS, "media_player_entity_id": SPEAKER, "message": TEXT}
    played, _ = house.hear("tts.speak", fields)
    assert played.seconds == pytest.approx(len(direct(house, TEXT)) / SAMPLE_RATE, abs=0.3)
    last = house.home.state(LAST)
    assert last is not None
    assert last["attributes"].items() >= {"event_type": "spoken", "rung": "plain"}.items()


def test_announce_with_a_chime_at_its_volume(house: FullHouse) -> None:
    house.player.turn(80)
    quiet = lambda: house.shows(SPEAKER) != "playing"  # noqa: E731
    house.until("end of what was said before", quiet, refresh=SPEAKER)
    text = "Dinner is ready, come to the table."
    since = house.player.mark()
    fields = {"entity_id": SPEAKER, "text": text, "chime": "dingdong", "volume": 0.4}
    told = house.home.post(f"/api/services/{INTEGRATION}/announce?return_response", fields)
    assert told["service_response"] == {"tts_entity": TTS, "players": [SPEAKER], "failed": {}}
    house.until("announcement at its volume", lambda: house.player.volume() == 40)
    played = house.player.await_announcement(since, 0.0)
    house.until("volume as before", lambda: house.player.volume() == 80, refresh=SPEAKER)
    alone, chimed = direct(house, text), direct(house, text, chime="dingdong")
    chime = chimed[: round(1.8 * SAMPLE_RATE)]
    assert played.seconds == pytest.approx(len(alone) / SAMPLE_RATE + 1.95, abs=0.3)
    assert likeness(played.samples, chime) > 0.9
    assert likeness(played.samples, alone) < 0.5


def test_an_excluded_player_stays_silent(house: FullHouse) -> None:
    # As the interface of Home Assistant 2026.11 writes it ("Exclude target").
    fields = {"entity_id": SPEAKER, "exclude": {"entity_id": [SPEAKER]}, "text": TEXT}
    with pytest.raises(LabError, match=r"400: .*None of the targets"):
        house.home.post(f"/api/services/{INTEGRATION}/announce", fields)


async def test_an_assist_answer_is_heard_while_it_is_still_being_written(
    house: FullHouse,
) -> None:
    begin = "The washing machine is done, and somebody should hang up the laundry now. The garden"
    end = "has been watered, and all windows are closed."
    async with (
        LanguageModel(begin, end) as model,
        HomeSocket(house.home.url, house.home.token) as socket,
        aiohttp.ClientSession() as http,
    ):
        agent = await asyncio.to_thread(add_agent, house, model.url)
        pipeline = await asyncio.to_thread(make_pipeline, house, agent)
        await socket.ask(
            "assist_pipeline/run",
            start_stage="intent",
            end_stage="tts",
            pipeline=pipeline,
            input={"text": "What is new at home?"},
        )
        events = socket.events()
        start = await anext(event async for event in events if event["type"] == "run-start")
        output = start["data"]["tts_output"]
        assert output["stream_response"]
        async with http.get(f"{house.home.url}{output['url']}") as response:
            first = await response.content.readexactly(2000)
            assert not model.go_on.is_set(), "only now may the answer be finished"
            model.go_on.set()
            sound = first + await response.content.read()
        kinds = [event["type"] async for event in until_end(events)]
    assert "error" not in kinds
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="int16")
    heard = Listener().hear(samples, rate)
    assert wrong_words(f"{begin} {end}", heard) / len(words(f"{begin} {end}")) <= 0.15, heard


async def until_end(events: Any) -> Any:
    async for event in events:
        yield event
        if event["type"] == "run-end":
            return


def add_agent(house: FullHouse, model_url: str) -> str:
    """Let Home Assistant know our language model; returns the id of its agent."""
    entry = house.home.add_integration("ollama", {"url": model_url})["result"]["entry_id"]
    talk = {"name": "Parrot", "model": NAME}
    made = house.home.walk("subentries/flow", [entry, "conversation"], talk)
    assert made["type"] == "create_entry", made
    agent = "conversation.parrot"
    house.until("agent", lambda: house.shows(agent))
    return agent


def voices(house: FullHouse) -> list[str]:
    listed = house.home.ask("tts/engine/voices", engine_id=TTS, language="en")["voices"]
    return [voice["name"] for voice in listed]


def test_a_voice_that_is_added_meanwhile_is_offered_without_a_reload(house: FullHouse) -> None:
    assert voices(house) == ["Plain voice"]
    enrol(house, "Grandma")
    house.until("new voice", lambda: "Grandma" in voices(house), refresh=READY)
    assert "Unloading" not in house.home.tail()


def test_a_voice_is_set_up_as_an_entity_of_its_own_and_speaks(house: FullHouse) -> None:
    manner = {"voice": "grandma", "speed": 1.5, "sampling": {}}
    made = house.home.walk("subentries/flow", [house.entry, "voice"], manner)
    assert made["type"] == "create_entry", made
    house.until("voice entity", lambda: house.shows("tts.grandma") not in (None, "unavailable"))
    fields = {"entity_id": "tts.grandma", "media_player_entity_id": SPEAKER, "message": SAID}
    played, _ = house.hear("tts.speak", fields)
    faster = len(direct(house, SAID, speed=1.5)) / SAMPLE_RATE
    assert played.seconds == pytest.approx(faster, abs=0.3)
    assert faster < 0.8 * len(direct(house, SAID)) / SAMPLE_RATE


def test_while_the_service_is_gone_another_engine_announces(house: FullHouse) -> None:
    chosen = {"fallback_entity": OTHER_TTS}
    done = house.home.walk("options/flow", house.entry, chosen)
    assert done["type"] == "create_entry", done
    house.until("entity", lambda: house.shows(TTS) not in (None, "unavailable"))
    house.service.stop()
    # The very next one, before Home Assistant has noticed.
    text = "Somebody is standing at the front door."
    played, told = house.announce(text)
    assert told["tts_entity"] == OTHER_TTS
    assert played.seconds == pytest.approx(len(played.samples) / SAMPLE_RATE)
    house.until("unavailable", lambda: house.shows(TTS) == "unavailable", refresh=READY)
    house.until("repair", lambda: house.issues() == ["unreachable"], refresh=READY)
    assert house.shows(READY) == "off"
    _, told = house.announce("And one more, now that it is known.")
    assert told["tts_entity"] == OTHER_TTS


def test_the_service_comes_back_without_its_best_rung_and_the_plain_voice_speaks(
    house: FullHouse,
) -> None:
    house.restart_service(remote_url="http://127.0.0.1:9")
    house.until("cleared repair", lambda: not house.issues(), refresh=READY)
    house.until("degraded", lambda: house.shows(DEGRADED) == "on", refresh=READY)
    assert house.shows(TTS) != "unavailable"
    text = "The big computer is asleep, but the house speaks."
    played, told = house.announce(text)
    assert told["tts_entity"] == TTS
    assert played.seconds == pytest.approx(len(direct(house, text)) / SAMPLE_RATE, abs=0.3)
    last = house.home.state(LAST)
    assert last is not None
    assert last["attributes"].items() >= {"event_type": "spoken", "rung": "plain"}.items()


def test_a_changed_token_is_asked_for_and_then_it_speaks_again(house: FullHouse) -> None:
    house.token = NEW_TOKEN
    house.restart_service()

    def asked() -> str | None:
        flows = house.home.ask("config_entries/flow/progress")
        ours = (flow for flow in flows if flow["handler"] == INTEGRATION)
        return next((f["flow_id"] for f in ours if f["context"]["source"] == "reauth"), None)

    flow = house.until("question for the token", asked, refresh=READY)
    path = f"/api/config/config_entries/flow/{flow}"
    assert house.announce("The key has changed.")[1]["tts_entity"] == OTHER_TTS
    assert house.home.post(path, {"token": TOKEN})["errors"] == {"base": "invalid_auth"}
    ended = house.home.post(path, {"token": NEW_TOKEN})
    assert (ended["type"], ended["reason"]) == ("abort", "reauth_successful")
    house.until("entity", lambda: house.shows(TTS) not in (None, "unavailable"))
    played, told = house.announce("I know the new word.")
    assert told["tts_entity"] == TTS
    assert played.seconds > 0.5


def test_it_is_removed_without_a_trace(house: FullHouse) -> None:
    house.home.delete(f"/api/config/config_entries/entry/{house.entry}")
    ours = (TTS, LAST, READY, DEGRADED, "tts.grandma")
    assert [house.shows(entity) for entity in ours] == [None] * len(ours)
    assert house.issues() == []
