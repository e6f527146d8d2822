"""The palette in a real Node-RED, speaking through the real service."""

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.lab.node_red import LANES, PALETTE, NodeRed, ears, run_palette_tests, scorecard
from tests.lab.speech_service import SpeechService

pytestmark = pytest.mark.slow

TOKEN = "lab-token"
TYPES = {"gptsovits-server", "gptsovits-speak", "gptsovits-voices"}
EXAMPLES = sorted((PALETTE / "examples").glob("*.json"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechService]:
    with SpeechService(tmp_path_factory.mktemp("service"), TOKEN) as service:
        yield service


@pytest.fixture(scope="module", params=LANES)
def node_red(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeRed]:
    with NodeRed(tmp_path_factory.mktemp("node-red"), lane=request.param) as node_red:
        yield node_red


@pytest.fixture
def house(node_red: NodeRed, service: SpeechService) -> NodeRed:
    """Node-RED with a flow that keeps what comes out of its nodes."""
    node_red.deploy(_flow(service.url))
    return node_red


def _flow(url: str) -> list[dict[str, Any]]:
    def inject(id: str, *targets: str) -> dict[str, Any]:
        props = [{"p": "payload"}]
        return {"id": id, "z": "tab", "type": "inject", "props": props, "wires": [[*targets]]}

    server = {"id": "server", "type": "gptsovits-server", "transport": "http", "url": url}
    speak = {"id": "speak", "z": "tab", "type": "gptsovits-speak", "server": "server"}
    voices = {"id": "voices", "z": "tab", "type": "gptsovits-voices", "server": "server"}
    return [
        {"id": "tab", "type": "tab", "label": "House"},
        {**server, "credentials": {"token": TOKEN}},
        inject("button", "speak"),
        {**speak, "wires": [["said"], ["failed"]], "format": "wav", "timeout": "30"},
        inject("list", "voices"),
        {**voices, "wires": [["listed"]]},
        {"id": "state", "z": "tab", "type": "status", "scope": ["speak"], "wires": [["shown"]]},
        *ears("tab", "said", "failed", "listed", "shown"),
    ]


def _out(house: NodeRed, key: str) -> dict[str, Any]:
    """The first message that came there."""
    messages: list[dict[str, Any]] = house.wait_for(key, lambda: house.kept(key) or None, 40)
    return messages[0]


def test_node_red_loads_the_palette(node_red: NodeRed) -> None:
    ours = [each for each in node_red.nodes() if set(each["types"]) & TYPES]
    assert {name for each in ours for name in each["types"]} == TYPES
    assert all(each["enabled"] and "err" not in each for each in ours)


def test_what_is_injected_is_heard_at_the_address_that_comes_out(house: NodeRed) -> None:
    house.inject("button", payload="The washing machine is done.")
    said = _out(house, "said")
    with urllib.request.urlopen(said["payload"], timeout=30) as answer:
        samples, rate = soundfile.read(io.BytesIO(answer.read()), dtype="float32")
    assert len(samples) / rate == pytest.approx(said["speech"]["seconds"], abs=0.05)
    assert 1 < len(samples) / rate < 6
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) > -35
    assert said["speech"]["rung"] in ("plain", "cache")
    assert house.kept("failed") == []


def test_a_refusal_comes_out_of_the_second_output(house: NodeRed) -> None:
    house.inject("button", payload="Hello.", voice="nobody")
    failed = _out(house, "failed")
    assert failed["error"]["code"] == "voice_not_found"
    assert failed["error"]["param"] == "voice"
    assert failed["payload"] == "Hello."
    assert house.kept("said") == []


def test_the_status_under_the_node_says_what_happens(house: NodeRed) -> None:
    house.inject("button", payload="The window is open.")
    seconds = _out(house, "said")["speech"]["seconds"]
    house.wait_for("two states", lambda: len(house.kept("shown")) == 2, 40)
    before, after = (each["status"]["text"] for each in house.kept("shown"))
    assert before == "speaking (1)"
    assert after in (f"plain, {seconds:.1f} s", f"cache, {seconds:.1f} s")


def test_the_voices_are_listed(house: NodeRed) -> None:
    house.inject("list")
    listed = _out(house, "listed")
    assert listed["default"] in {voice["id"] for voice in listed["payload"]}


def test_the_token_stays_in_node_red(house: NodeRed) -> None:
    exported = json.dumps(house.exported())
    assert '"gptsovits-server"' in exported
    assert "credentials" not in exported
    assert TOKEN not in exported
    assert house.credentials("gptsovits-server", "server") == {"has_token": True}
    kept = {path.name: path.read_text() for path in house.folder.glob("*.json")}
    assert {"flows.json", "flows_cred.json"} <= set(kept)
    assert [name for name, text in kept.items() if TOKEN in text] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_what_node_red_exports(node_red: NodeRed, example: Path) -> None:
    flow = json.loads(example.read_text())
    known = {name for each in node_red.nodes() for name in each["types"]} | {"tab"}
    assert {each["type"] for each in flow} <= known
    node_red.deploy(flow)
    assert node_red.exported() == flow


@pytest.mark.parametrize("example", ["announce", "doorbell", "read-aloud"])
def test_an_example_speaks(node_red: NodeRed, service: SpeechService, example: str) -> None:
    _start_example(node_red, service.url, example)
    assert _out(node_red, "said")["payload"].startswith(f"{service.url}/clips/")
    assert node_red.kept("failed") == []


def test_the_queue_guard_example_asks_again(node_red: NodeRed) -> None:
    _start_example(node_red, node_red.url, "queue-guard")
    node_red.wait_for("all eight", lambda: len(node_red.kept("said")) == 8, 90)
    attempts = [msg["attempts"] for msg in node_red.kept("said")]
    assert sorted(attempts) == [0, 0, 0, 0, 0, 1, 1, 1]
    assert len(node_red.kept("failed")) == 3


BUSY = """
const asked = flow.get("asked") + 1 || 1;
flow.set("asked", asked);
const error = {code: "queue_full", message: "busy"};
const clip = {id: "x", url: "http://box/x", seconds: 1, rung: "plain", voice: "plain"};
msg.statusCode = asked <= 3 ? 503 : 200;
msg.headers = {"Retry-After": "1"};
msg.payload = asked <= 3 ? {error} : clip;
return msg;
"""
THINKS = "msg.payload = {response: `**Yes**, ${msg.payload.model} thinks so.`}; return msg;"


def _start_example(node_red: NodeRed, url: str, example: str) -> None:
    """Deploy an example with the service at an address, and press its button.

    At Node-RED's own address are a language model and a service that is busy three times.
    """
    text = (PALETTE / "examples" / f"{example}.json").read_text()
    flow = json.loads(text.replace("http://ollama.local:11434", node_red.url))
    server = next(each for each in flow if each["type"] == "gptsovits-server")
    server |= {"url": url, "credentials": {"token": TOKEN}}
    speak = next(each for each in flow if each["type"] == "gptsovits-speak")
    speak["wires"][0].append("said")
    speak["wires"][1].append("failed")
    doors = []
    for name, path, does in (("model", "/api/generate", THINKS), ("busy", "/v1/clips", BUSY)):
        way = {"id": f"{name}-in", "type": "http in", "url": path, "method": "post"}
        doors += [
            {**way, "z": speak["z"], "wires": [[name]]},
            {"id": name, "type": "function", "func": does, "z": speak["z"], "wires": [["answer"]]},
        ]
    doors.append({"id": "answer", "type": "http response", "z": speak["z"], "wires": []})
    node_red.deploy([*flow, *doors, *ears(speak["z"], "said", "failed")])
    node_red.inject(next(each["id"] for each in flow if each["type"] == "inject"))


@pytest.mark.parametrize("lane", LANES)
def test_the_palette_passes_its_own_tests(lane: str) -> None:
    report = run_palette_tests(lane)
    assert "fail 0" in report
    assert "skipped 0" in report


def test_the_scorecard_of_node_red_is_clean() -> None:
    card = scorecard()
    assert card.pop("package")["version"]
    assert len(card) > 10
    assert [code for code, found in card.items() if not found["test"]] == []
