"""Another box's service as a rung: with a made-up one that misbehaves, and with two real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from engines.audio import load_recording
from engines.errors import TextError
from service import remote as remote_module
from service import wake_on_lan, watching
from service.app import HEALTH, create_app
from service.config import Settings
from service.health import Health
from service.ladder import Fallback
from service.remote import RELAYED, RemoteBusy, RemoteLacks, RemoteLost, RemoteRung
from service.sampling import Sampling
from service.utterance import Utterance
from service.voices import VoiceStore
from service.wake_on_lan import WakeOnLan
from tests.service.conftest import FakeSynthesizer, eventually
from tests.service.test_model_rung import FACTS, REFERENCE

MUM = Utterance("Hello.", "mum", "en")
TONE = np.full(3200, 6553, "<i2").tobytes()


def listed(voice: str, revision: str = "1", **changes: object) -> dict[str, object]:
    known = {"id": voice, "revision": revision, "cloned": True, "usable": True, "rung": "tensorrt"}
    return known | changes


@dataclass
class MadeUpBox:
    """A service that answers what a test wants it to."""

    url: str = ""
    voices: list[dict[str, object]] = field(default_factory=lambda: [listed("mum")])
    status: int = 200
    code: str = ""
    rung: str = "tensorrt"
    pieces: tuple[bytes, ...] = (TONE, TONE)
    breaks: bool = False
    asked: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"id": "box"})

    async def list_voices(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer secret":
            return web.json_response({}, status=401)
        return web.json_response({"voices": self.voices})

    async def list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "theirs"}]})

    async def speak(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        if self.status != 200:
            error = {"code": self.code, "message": "because"}
            return web.json_response({"error": error}, status=self.status)
        response = web.StreamResponse(headers={"X-Speech-Rung": self.rung})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
            await self.gate.wait()
        if self.breaks:
            assert request.transport is not None
            request.transport.abort()
        await response.write_eof()
        return response


@pytest.fixture
async def box() -> AsyncIterator[MadeUpBox]:
    box = MadeUpBox()
    box.gate.set()
    app = web.Application()
    app.add_routes(
        [
            web.get("/health", box.health),
            web.get("/v1/voices", box.list_voices),
            web.get("/v1/models", box.list_models),
            web.post("/v1/audio/speech", box.speak),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield box
    box.gate.set()
    await runner.cleanup()


@pytest.fixture
async def rung(box: MadeUpBox, tmp_path: Path) -> RemoteRung:
    rung = RemoteRung(box.url, "secret", tmp_path / "memory.json")
    await asyncio.to_thread(rung.look)
    return rung


def said(rung: RemoteRung, utterance: Utterance = MUM) -> list[np.ndarray]:
    return [chunk.samples for chunk in rung.speak(utterance, lambda: False)]


async def test_the_box_speaks_the_voices_it_has(rung: RemoteRung, box: MadeUpBox) -> None:
    box.voices += [
        listed("plain", cloned=False),
        listed("dad", usable=False),
        listed("aunt", rung=None),
    ]
    await asyncio.to_thread(rung.look)
    able = [
        voice
        for voice in ("mum", "plain", "dad", "aunt", "nobody")
        if rung.speaks(Utterance("Hello.", voice, "en"))
    ]
    assert able == ["mum"]
    assert rung.ready
    heard = np.concatenate(await asyncio.to_thread(said, rung))
    assert len(heard) == 6400
    assert heard[0] == pytest.approx(0.2, abs=1e-4)
    asked = box.asked[0]
    assert (asked["input"], asked["voice"], asked["fallback"]) == ("Hello.", "mum", "cpu")


async def test_the_way_of_drawing_and_the_style_are_handed_on(
    rung: RemoteRung, box: MadeUpBox
) -> None:
    manner: dict[str, Any] = {"style": "happy", "normalize": "exact"}
    drawn = Utterance("Hello.", "mum", "en", sampling=Sampling(seed=7, top_k=3), **manner)
    await asyncio.to_thread(said, rung, drawn)
    assert {"seed": 7, "top_k": 3, **manner}.items() <= box.asked[0].items()
    assert not {"top_p", "temperature"} & box.asked[0].keys()
    await asyncio.to_thread(said, rung, Utterance("Hello.", "mum", "en"))
    assert not {"style", "normalize"} & box.asked[1].keys()


async def test_no_more_is_asked_of_the_box_than_the_request_allows(
    rung: RemoteRung, box: MadeUpBox
) -> None:
    strict = Utterance("Hello.", "mum", "en", fallback=Fallback.NONE)
    await asyncio.to_thread(said, rung, strict)
    assert box.asked[0]["fallback"] == "none"


async def test_sound_passes_through_before_the_rest_is_made(
    rung: RemoteRung, box: MadeUpBox
) -> None:
    box.gate.clear()
    chunks = rung.speak(MUM, lambda: False)
    first = await asyncio.to_thread(next, chunks)
    assert len(first.samples) == 3200, "nothing of the second piece, which waits for the gate"
    box.gate.set()
    rest = await asyncio.to_thread(list, chunks)
    assert sum(len(chunk.samples) for chunk in rest) == 3200


async def test_samples_cut_in_two_are_put_together(rung: RemoteRung, box: MadeUpBox) -> None:
    box.pieces = (TONE[:101], TONE[101:])
    assert len(np.concatenate(await asyncio.to_thread(said, rung))) == 3200


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 404, "code": "voice_not_found"}, RemoteLacks),
        ({"status": 403, "code": "consent_missing"}, RemoteLacks),
        ({"rung": "plain"}, RemoteLacks),
        ({"status": 404, "code": "style_not_found"}, RemoteLacks),
        ({"status": 503, "code": "queue_full"}, RemoteBusy),
        ({"status": 429, "code": "too_many_requests"}, RemoteBusy),
        ({"status": 400, "code": "bad_text"}, TextError),
        ({"status": 401, "code": "unauthorized"}, RemoteLost),
        ({"status": 500, "code": "device_failed"}, RemoteLost),
        ({"breaks": True}, RemoteLost),
        ({"pieces": ()}, RemoteLost),
    ],
)
async def test_what_the_box_cannot_do_has_a_name(
    rung: RemoteRung, box: MadeUpBox, answer: dict[str, object], error: type[Exception]
) -> None:
    for name, value in answer.items():
        setattr(box, name, value)
    with pytest.raises(error):
        await asyncio.to_thread(said, rung)


async def test_a_voice_that_is_gone_is_not_asked_for_again(
    rung: RemoteRung, box: MadeUpBox
) -> None:
    box.status, box.code = 404, "voice_not_found"
    with pytest.raises(RemoteLacks):
        await asyncio.to_thread(said, rung)
    assert not rung.speaks(MUM)


async def test_a_box_that_keeps_silent_is_lost(
    rung: RemoteRung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_module, "ANSWER", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        silent = RemoteRung(f"http://127.0.0.1:{port}", "", rung._memory)
        with pytest.raises(RemoteLost, match="kept silent"):
            await asyncio.to_thread(silent.look)


async def test_nobody_waits_for_what_is_cancelled(rung: RemoteRung, box: MadeUpBox) -> None:
    cancelled = threading.Event()
    cancelled.set()
    assert await asyncio.to_thread(list, rung.speak(MUM, cancelled.is_set)) == []


async def test_a_wrong_token_is_told(box: MadeUpBox, tmp_path: Path) -> None:
    with pytest.raises(RemoteLost, match="remote_token"):
        await asyncio.to_thread(RemoteRung(box.url, "wrong", tmp_path / "m").look)


async def test_an_address_that_leads_back_here_is_refused(box: MadeUpBox, tmp_path: Path) -> None:
    rung = RemoteRung(box.url, "secret", tmp_path / "m", own_id="box")
    await asyncio.to_thread(rung.look)
    assert not rung.speaks(MUM)
    assert rung.failure is not None
    assert "itself" in rung.failure


async def test_voices_that_changed_over_there_are_told_also_after_a_restart(
    rung: RemoteRung, box: MadeUpBox, tmp_path: Path
) -> None:
    changed: list[str] = []
    again = RemoteRung(box.url, "secret", tmp_path / "memory.json", changed.append)
    assert again.speaks(MUM), "it remembers what the box has"
    box.voices = [listed("mum", "2"), listed("dad")]
    await asyncio.to_thread(again.look)
    await asyncio.to_thread(again.look)
    assert changed == ["mum"]
    elsewhere = RemoteRung("http://127.0.0.1:9", "secret", tmp_path / "memory.json")
    assert not elsewhere.speaks(MUM), "another box may have other voices"


async def test_what_another_box_asks_is_not_handed_on(rung: RemoteRung) -> None:
    assert not rung.speaks(Utterance("Hello.", "mum", "en", relayed=True))


@pytest.fixture
def asleep() -> Iterator[str]:
    """An address at which nothing answers, as where a computer sleeps: its queue is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


async def test_a_sleeping_box_is_woken_when_somebody_wants_it(
    asleep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(wake_on_lan, "monotonic", lambda: now)
    monkeypatch.setattr(remote_module, "CONNECT", 0.1)
    memory = tmp_path / "memory.json"
    memory.write_text(json.dumps({"url": asleep, "voices": {"mum": "1"}}))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("127.0.0.1", 0))
        card.setblocking(False)
        wake = WakeOnLan("01:23:45:67:89:ab", card.getsockname())
        rung = RemoteRung(asleep, "", memory, wake=wake)
        with pytest.raises(RemoteLost):
            await asyncio.to_thread(rung.look)
        with pytest.raises(BlockingIOError):
            card.recv(200)  # nobody wanted it: let it sleep
        assert rung.speaks(MUM)
        assert card.recv(200) == b"\xff" * 6 + bytes.fromhex("0123456789ab") * 16
        with pytest.raises(RemoteLost):
            await asyncio.to_thread(rung.look)
        assert rung.speaks(MUM)
        with pytest.raises(BlockingIOError):
            card.recv(200)  # one packet is enough for now
        now += wake_on_lan.EVERY
        with pytest.raises(RemoteLost):
            await asyncio.to_thread(rung.look)
        assert len(card.recv(200)) == 102


@dataclass
class Box:
    url: str
    health: Health
    synthesizer: FakeSynthesizer


StartBox = Callable[[Path, str, int], Awaitable[Box]]


@pytest.fixture
async def start_box() -> AsyncIterator[StartBox]:
    runners: list[web.AppRunner] = []

    async def start(folder: Path, remote_url: str, port: int) -> Box:
        store = VoiceStore(folder / "voices", ("en",), "1", "plain", lambda voice: None)
        store.enrol(FACTS, load_recording(REFERENCE))
        fake = FakeSynthesizer()
        app = create_app(Settings(data=folder, remote_url=remote_url), lambda: (fake,))
        runner = web.AppRunner(app, handler_cancellation=True)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return Box(f"http://127.0.0.1:{port}", app[HEALTH], fake)

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_two_boxes_that_name_each_other_do_not_go_round(
    start_box: StartBox,
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.1)
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    one = await start_box(tmp_path / "one", urls[1], ports[0])
    other = await start_box(tmp_path / "other", urls[0], ports[1])
    await eventually(lambda: one.health.rung == other.health.rung == "remote")
    one.synthesizer.said.clear()
    other.synthesizer.said.clear()
    async with aiohttp.ClientSession() as session:
        body = {"input": "Round and round?", "voice": "mum", "response_format": "pcm"}
        async with session.post(f"{one.url}/v1/audio/speech", json=body) as response:
            assert (response.status, response.headers["X-Speech-Rung"]) == (200, "remote")
            assert len(await response.read()) > 10_000
    here = [each.text for each in one.synthesizer.said if each.voice == "mum"]
    there = [each for each in other.synthesizer.said if each.text == body["input"]]
    assert (here, [each.relayed for each in there]) == ([], [True])


def test_the_header_is_the_documented_one() -> None:
    assert RELAYED == "X-Speech-Relayed"


@pytest.mark.parametrize(
    ("named", "speaks", "asked"),
    [("", True, None), ("theirs", True, "theirs"), ("ours", False, None)],
)
async def test_a_model_that_the_box_has_is_asked_for_there(
    box: MadeUpBox, rung: RemoteRung, named: str, speaks: bool, asked: str | None
) -> None:
    wanted = replace(MUM, named=named)
    assert rung.speaks(wanted) is speaks
    await asyncio.to_thread(said, rung, replace(MUM, named=asked or ""))
    assert box.asked[-1].get("model") == asked


async def test_the_box_and_its_models_are_remembered(
    box: MadeUpBox, rung: RemoteRung, tmp_path: Path
) -> None:
    again = RemoteRung(box.url, "secret", tmp_path / "memory.json")
    assert again.has_model("theirs")
    assert not again.has_model("ours")
