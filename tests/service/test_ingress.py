"""Home Assistant's ingress: its users need no token, and nobody else gains by it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import make_mocked_request

from service import access
from service.access import token_check
from service.app import create_app
from service.config import Settings
from service.errors import Unauthorized
from service.supervisor_discovery import SupervisorDiscovery
from tests.service.conftest import FakeSynthesizer

WEB = Path(__file__).parents[2] / "service" / "web"


class Line:
    """A connection from an address."""

    def __init__(self, remote: str) -> None:
        self._remote = remote

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._remote, 40000) if name == "peername" else default

    def is_closing(self) -> bool:
        return False


async def ask(ingress: bool, remote: str, **headers: str) -> web.StreamResponse:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text="heard")

    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = make_mocked_request("GET", "/v1/voices", given, transport=Line(remote))
    return await token_check("s3cret", ingress=ingress)(request, answer)


async def test_supervisor_passes_on_what_its_users_ask() -> None:
    assert (await ask(True, "172.30.32.2")).status == 200


@pytest.mark.parametrize(
    ("ingress", "remote", "headers"),
    [
        (False, "172.30.32.2", {}),  # nobody's Supervisor: only an address that anybody may have
        (True, "172.30.32.1", {}),
        (True, "192.168.1.7", {"X_Ingress_Path": "/api/hassio_ingress/x"}),
        (True, "192.168.1.7", {"X_Forwarded_For": "172.30.32.2"}),
        (True, "192.168.1.7", {"X_Remote_User_Id": "1"}),
    ],
)
async def test_others_send_the_token(ingress: bool, remote: str, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        await ask(ingress, remote, **headers)
    assert (await ask(ingress, remote, Authorization="Bearer s3cret", **headers)).status == 200


@pytest.mark.parametrize("path", sorted(WEB.iterdir()), ids=lambda path: path.name)
def test_the_page_asks_below_the_path_that_it_is_served_under(path: Path) -> None:
    # Ingress serves it below /api/hassio_ingress/TOKEN/; an address from the root would leave that.
    text = path.read_text(encoding="utf-8")
    pattern = r"""(?:fetch|call|import|URL)\(\s*[`"']/|(?:src|href|action)\s*=\s*["'`]/|from "/"""
    assert re.findall(pattern, text) == []


@pytest.mark.parametrize(("supervisor", "status"), [("", 401), ("app-token", 200)])
async def test_the_service_trusts_ingress_only_where_supervisor_runs_it(
    tmp_path: Path,
    synthesizer: FakeSynthesizer,
    aiohttp_client: AiohttpClient,
    monkeypatch: pytest.MonkeyPatch,
    supervisor: str,
    status: int,
) -> None:
    told: list[SupervisorDiscovery] = []

    async def tell(message: SupervisorDiscovery) -> None:
        told.append(message)

    monkeypatch.setattr(SupervisorDiscovery, "tell", tell)
    monkeypatch.setattr(access, "INGRESS", "127.0.0.1")
    settings = Settings(data=tmp_path, token="s3cret")
    app = create_app(settings, lambda: (synthesizer,), supervisor=supervisor)
    client = await aiohttp_client(app)
    assert (await client.get("/v1/voices")).status == status
    assert len(told) == len(supervisor[:1])
