"""Tells the local network that the service is here, so that Home Assistant finds it by itself."""

from __future__ import annotations

import ipaddress
import logging
import socket

from zeroconf import IPVersion, NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from service import __version__

_LOGGER = logging.getLogger(__name__)
HTTP_TYPE = "_gptsovits._tcp.local."
WYOMING_TYPE = "_wyoming._tcp.local."


class Discovery:
    """Announces the service's ports by multicast DNS.

    Args:
        server_id: the service's own id; part of every name, so two services do not collide.
        addresses: where the service can be reached.
        ports: port by service type.
    """

    def __init__(self, server_id: str, addresses: list[str], ports: dict[str, int]) -> None:
        self._addresses = addresses
        self._infos = [
            AsyncServiceInfo(
                kind,
                f"gptsovits-{server_id[:8]}.{kind}",
                parsed_addresses=addresses,
                port=port,
                properties={"id": server_id, "version": __version__},
                server=f"gptsovits-{server_id[:8]}.local.",
            )
            for kind, port in ports.items()
        ]
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Announce; a network that does not carry it is logged, not raised."""
        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._addresses, ip_version=IPVersion.V4Only)
            for info in self._infos:
                await self._zeroconf.async_register_service(info)
        except (OSError, NonUniqueNameException) as error:
            _LOGGER.warning("the service cannot be announced in the network: %s", error)

    async def stop(self) -> None:
        """Take the announcement back."""
        if self._zeroconf is not None:
            await self._zeroconf.async_unregister_all_services()
            await self._zeroconf.async_close()


def reachable_addresses(host: str) -> list[str]:
    """IPv4 addresses under which other machines reach a service that listens on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    if address.is_loopback:
        return []
    if not address.is_unspecified:
        return [host] if address.version == 4 else []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only makes the system choose the interface that it would use.
            probe.connect(("224.0.0.251", 5353))
        except OSError:
            return []
        chosen = str(probe.getsockname()[0])
    return [] if ipaddress.ip_address(chosen).is_loopback else [chosen]
