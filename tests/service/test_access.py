from __future__ import annotations

import stat
from pathlib import Path

import aiohttp
import pytest

from service import access
from service.access import required_token
from service.openapi_routes import ROWS
from tests.service.conftest import StartService


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_the_loopback_needs_no_token(tmp_path: Path, host: str) -> None:
    assert required_token(host, "", allow_anonymous=False, data=tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.local"])
def test_other_machines_need_one_that_lasts(tmp_path: Path, host: str) -> None:
    data = tmp_path / "data"
    made = required_token(host, "", allow_anonymous=False, data=data)
    assert len(made) >= 32
    assert required_token(host, "", allow_anonymous=False, data=data) == made
    assert stat.S_IMODE((data / "token").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["token"]


def test_the_user_may_say_otherwise(tmp_path: Path) -> None:
    assert required_token("0.0.0.0", "", allow_anonymous=True, data=tmp_path) == ""
    assert required_token("0.0.0.0", "mine", allow_anonymous=False, data=tmp_path) == "mine"
    assert required_token("127.0.0.1", "mine", allow_anonymous=False, data=tmp_path) == "mine"
    assert list(tmp_path.iterdir()) == []


def test_tokens_differ(tmp_path: Path) -> None:
    tokens = {
        required_token("::", "", allow_anonymous=False, data=tmp_path / name) for name in "abc"
    }
    assert len(tokens) == 3


async def test_a_token_is_compared_in_constant_time(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = access.hmac.compare_digest

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return real(given, expected)

    monkeypatch.setattr(access.hmac, "compare_digest", compare)
    service = await start_service(token="s3cret")
    for given in ("s3cre", "", "s3cret\u00e9", "s3cret"):
        headers = {"Authorization": f"Bearer {given}"}
        async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
            assert response.status == (401, 200)[given == "s3cret"]
    assert len(compared) == 4
    assert {expected for _, expected in compared} == {b"s3cret"}


@pytest.mark.parametrize("path", sorted({row.path for row in ROWS}))
async def test_no_route_invites_other_sites(start_service: StartService, path: str) -> None:
    service = await start_service()
    asking = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    asking["Access-Control-Request-Headers"] = "authorization"
    url = service.url + path.replace("{", "").replace("}", "")
    for method in ("OPTIONS", "GET"):
        async with service.session.request(method, url, headers=asking) as response:
            told = [name for name in response.headers if name.startswith("Access-Control-")]
            assert told == []


@pytest.mark.parametrize(
    "fields",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_other_sites_cannot_speak_where_no_token_is_asked_for(
    start_service: StartService, fields: dict[str, str]
) -> None:
    service = await start_service()
    headers = {"Content-Type": "text/plain", **fields}  # what a browser sends without asking us
    for path in ("/v1/audio/speech", "/v1/clips", "/v1/prerender", "/tts"):
        async with service.session.post(
            service.url + path, data='{"input": "Hello."}', headers=headers
        ) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (
                403,
                "foreign_page",
            )
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.session.ws_connect(
            f"{service.url}/v1/audio/speech/stream", headers=fields
        ).__aenter__()
    assert refused.value.status == 403
    assert service.synthesizer.said == []
    own = {"Sec-Fetch-Site": "same-origin", "Origin": service.url}
    async with service.session.post(
        f"{service.url}/v1/audio/speech", json={"input": "Hello."}, headers=own
    ) as response:
        assert response.status == 200
        await response.read()


BROWSERS = (
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
    {"Accept-Language": "en"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Referer": "http://evil.example/"},
    {"Origin": "http://evil.example:9880"},
)


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize("name", ["evil.example:9880", "evil.example.", "127.0.0.1.evil.example"])
async def test_a_strangers_name_that_leads_here_is_refused(
    start_service: StartService, name: str, browser: dict[str, str]
) -> None:
    service = await start_service()
    for method, path in (("GET", "/v1/voices"), ("POST", "/v1/audio/speech"), ("GET", "/tts")):
        async with service.session.request(
            method,
            service.url + path,
            json={"input": "Hello."} if method == "POST" else None,
            headers={"Host": name, **browser},
        ) as response:
            code = (await response.json())["error"]["code"]
            assert (response.status, code) == (403, "foreign_page")
    assert service.synthesizer.said == []


@pytest.mark.parametrize(
    "name",
    [
        "localhost:9880",
        "127.0.0.1",
        "192.168.1.5:9880",
        "[::1]:9880",
        "[fe80::1]",
        "box",
        "box.local",
        "box.local.:9880",
        "Box.Fritz.Box",
        "box.home.arpa",
    ],
)
async def test_a_browser_may_use_the_names_of_the_house(
    start_service: StartService, name: str
) -> None:
    service = await start_service()
    for browser in BROWSERS[:3]:
        headers = {"Host": name, **browser}
        async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
            assert response.status == 200


async def test_a_name_of_ones_own_is_written_as_base_url(start_service: StartService) -> None:
    headers = {"Host": "voices.example.org", "User-Agent": "Mozilla/5.0"}
    service = await start_service()
    async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
        message = (await response.json())["error"]["message"]
        assert "voices.example.org" in message
        assert "base_url" in message
    service = await start_service(base_url="https://voices.example.org/speech")
    async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
        assert response.status == 200


async def test_programs_health_and_those_with_the_token_may_use_any_name(
    start_service: StartService,
) -> None:
    service = await start_service()
    named = {"Host": "voices.example.org"}
    async with service.session.get(f"{service.url}/v1/voices", headers=named) as response:
        assert response.status == 200
    browser = {**named, **BROWSERS[0]}
    for path in ("/", "/health"):
        async with service.session.get(service.url + path, headers=browser) as response:
            assert response.status == 200
    service = await start_service(token="s3cret")
    headers = {**browser, "Authorization": "Bearer s3cret"}
    async with service.session.get(f"{service.url}/v1/voices", headers=headers) as response:
        assert response.status == 200
