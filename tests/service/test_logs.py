"""What the log says of requests, and what it never says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engines.errors import DeviceError
from service import logs
from tests.service.conftest import FakeSynthesizer, RunningService, StartService, eventually

SECRET = 'Grandma\'s "blue" medicine is in the 抽屉 drawer.'
NEEDED = {"text_lang": "en", "ref_audio_path": "plain", "prompt_lang": "en"}
Log = Callable[..., io.StringIO]


@pytest.fixture
def log() -> Iterator[Log]:
    """Start to log as the service would; all levels and handlers are put back afterwards."""
    names = ("", "service", "engines", "aiohttp.access")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers: list[logging.Handler] = []

    def begin(style: str = "json", level: str = "debug", *, show_text: bool = False) -> io.StringIO:
        stream = io.StringIO()
        handlers.append(logs.set_up(level, style, show_text=show_text, stream=stream))
        return stream

    yield begin
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def accounts(stream: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(stream) if "outcome" in line and line["door"] != "self-test"]


def quotes(utterance: Any, cancelled: Any) -> Iterator[Any]:
    """A rung that puts the text into its log and into its error, as careless ones do."""
    logging.getLogger("service.careless").debug("saying %r", utterance.text)
    raise RuntimeError(f"cannot say {utterance.text!r} or {json.dumps(utterance.text)}")
    yield


async def ask_everywhere(service: RunningService) -> None:
    url = service.url
    async with service.post(input=SECRET) as response:
        await response.read()
    async with service.post(input=SECRET, speed=9) as response:
        await response.read()
    for path in ("/v1/clips", "/v1/prerender"):
        body = {"input": SECRET} if path == "/v1/clips" else {"texts": [SECRET]}
        async with service.session.post(url + path, json=body) as response:
            await response.read()
    async with service.session.get(f"{url}/tts", params={"text": SECRET, **NEEDED}) as response:
        await response.read()
    async with service.session.ws_connect(f"{url}/v1/audio/speech/stream") as socket:
        await socket.send_json({"type": "start"})
        await socket.send_json({"type": "text", "text": SECRET})
        await socket.send_json({"type": "end"})
        async for _ in socket:
            pass


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("fails", [True, False])
async def test_what_is_announced_is_in_no_line(
    start_service: StartService,
    synthesizer: FakeSynthesizer,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    style: str,
    fails: bool,
) -> None:
    service = await start_service()
    stream = log(style)
    monkeypatch.setattr(synthesizer, "speak", {True: quotes, False: synthesizer.speak}[fails])
    await ask_everywhere(service)
    await eventually(lambda: "door prerender" in stream.getvalue())
    written = stream.getvalue()
    assert (logs.HIDDEN in written) == fails
    for part in (SECRET, "medicine", "抽屉", "drawer"):
        assert part not in written


async def test_a_setting_lets_the_text_in(start_service: StartService, log: Log) -> None:
    service = await start_service()
    stream = log(show_text=True)
    async with service.post(input="Dinner is ready.") as response:
        await response.read()
    await eventually(lambda: len(accounts(stream)) == 1)
    assert "Dinner is ready." in accounts(stream)[0]["text"]


@pytest.mark.parametrize("asked", ["doorbell-7", "a", "A.b_c:d-" + "9" * 56])
async def test_a_sane_id_of_the_client_is_taken_over(
    start_service: StartService, log: Log, asked: str
) -> None:
    service = await start_service()
    stream = log()
    async with service.session.post(
        f"{service.url}/v1/audio/speech", json={"input": "Hello."}, headers={"X-Request-Id": asked}
    ) as response:
        await response.read()
    assert response.headers["X-Request-Id"] == asked
    await eventually(lambda: len(accounts(stream)) == 1)
    assert {line["request_id"] for line in lines(stream)} == {asked}


@pytest.mark.parametrize("asked", ["a" * 65, "a b", "-a", "é", "a;b", '{"x":1}', ""])
async def test_a_strange_id_is_not(start_service: StartService, asked: str) -> None:
    service = await start_service()
    headers = {"X-Request-Id": asked}
    async with service.session.get(f"{service.url}/health", headers=headers) as response:
        made = response.headers["X-Request-Id"]
    assert made != asked
    assert len(made) == 12


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health", 200), ("GET", "/nowhere", 404), ("POST", "/v1/audio/speech", 400)],
)
async def test_every_answer_tells_its_id(
    start_service: StartService, method: str, path: str, status: int
) -> None:
    service = await start_service()
    headers = {"X-Request-Id": "mine"}
    async with service.session.request(method, service.url + path, headers=headers) as response:
        assert (response.status, response.headers["X-Request-Id"]) == (status, "mine")


async def test_one_line_tells_a_request(start_service: StartService, log: Log) -> None:
    service = await start_service()
    stream = log(level="info")
    for text in ("Dinner is ready.", "Dinner is ready.", "FAIL", "?"):
        async with service.post(input=text) as response:
            await response.read()
    await eventually(lambda: len(accounts(stream)) == 4)
    said, again, failed, refused = accounts(stream)
    assert (said["door"], said["outcome"], said["voice"], said["rung"]) == (
        *("http", "done", "plain", "fake"),
    )
    assert said["seconds"] == pytest.approx(0.4)
    assert 0 < said["first_audio"] <= said["took"]
    assert again["rung"] == "cache"
    assert (failed["outcome"], refused["outcome"]) == ("synthesis_failed", "bad_text")
    assert len({line["request_id"] for line in accounts(stream)}) == 4


async def test_lines_of_other_threads_carry_the_id(
    start_service: StartService,
    synthesizer: FakeSynthesizer,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
) -> None:
    service = await start_service()
    # With patience the rung speaks on a thread of its own.
    monkeypatch.setattr(synthesizer, "patience", 60.0)
    monkeypatch.setattr(synthesizer, "speak", quotes)
    stream = log()
    for asked in ("first", "second"):
        async with service.session.post(
            f"{service.url}/v1/audio/speech",
            json={"input": SECRET},
            headers={"X-Request-Id": asked},
        ) as response:
            assert response.status == 500
    await eventually(lambda: len(accounts(stream)) == 2)
    ours = [line for line in lines(stream) if line["logger"].startswith("service.")]
    ids = {
        asked: [line["logger"] for line in ours if line.get("request_id") == asked]
        for asked in ("first", "second")
    }
    for loggers in ids.values():
        assert {"service.careless", "service.ladder", "service.account"} <= set(loggers)
    assert all("exception" not in line or "cannot say" in line["exception"] for line in ours)


async def test_requests_at_a_time_do_not_mix(start_service: StartService, log: Log) -> None:
    service = await start_service()
    stream = log()

    async def ask(number: int) -> None:
        async with service.session.post(
            f"{service.url}/v1/audio/speech",
            json={"input": f"Announcement {number}."},
            headers={"X-Request-Id": f"id-{number}"},
        ) as response:
            await response.read()
            assert response.headers["X-Request-Id"] == f"id-{number}"

    await asyncio.gather(*[ask(number) for number in range(8)])
    await eventually(lambda: len(accounts(stream)) == 8)
    assert {line["request_id"] for line in accounts(stream)} == {f"id-{n}" for n in range(8)}


def test_text_lines_are_for_people(log: Log) -> None:
    stream = log("text", "info")
    logger = logging.getLogger("service.test")
    with logs.traced(logs.new_trace("mine")):
        logs.hide("Dinner is ready.")
        logger.info("about to say %s", "Dinner is ready.")
        logger.debug("not at this level")
    logger.warning("afterwards")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("INFO    service.test [mine]: about to say [text]")
    assert second.endswith("WARNING service.test: afterwards")


def test_libraries_are_not_asked_for_everything(log: Log) -> None:
    stream = log("text", "debug")
    logging.getLogger("some.library").debug("quotes what it reads")
    logging.getLogger("aiohttp.access").info("GET /tts?text=...")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("error", [RuntimeError, DeviceError])
async def test_what_is_announced_is_not_shown_in_health(
    start_service: StartService,
    synthesizer: FakeSynthesizer,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def careless(utterance: Any, cancelled: Any) -> Iterator[Any]:
        raise error(f"cannot say {utterance.text!r} or {json.dumps(utterance.text)}")
        yield

    service = await start_service()
    monkeypatch.setattr(synthesizer, "speak", careless)
    async with service.post(input=SECRET) as response:
        assert response.status == 500
    async with service.session.get(f"{service.url}/health") as response:
        told = await response.json()
    assert told["status"] == "degraded"
    assert told["reason"].startswith(("failed: RuntimeError", "device_failed: cannot say"))
    assert not [word for word in ("Grandma", "medicine", "drawer") if word in json.dumps(told)]
