"""The palette in Node-RED's editor, in a real Chromium."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.browser import PROGRAM, Browser
from tests.lab.node_red import LANES, PALETTE, NodeRed
from tests.lab.speech_service import SpeechService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"),
]
PACKAGE = json.loads((PALETTE / "package.json").read_text())["name"]
EXAMPLES = sorted((PALETTE / "examples").glob("*.json"))
LOADED = "window.RED && RED.nodes && RED.workspaces && RED.workspaces.active()"
EXPORTED = "JSON.stringify(RED.nodes.createCompleteNodeSet({credentials: false}))"
INVALID = "RED.nodes.filterNodes({}).filter((node) => !node.valid).map((node) => node.id)"
SPEAK = "RED.nodes.filterNodes({type: 'gptsovits-speak'})[0]"
EXAMPLES_TAB = "document.querySelector('#red-ui-clipboard-dialog-import-tab-examples')"
STATUS = """
[...document.querySelectorAll('.red-ui-flow-node-status-label')]
    .map((each) => each.textContent).find((text) => text)"""
UNKNOWN = """
RED.nodes.filterNodes({}).map((node) => node.type).filter((type) => !RED.nodes.getType(type))"""
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


async def test_the_examples_are_imported(node_red: NodeRed, browser: Browser) -> None:
    node_red.deploy([])
    await browser.open(node_red.url)
    await browser.until(f"Boolean({LOADED}) && Boolean(RED.nodes.getType('gptsovits-speak'))")
    await browser.run("RED.actions.invoke('core:show-examples-import-dialog')")
    await browser.until(f"({EXAMPLES_TAB})?.textContent.includes({PACKAGE!r})")
    for example in EXAMPLES:
        flow = json.dumps(json.loads(example.read_text()))
        assert await browser.run(f"RED.nodes.import({flow}, {{generateIds: true}}) && true")
    assert await browser.run(INVALID) == []
    assert await browser.run(UNKNOWN) == []
    speaking = "RED.nodes.filterNodes({type: 'gptsovits-speak'}).length"
    assert await browser.run(speaking) >= len(EXAMPLES) - 1


async def test_the_status_is_live(
    node_red: NodeRed, browser: Browser, service: SpeechService
) -> None:
    node_red.deploy(_speaking(service.url))
    await browser.open(node_red.url)
    await browser.until(f"Boolean(({LOADED}) && {SPEAK})")
    node_red.inject("button", payload="The dishwasher is done.")
    await browser.until(f"/^(plain|cache), \\d+\\.\\d s$/.test(({STATUS}) ?? '')")
    node_red.inject("button", payload="Who is it?", voice="nobody")
    await browser.until(f"({STATUS}) === 'failed: voice_not_found'")


async def test_the_editor_speaks_chinese(
    node_red: NodeRed, browser: Browser, service: SpeechService
) -> None:
    node_red.deploy(_speaking(service.url))
    await browser.open(node_red.url)
    await browser.run("localStorage.setItem('editor-language', 'zh-CN')")
    await browser.open(f"{node_red.url}/?again")
    await browser.until(f"Boolean(({LOADED}) && {SPEAK})")
    for node in ("speak", "voices"):
        shown = f"document.querySelector('[data-palette-type=\"gptsovits-{node}\"]').textContent"
        assert _word(f"gptsovits-{node}", "palette") in await browser.run(shown)
    await browser.run(f"RED.editor.edit({SPEAK}), true")
    await browser.until("document.querySelector('#node-input-chime') !== null")
    form = "document.querySelector('#node-input-chime').closest('form').textContent"
    for label in ("server", "voice", "priority", "expires", "chime", "timeout"):
        assert _word("gptsovits-speak", "label", label) in await browser.run(form)
    await browser.run("RED.sidebar.help.show('gptsovits-speak'), true")
    await browser.until(f"{HELP}.includes('每条消息恰好从两个输出端之一离开')")


def _word(node: str, *path: str) -> str:
    words = json.loads((PALETTE / "nodes/locales/zh-CN" / f"{node}.json").read_text())[node]
    for step in path:
        words = words[step]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in words)
    return str(words)


def _speaking(url: str) -> list[dict[str, Any]]:
    place = {"z": "tab", "x": 200, "y": 100}
    button = {"id": "button", "type": "inject", "props": [{"p": "payload"}], **place}
    speak = {"id": "speak", "type": "gptsovits-speak", "server": "server", **place}
    return [
        {"id": "tab", "type": "tab", "label": "House"},
        {"id": "server", "type": "gptsovits-server", "transport": "http", "url": url},
        {**button, "wires": [["speak"]]},
        {**speak, "format": "wav", "timeout": "30", "wires": [[], []]},
    ]


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
