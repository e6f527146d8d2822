"""What the doctor says of Home Assistant, MQTT, the other box and Whisper, asked of stand-ins."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpServer

from service import neighbour_checks
from service.config import Settings
from service.supervisor import Supervisor
from tests.lab.broker import PASSWORD, USER, Broker
from tests.lab.process import free_port
from tests.service.conftest import StartService


@pytest.mark.parametrize(
    ("token", "path", "state", "advice"),
    [
        ("right", "", "ok", ""),
        ("wrong", "", "fail", "long-lived token"),
        ("right", "/elsewhere", "fail", "Home Assistant's address"),
    ],
)
async def test_home_assistant(
    aiohttp_server: AiohttpServer, token: str, path: str, state: str, advice: str
) -> None:
    async def api(request: web.Request) -> web.Response:
        right = request.headers["Authorization"] == "Bearer right"
        return web.json_response({}, status=200 if right else 401)

    app = web.Application()
    app.router.add_get("/api/", api)
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    here = Settings(home_assistant_url=url + path, home_assistant_token=token)
    (found,) = await asyncio.to_thread(neighbour_checks.home_assistant, here)
    assert found.state == state
    assert advice in found.advice


async def test_in_the_app_a_refused_token_is_supervisors(
    aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    app.router.add_get("/api/", refuse)
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    monkeypatch.setattr(neighbour_checks, "SUPERVISOR", url)
    here = Settings(home_assistant_url=url)
    (found,) = await asyncio.to_thread(neighbour_checks.home_assistant, here)
    assert "restart the app" in found.advice


def test_home_assistant_that_is_off() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    (found,) = neighbour_checks.home_assistant(Settings(home_assistant_url=url))
    assert (found.state, found.message) == ("fail", f"{url}: Connection refused")


@pytest.mark.parametrize(
    ("password", "state", "advice"), [(PASSWORD, "ok", ""), ("wrong", "fail", "mqtt_password")]
)
def test_mqtt(tmp_path: Path, password: str, state: str, advice: str) -> None:
    broker = Broker(tmp_path, password=True)
    try:
        here = Settings(
            mqtt_host="127.0.0.1",
            mqtt_port=broker.port,
            mqtt_username=USER,
            mqtt_password=password,
        )
        (found,) = neighbour_checks.mqtt(here)
    finally:
        broker.stop()
    assert found.state == state
    assert advice in found.advice


def test_mqtt_that_is_off() -> None:
    (found,) = neighbour_checks.mqtt(Settings(mqtt_host="127.0.0.1", mqtt_port=free_port()))
    assert found.state == "fail"
    assert found.message.endswith(": Connection refused")


# paho leaves the socket of a refused handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_wants_no_encryption(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    try:
        here = Settings(mqtt_host="127.0.0.1", mqtt_port=broker.port, mqtt_tls=True)
        (found,) = neighbour_checks.mqtt(here)
    finally:
        broker.stop()
    assert found.state == "fail"
    assert "mqtt_tls" in found.advice


def test_an_authority_that_is_not_there(tmp_path: Path) -> None:
    here = Settings(mqtt_host="127.0.0.1", mqtt_tls=True, mqtt_ca=str(tmp_path / "ca.crt"))
    (found,) = neighbour_checks.mqtt(here)
    assert found.message == f"mqtt_ca {tmp_path / 'ca.crt'}: No such file or directory"


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [(200, "fail", "Connection refused"), (400, "warn", "names no broker: no service")],
)
async def test_in_the_app_supervisor_names_the_broker(
    aiohttp_server: AiohttpServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    state: str,
    said: str,
) -> None:
    broker = {"host": "127.0.0.1", "port": free_port()}

    async def service(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer abc"
        return web.json_response({"message": "no service", "data": broker}, status=status)

    app = web.Application()
    app.router.add_get("/services/mqtt", service)
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    monkeypatch.setattr(neighbour_checks, "Supervisor", lambda token: Supervisor(token, url))
    monkeypatch.setenv("SUPERVISOR_TOKEN", "abc")
    (found,) = await asyncio.to_thread(neighbour_checks.mqtt, Settings())
    assert found.state == state
    assert said in found.message


@pytest.mark.parametrize(
    ("token", "path", "state", "said"),
    [
        ("right", "", "warn", "0 voices of its own"),
        ("wrong", "", "fail", "refuses our token"),
        ("right", "/nowhere", "fail", "no speech service"),
    ],
)
async def test_another_box(
    start_service: StartService, tmp_path: Path, token: str, path: str, state: str, said: str
) -> None:
    service = await start_service(token="right")
    here = Settings(data=tmp_path / "other", remote_url=service.url + path, remote_token=token)
    (found,) = await asyncio.to_thread(neighbour_checks.remote, here)
    assert found.state == state
    assert said in found.message


async def test_a_box_that_is_this_service(start_service: StartService, tmp_path: Path) -> None:
    service = await start_service()
    here = Settings(data=tmp_path, remote_url=service.url)
    (found,) = await asyncio.to_thread(neighbour_checks.remote, here)
    assert found.message.endswith("is this service itself")


@pytest.mark.parametrize(
    ("mac", "advice"), [("", "set remote_mac"), ("01:23:45:67:89:ab", "it is woken")]
)
def test_a_box_that_sleeps(tmp_path: Path, mac: str, advice: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    (found,) = neighbour_checks.remote(Settings(data=tmp_path, remote_url=url, remote_mac=mac))
    assert (found.state, found.message) == (
        "warn",
        f"{url}: Connection refused; this box speaks meanwhile",
    )
    assert advice in found.advice


def test_what_is_not_named_is_not_looked_for() -> None:
    assert neighbour_checks.remote(Settings()) + neighbour_checks.transcripts(Settings()) == []


def test_a_server_that_suggests_transcripts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = Settings(stt_url=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        (found,) = neighbour_checks.transcripts(here)
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("url", "said"), [("tcp://127.0.0.1:{port}", "Connection refused"), ("tcp://box", "host:port")]
)
def test_a_server_that_suggests_nothing(url: str, said: str) -> None:
    here = Settings(stt_url=url.format(port=free_port()))
    (found,) = neighbour_checks.transcripts(here)
    assert found.state == "warn"
    assert said in found.message
