"""The broker that Home Assistant's Supervisor names, asked of a stand-in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.app import create_app
from service.config import Settings
from service.supervisor import Supervisor
from tests.lab.broker import PASSWORD, USER, Broker, provide_mosquitto
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import FakeSynthesizer, eventually

MOSQUITTO = {
    "addon": "core_mosquitto",
    "host": "core-mosquitto",
    "port": 1883,
    "ssl": False,
    "protocol": "3.1.1",
    "username": "addons",
    "password": "s3cret",
}
NOTHING = (400, {"result": "error", "message": "Service not enabled"})


class FakeSupervisor:
    """Answers as it is told, the last answer for ever; keeps the tokens that it is shown."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = [(200, {"result": "ok", "data": MOSQUITTO})]
        self.asked: list[str] = []
        app = web.Application()
        app.router.add_get("/services/mqtt", self._mqtt)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    async def _mqtt(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers["Authorization"])
        status, body = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return web.json_response(body, status=status)


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSupervisor]:
    monkeypatch.setattr("service.supervisor.FIRST_PAUSE", 0.02)
    fake = FakeSupervisor()
    async with fake.server:
        yield fake


async def test_the_homes_broker_is_taken(
    supervisor: FakeSupervisor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    found = await Supervisor("abc", supervisor.url).with_broker(Settings(language="de"))
    assert supervisor.asked == ["Bearer abc"]
    assert (found.mqtt_host, found.mqtt_port, found.mqtt_tls) == ("core-mosquitto", 1883, False)
    assert (found.mqtt_username, found.mqtt_password) == ("addons", "s3cret")
    assert found.language == "de"
    assert "names the MQTT broker core-mosquitto:1883, user addons" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "refusal",
    [
        NOTHING,
        (200, {"result": "ok", "data": {}}),
        (200, {"result": "ok", "data": {**MOSQUITTO, "port": "many"}}),
        (200, ["nothing"]),
        (502, None),
    ],
)
async def test_a_broker_that_comes_later_is_waited_for(
    supervisor: FakeSupervisor, caplog: pytest.LogCaptureFixture, refusal: tuple[int, Any]
) -> None:
    caplog.set_level("INFO")
    supervisor.answers = [refusal, refusal, *supervisor.answers]
    found = await Supervisor("abc", supervisor.url).with_broker(Settings())
    assert found.mqtt_host == "core-mosquitto"
    assert caplog.text.count("Supervisor names no broker") == 1


async def test_the_service_speaks_at_the_broker_that_supervisor_names(
    supervisor: FakeSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide_mosquitto()
    monkeypatch.setattr("service.app.Supervisor", partial(Supervisor, address=supervisor.url))
    broker = Broker(tmp_path / "broker", password=True)
    place = {"host": "127.0.0.1", "port": broker.port, "username": USER, "password": PASSWORD}
    supervisor.answers = [NOTHING, (200, {"result": "ok", "data": place})]
    app = create_app(Settings(data=tmp_path), lambda: (FakeSynthesizer(),), supervisor="abc")
    runner = web.AppRunner(app)
    try:
        with Visitor(
            broker.port, setup=lambda client: client.username_pw_set(USER, PASSWORD)
        ) as visitor:
            await runner.setup()
            await eventually(lambda: "online" in visitor.on("gptsovits/status"))
            visitor.say(text="One.")
            await eventually(lambda: visitor.count("gptsovits/said") == 1)
            await runner.cleanup()
            await eventually(lambda: visitor.on("gptsovits/status")[-1] == "offline")
    finally:
        await runner.cleanup()
        broker.stop()


async def test_the_users_own_broker_goes_first(supervisor: FakeSupervisor, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, mqtt_host="127.0.0.1", mqtt_port=1)
    runner = web.AppRunner(create_app(settings, lambda: (FakeSynthesizer(),), supervisor="abc"))
    await runner.setup()
    await runner.cleanup()
    assert supervisor.asked == []
