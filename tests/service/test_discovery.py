from __future__ import annotations

import asyncio

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from service import discovery
from service.discovery import HTTP_TYPE, WYOMING_TYPE, Discovery, reachable_addresses

SERVER_ID = "0123456789abcdef"


@pytest.mark.parametrize("kind", [HTTP_TYPE, WYOMING_TYPE])
async def test_other_machines_find_the_service_and_see_it_go(kind: str) -> None:
    seen: asyncio.Queue[tuple[ServiceStateChange, str]] = asyncio.Queue()

    def note(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        seen.put_nowait((state_change, name))

    announced = Discovery(SERVER_ID, ["127.0.0.1"], {HTTP_TYPE: 9880, WYOMING_TYPE: 10200})
    async with AsyncZeroconf(interfaces=["127.0.0.1"]) as network, asyncio.timeout(60):
        browser = AsyncServiceBrowser(network.zeroconf, kind, handlers=[note])
        await announced.start()
        name = f"gptsovits-01234567.{kind}"
        assert await seen.get() == (ServiceStateChange.Added, name)
        info = AsyncServiceInfo(kind, name)
        assert await info.async_request(network.zeroconf, 3000)
        assert info.parsed_addresses() == ["127.0.0.1"]
        assert info.port == {HTTP_TYPE: 9880, WYOMING_TYPE: 10200}[kind]
        assert info.decoded_properties["id"] == SERVER_ID
        await announced.stop()
        while (await seen.get())[0] is not ServiceStateChange.Removed:
            pass
        await browser.async_cancel()


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", []),
        ("::1", []),
        ("localhost", []),
        ("192.168.7.5", ["192.168.7.5"]),
        ("fd00::5", []),
    ],
)
def test_only_what_other_machines_reach_is_announced(host: str, addresses: list[str]) -> None:
    assert reachable_addresses(host) == addresses


async def test_a_network_that_does_not_carry_it_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**options: object) -> AsyncZeroconf:
        raise OSError("no multicast here")

    monkeypatch.setattr(discovery, "AsyncZeroconf", refuse)
    announced = Discovery(SERVER_ID, ["192.0.2.1"], {HTTP_TYPE: 9880})
    await announced.start()
    await announced.stop()
    assert "no multicast here" in caplog.text
