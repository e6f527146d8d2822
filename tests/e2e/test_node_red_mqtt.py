"""The speak node and the service's MQTT door, with a real broker between them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.broker import Broker, provide_mosquitto
from tests.lab.node_red import LANES, PALETTE, NodeRed, ears
from tests.lab.speech_service import SpeechService

pytestmark = pytest.mark.slow

MANY = 50


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    provide_mosquitto()
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.stop()


@pytest.fixture
def service(tmp_path: Path, broker: Broker) -> Iterator[SpeechService]:
    settings = {"mqtt_host": "127.0.0.1", "mqtt_port": broker.port}
    with SpeechService(tmp_path / "service", "", **settings) as service:
        yield service


@pytest.fixture
def house(tmp_path: Path, broker: Broker, service: SpeechService) -> Iterator[NodeRed]:
    with NodeRed(tmp_path / "node-red") as node_red:
        node_red.deploy(_flow(broker.port))
        yield node_red


def _flow(port: int) -> list[dict[str, Any]]:
    many = (
        f"for (let number = 0; number < {MANY}; number++) "
        "node.send({payload: `Number ${number}.`, voice: number % 10 ? '' : 'nobody', number});"
    )
    broker = {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(port)}
    server = {"id": "server", "type": "gptsovits-server", "transport": "mqtt", "url": ""}
    speak = {"id": "speak", "z": "tab", "type": "gptsovits-speak", "server": "server"}
    inject = {"type": "inject", "z": "tab", "props": [{"p": "payload"}]}
    return [
        {"id": "tab", "type": "tab", "label": "House"},
        {**broker, "protocolVersion": "5", "cleansession": True, "keepalive": "15"},
        {**server, "broker": "broker", "topic": "gptsovits"},
        {**inject, "id": "button", "wires": [["speak"]]},
        {**inject, "id": "lot", "wires": [["many"]]},
        {"id": "many", "z": "tab", "type": "function", "func": many, "wires": [["speak"]]},
        {**speak, "timeout": "90", "wires": [["said"], ["failed"]]},
        *ears("tab", "said", "failed"),
    ]


def test_a_message_is_said_through_the_broker(house: NodeRed, service: SpeechService) -> None:
    house.inject("button", payload="Dinner is ready.", id="dinner")
    said = house.wait_for("speech", lambda: house.kept("said") or None, 40)[0]
    assert said["speech"]["id"] == "dinner"
    assert said["payload"].startswith(f"{service.url}/clips/")


def test_many_all_leave_once_though_the_broker_is_killed(house: NodeRed, broker: Broker) -> None:
    house.inject("lot")
    house.wait_for("a first one", lambda: house.kept("said") or None, 40)
    broker.kill()
    time.sleep(1)
    broker.start()
    house.wait_for("all", lambda: _out(house) >= MANY, 90)
    numbers = [msg["number"] for key in ("said", "failed") for msg in house.kept(key)]
    assert sorted(numbers) == list(range(MANY))
    assert {msg["error"]["code"] for msg in house.kept("failed")} == {"voice_not_found"}
    assert len(house.kept("failed")) == MANY / 10


def _out(house: NodeRed) -> int:
    return len(house.kept("said")) + len(house.kept("failed"))


@pytest.mark.parametrize("lane", LANES)
def test_the_core_nodes_do_without_ours(
    tmp_path: Path, broker: Broker, service: SpeechService, lane: str
) -> None:
    text = (PALETTE / "examples" / "core-mqtt-only.json").read_text()
    flow = json.loads(text.replace("homeassistant.local", "127.0.0.1"))
    named = {(each["type"], each.get("name")): each for each in flow}
    named["mqtt-broker", ""]["port"] = str(broker.port)
    for outcome in ("said", "failed"):
        named["mqtt in", outcome]["wires"] = [[outcome]]
    tab = next(each["id"] for each in flow if each["type"] == "tab")
    with NodeRed(tmp_path / "node-red", lane=lane) as node_red:
        node_red.deploy([*flow, *ears(tab, "said", "failed")])
        # What was said before it listens is not heard.
        log = broker.folder / "mosquitto.log"
        told = "Sending SUBACK to nodered"
        node_red.wait_for("ears", lambda: log.read_text().count(told) >= 2, 60)
        for button, count in (("only text", 1), ("with fields", 2)):
            node_red.inject(named["inject", button]["id"])
            node_red.wait_for("answer", lambda n=count: len(node_red.kept("said")) == n, 60)
        said = [each["payload"] for each in node_red.kept("said")]
        assert all(each["seconds"] > 0.5 for each in said)
        assert [each["url"].startswith(service.url) for each in said] == [True, True]
        assert node_red.kept("failed") == []
