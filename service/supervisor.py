"""The MQTT broker of a Home Assistant that runs us as an app, asked of its Supervisor.

Source: https://developers.home-assistant.io/docs/api/supervisor/endpoints, "Services".
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

import aiohttp
import voluptuous as vol

from service.config import Settings

_LOGGER = logging.getLogger(__name__)
SUPERVISOR = "http://supervisor"
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds until the Supervisor is asked again
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_ANSWER = vol.Schema(
    {
        vol.Required("data"): vol.Schema(
            {
                vol.Required("host"): vol.All(str, vol.Length(min=1)),
                vol.Required("port"): vol.All(vol.Coerce(int), vol.Range(1, 65535)),
                vol.Optional("ssl", default=False): bool,
                vol.Optional("username", default=""): vol.Any(str, vol.SetTo("")),
                vol.Optional("password", default=""): vol.Any(str, vol.SetTo("")),
            },
            extra=vol.REMOVE_EXTRA,
        )
    },
    extra=vol.REMOVE_EXTRA,
)


class NoBroker(Exception):
    """Supervisor names no MQTT broker, or cannot be asked; says why."""


class Supervisor:
    """What runs the apps of a Home Assistant.

    Args:
        token: what it gave this app to speak to it with.
        address: where it is.
    """

    def __init__(self, token: str, address: str = SUPERVISOR) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        self._service = f"{address}/services/mqtt"

    async def with_broker(self, settings: Settings) -> Settings:
        """The settings with the home's broker in them; waits until there is one.

        A broker that is another app may start after us, or be installed later.
        """
        pause, complained = FIRST_PAUSE, False
        while True:
            try:
                found = await self.ask(settings)
                break
            except NoBroker as error:
                if not complained:
                    _LOGGER.info("no MQTT yet: Supervisor names no broker (%s)", error)
                    complained = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        _LOGGER.info(
            "Supervisor names the MQTT broker %s:%d, user %s",
            *(found.mqtt_host, found.mqtt_port, found.mqtt_username or "without a name"),
        )
        return found

    async def ask(self, settings: Settings) -> Settings:
        """The settings with the home's broker in them, asked for once.

        Raises:
            NoBroker: there is none, or Supervisor does not answer.
        """
        try:
            async with aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT) as session:
                broker = await self._ask(session)
        except (aiohttp.ClientError, TimeoutError, ValueError, vol.Invalid) as error:
            raise NoBroker(str(error) or type(error).__name__) from error
        return dataclasses.replace(
            settings,
            mqtt_host=broker["host"],
            mqtt_port=broker["port"],
            mqtt_tls=broker["ssl"],
            mqtt_username=broker["username"],
            mqtt_password=broker["password"],
        )

    async def _ask(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(self._service) as answer:
            fields: object = await answer.json(content_type=None)
            if answer.status != 200:
                message = fields.get("message") if isinstance(fields, dict) else None
                raise ValueError(str(message or f"status {answer.status}")[:200])
            found: dict[str, Any] = _ANSWER(fields)["data"]
            return found
