"""The palette in Node-RED's editor, in a real Chromium."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.lab.browser import PROGRAM, Browser
from tests.lab.node_red import LANES, PALETTE, NodeRed
from tests.lab.speech_service import SpeechService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
EXAMPLES = sorted((PALETTE / "examples").glob("*.json"))
LOADED = "window.RED && RED.nodes && RED.workspaces && RED.workspaces.active()"
EXPORTED = "JSON.stringify(RED.nodes.createCompleteNodeSet({credentials: false}))"
INVALID = "RED.nodes.filterNodes({}).filter((node) => !node.valid).map((node) => node.id)"
SPEAK = "RED.nodes.filterNodes({type: 'gptsovits-speak'})[0]"
HELP = "document.querySelector('#red-ui-sidebar').textContent"


@pytest.fixture(scope="module", params=LANES)
def node_red(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeRed]:
    with NodeRed(tmp_path_factory.mktemp("node-red"), lane=request.param) as node_red:
        yield node_red


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechService]:
    with SpeechService(tmp_path_factory.mktemp("service"), "") as service:
        yield service


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with Browser(tmp_path, tmp_path / "no-microphone.wav") as browser:
        yield browser
        assert browser.problems == []


async def test_the_examples_are_what_the_editor_exports(
    node_red: NodeRed, browser: Browser
) -> None:
    nodes = [node for example in EXAMPLES for node in json.loads(example.read_text())]
    node_red.deploy(nodes)
    await browser.open(node_red.url)
    await browser.until(f"({LOADED}) && RED.nodes.node({nodes[-1]['id']!r}) !== null")
    exported = {node["id"]: node for node in json.loads(await browser.run(EXPORTED))}
    assert exported == {node["id"]: node for node in nodes}
    assert await browser.run(INVALID) == []


async def test_the_node_opens_beside_its_help(
    node_red: NodeRed, browser: Browser, service: SpeechService, tmp_path: Path
) -> None:
    flow = json.loads((PALETTE / "examples" / "doorbell.json").read_text())
    next(each for each in flow if each["type"] == "gptsovits-server")["url"] = service.url
    node_red.deploy(flow)
    await browser.open(node_red.url, 1280, 860)
    await browser.until(f"Boolean(({LOADED}) && {SPEAK})")
    await browser.run(f"RED.editor.edit({SPEAK}), true")
    await browser.until("document.querySelector('#node-input-chime') !== null")
    assert await browser.run("document.querySelector('#node-input-chime').value") == "doorbell"
    await browser.until("document.querySelector('#gptsovits-speak-voices option') !== null")
    await browser.run("RED.sidebar.help.show('gptsovits-speak'), true")
    await browser.until(f"{HELP}.includes('Each message leaves by exactly one')")
    await browser.picture(tmp_path / "node-red.png")
    assert (tmp_path / "node-red.png").stat().st_size > 20_000
