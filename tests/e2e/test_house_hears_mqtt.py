"""MQTT, all of it real: Mosquitto, the service, Home Assistant with MQTT, a player."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.mqtt_discovery import Described, description, topic
from service.voice import Voice
from tests.lab.broker import Broker, provide_mosquitto
from tests.lab.environments import home_assistant_python
from tests.lab.ground import lab_folder
from tests.lab.home_assistant import HomeAssistant
from tests.lab.mqtt_client import Visitor
from tests.lab.node_red import LANES, NodeRed, ears
from tests.lab.player import Player, provide_programs
from tests.lab.speech_service import SpeechService

pytestmark = pytest.mark.slow

ENTITIES = {
    "notify.family_voices_say_as_plain_voice",
    "select.family_voices_voice",
    "button.family_voices_test",
    "sensor.family_voices_queue",
    "sensor.family_voices_latency",
    "sensor.family_voices_rung",
    "event.family_voices_said",
    "event.family_voices_failed",
}
PLAIN_LINE = {"set_ca_cert": "off", "set_client_cert": False}
SENTENCE = "The garden has been watered, so the sprinkler stays dry until tomorrow evening. "
SAID = "gptsovits/said"
LONG = (SENTENCE * 8)[:600]


@dataclass
class House:
    broker: Broker
    home_assistant: HomeAssistant
    player: Player
    clocked: Player
    service: SpeechService
    visitor: Visitor
    speaker: str
    clocked_speaker: str

    def states(self) -> dict[str, str]:
        found = self.home_assistant.get("/api/states")
        return {each["entity_id"]: each["state"] for each in found if _ours(each["entity_id"])}


def _url(state: dict[str, Any] | None) -> object:
    return (state or {}).get("attributes", {}).get("url")


def _speakers(home: HomeAssistant) -> set[str]:
    names = {each["entity_id"] for each in home.get("/api/states")}
    return {each for each in names if each.startswith("media_player.")}


def _ours(entity: str) -> bool:
    return ".family_voices_" in entity


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    provide_programs()
    provide_mosquitto()
    home_assistant_python()
    runs = lab_folder() / "runs"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="mqtt-", dir=runs))
    with ExitStack() as stack:
        broker = Broker(folder / "broker")
        stack.callback(broker.stop)
        player = stack.enter_context(Player(folder, hurry=True))
        (folder / "clocked").mkdir()
        clocked = stack.enter_context(Player(folder / "clocked"))
        home = stack.enter_context(HomeAssistant(folder / "config"))
        home.add_integration("mpd", {"host": "127.0.0.1", "port": player.port})
        speaker = home.entity("media_player")
        home.add_integration("mpd", {"host": "127.0.0.1", "port": clocked.port})
        other = home.wait_for("second player", lambda: (_speakers(home) - {speaker}) or None, 60)
        place = {"broker": "127.0.0.1", "port": broker.port, "other_settings": PLAIN_LINE}
        step = home.add_integration("mqtt", place)
        assert step["type"] == "create_entry", step
        service = stack.enter_context(
            SpeechService(
                folder,
                "",
                mqtt_host="127.0.0.1",
                mqtt_port=broker.port,
                mqtt_players=speaker,
                home_assistant_url=home.url,
                home_assistant_token=home.token,
            )
        )
        visitor = stack.enter_context(Visitor(broker.port))
        yield House(broker, home, player, clocked, service, visitor, speaker, other.pop())


def test_the_entities_appear(house: House) -> None:
    home = house.home_assistant
    home.wait_for("entities", lambda: set(house.states()) == ENTITIES, 60)
    home.wait_for("availability", lambda: "unavailable" not in house.states().values(), 60)
    assert house.states()["sensor.family_voices_rung"] == "plain"
    assert house.states()["select.family_voices_voice"] == "plain"


def test_every_voice_and_model_is_an_entity(house: House) -> None:
    people = [Voice(name.lower(), name, ("en",), "1", "onnxruntime") for name in ("Mum", "Dad")]
    now = Described(people, ("amy-v2", "amy-v4"))
    described = description("other", "other", now, "", Described([], ()))
    config = topic("other")
    house.visitor.publish(config, described, retain=True)
    house.visitor.publish("other/status", "online", retain=True)
    house.visitor.publish("other/state", '{"voice": "dad", "model": "amy-v4"}', retain=True)
    home = house.home_assistant
    states = {
        "select.family_voices_model": "amy-v4",
        "notify.family_voices_say_as_mum": "unknown",
        "notify.family_voices_say_as_dad": "unknown",
    }
    home.wait_for("entities", lambda: states.items() <= house.states().items(), 60)
    options = home.state("select.family_voices_model")["attributes"]["options"]
    assert options == ["auto", "amy-v2", "amy-v4"]
    chosen = {"entity_id": "select.family_voices_model", "option": "amy-v2"}
    home.post("/api/services/select/select_option", chosen)
    home.wait_for("choice", lambda: house.visitor.on("other/model/set") == ["amy-v2"], 60)
    for each in (config, "other/status", "other/state"):
        house.visitor.publish(each, "", retain=True)
    home.wait_for("their end", lambda: set(house.states()) == ENTITIES, 60)


def test_a_message_of_600_characters_is_spoken_whole(house: House) -> None:
    message = {"entity_id": "notify.family_voices_say_as_plain_voice", "message": LONG}
    since, called = house.player.mark(), time.monotonic()
    house.home_assistant.post("/api/services/notify/send_message", message)
    played = house.player.await_announcement(since, called, 120)
    [said] = house.service.wait_for("answer", lambda: house.visitor.on(SAID) or None, 60)
    print(f"{said['seconds']} s made, {played.seconds:.1f} s played at {played.level:.1f} dBFS")
    assert said["seconds"] > 25
    assert played.seconds == pytest.approx(said["seconds"], rel=0.03)
    assert played.level > -35
    home = house.home_assistant
    home.wait_for("event", lambda: _url(home.state("event.family_voices_said")) == said["url"], 60)


def test_the_button_is_heard(house: House) -> None:
    since, called = house.player.mark(), time.monotonic()
    button = {"entity_id": "button.family_voices_test"}
    house.home_assistant.post("/api/services/button/press", button)
    assert house.player.await_announcement(since, called).seconds > 1


def test_players_are_turned_and_turned_back(house: House) -> None:
    player = house.clocked
    player.turn(70)
    since, called = player.mark(), time.monotonic()
    house.visitor.say(text=SENTENCE * 2, id="soft", volume=0.3, players=house.clocked_speaker)
    player.wait_for("lower volume", lambda: player.volume() == 30, 60)
    assert player.await_announcement(since, called).seconds > 6
    player.wait_for("volume of before", lambda: player.volume() == 70, 60)


@pytest.mark.parametrize("lane", LANES)
def test_what_a_flow_says_is_played(house: House, lane: str, tmp_path: Path) -> None:
    with NodeRed(tmp_path / "node-red", lane=lane) as node_red:
        node_red.deploy(_flow(house.broker.port, house.speaker))
        since, called = house.player.mark(), time.monotonic()
        node_red.inject("button", payload=f"Node-RED {lane} says that dinner is ready.")
        played = house.player.await_announcement(since, called)
        said = node_red.wait_for("speech", lambda: node_red.kept("said") or None, 60)[0]
        assert node_red.kept("failed") == []
    assert said["speech"]["players"] == [house.speaker]
    assert played.seconds == pytest.approx(said["speech"]["seconds"], rel=0.1)
    assert played.level > -35


def _flow(port: int, speaker: str) -> list[dict[str, object]]:
    broker = {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port)}
    server = {"id": "server", "type": "gptsovits-server", "transport": "mqtt", "url": ""}
    speak = {"id": "speak", "z": "tab", "type": "gptsovits-speak", "server": "server"}
    inject = {"type": "inject", "z": "tab", "props": [{"p": "payload"}]}
    return [
        {"id": "tab", "type": "tab", "label": "House"},
        {**broker, "protocolVersion": "5", "cleansession": True, "keepalive": "15"},
        {**server, "broker": "broker", "topic": "gptsovits"},
        {**inject, "id": "button", "wires": [["speak"]]},
        {**speak, "players": speaker, "timeout": "60", "wires": [["said"], ["failed"]]},
        *ears("tab", "said", "failed"),
    ]


def test_they_go_with_the_bridge(house: House) -> None:
    house.service.stop()
    home = house.home_assistant
    home.wait_for("end", lambda: set(house.states().values()) == {"unavailable"}, 60)
