from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpServer

from service import supervisor_discovery
from service.supervisor_discovery import SupervisorDiscovery

HOST = socket.gethostname()


class FakeSupervisor:
    """Answers as Supervisor does, with the statuses that a test gives first."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.taken: list[dict[str, Any]] = []
        self.tries = 0

    async def discovery(self, request: web.Request) -> web.Response:
        self.tries += 1
        if request.headers.get("Authorization") != "Bearer app-token":
            return web.json_response({"result": "error"}, status=401)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append(await request.json())
        return web.json_response({"result": "ok", "data": {"uuid": "1"}}, status=status)


@pytest.fixture
def supervisor() -> FakeSupervisor:
    return FakeSupervisor()


@pytest.fixture
async def address(supervisor: FakeSupervisor, aiohttp_server: AiohttpServer) -> str:
    app = web.Application()
    app.router.add_post("/discovery", supervisor.discovery)
    return str((await aiohttp_server(app)).make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("wyoming_port", "token", "messages"),
    [
        (
            10200,
            "s3cret",
            [
                {
                    "service": "gptsovits_tts",
                    "config": {"host": HOST, "port": 9880, "token": "s3cret"},
                },
                {"service": "wyoming", "config": {"uri": f"tcp://{HOST}:10200"}},
            ],
        ),
        (0, "", [{"service": "gptsovits_tts", "config": {"host": HOST, "port": 9880}}]),
    ],
)
async def test_home_assistant_is_told_where_and_with_what_token(
    supervisor: FakeSupervisor,
    address: str,
    wyoming_port: int,
    token: str,
    messages: list[dict[str, Any]],
) -> None:
    await SupervisorDiscovery("app-token", 9880, wyoming_port, token, supervisor=address).tell()
    assert supervisor.taken == messages


async def test_a_supervisor_that_starts_late_is_told_later(
    supervisor: FakeSupervisor, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_discovery, "FIRST_PAUSE", 0.01)
    supervisor.statuses = [502, 503]
    await SupervisorDiscovery("app-token", 9880, 0, "", supervisor=address).tell()
    assert supervisor.tries == 3
    assert [message["service"] for message in supervisor.taken] == ["gptsovits_tts"]


async def test_what_supervisor_refuses_is_logged_and_not_tried_again(
    supervisor: FakeSupervisor, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await SupervisorDiscovery("another", 9880, 10200, "s3cret", supervisor=address).tell()
    assert supervisor.tries == 2
    assert "refuses to tell Home Assistant of wyoming: status 401" in caplog.text
    assert "s3cret" not in caplog.text
