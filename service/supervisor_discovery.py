"""Tells Home Assistant, through its Supervisor, that this app is there, where, and with what token.

Source: https://developers.home-assistant.io/docs/api/supervisor/endpoints, "Discovery".
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import aiohttp

from service.supervisor import SUPERVISOR

_LOGGER = logging.getLogger(__name__)
INTEGRATION = "gptsovits_tts"  # the domain whose flow Home Assistant offers
WYOMING = "wyoming"
FIRST_PAUSE = 2.0  # seconds until the second try; doubled each time
LONGEST_PAUSE = 300.0
_TIMEOUT = aiohttp.ClientTimeout(total=30)


class SupervisorDiscovery:
    """The messages that make Home Assistant offer to add this service.

    Args:
        supervisor_token: what Supervisor gave this app to speak to it with.
        port: of the HTTP door.
        wyoming_port: of Wyoming's door; 0 where it is closed.
        token: what clients of the HTTP door must send; empty for nothing. Supervisor keeps it with
            the message, and gives it to Home Assistant alone.
        supervisor: its address.
    """

    def __init__(
        self,
        supervisor_token: str,
        port: int,
        wyoming_port: int,
        token: str,
        *,
        supervisor: str = SUPERVISOR,
    ) -> None:
        # Within Supervisor's network an app's host name is also its DNS name.
        host = socket.gethostname()
        config: dict[str, Any] = {"host": host, "port": port}
        self._messages = [
            {"service": INTEGRATION, "config": config | ({"token": token} if token else {})}
        ]
        if wyoming_port:
            uri = f"tcp://{host}:{wyoming_port}"
            self._messages.append({"service": WYOMING, "config": {"uri": uri}})
        self._supervisor_token = supervisor_token
        self._address = f"{supervisor}/discovery"

    async def tell(self) -> None:
        """Send every message until Supervisor takes it; what it refuses is logged and dropped."""
        headers = {"Authorization": f"Bearer {self._supervisor_token}"}
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            for message in self._messages:
                await self._send(session, message)

    async def _send(self, session: aiohttp.ClientSession, message: dict[str, Any]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with session.post(self._address, json=message) as answer:
                    if answer.status < 400:
                        _LOGGER.info("Home Assistant is told of %s", message["service"])
                        return
                    problem = f"status {answer.status}: {(await answer.text())[:200]}"
                    refused = answer.status < 500
            except (aiohttp.ClientError, TimeoutError) as error:
                problem, refused = str(error) or type(error).__name__, False
            if refused:
                _LOGGER.warning(
                    "Supervisor refuses to tell Home Assistant of %s: %s",
                    message["service"],
                    problem,
                )
                return
            _LOGGER.debug("Supervisor is not told of %s yet: %s", message["service"], problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
