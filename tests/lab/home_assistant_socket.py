"""Home Assistant's WebSocket, which its own pages speak: commands, and the events that follow."""

from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp

from tests.lab.ground import LabError

WAIT = 60.0  # seconds for an answer


class HomeSocket:
    """A logged-in connection, closed with the context.

    Args:
        url: of Home Assistant.
        token: an access token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._number = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(f"{self._url}/api/websocket", max_msg_size=0)
        await self._receive()
        await self._socket.send_json({"type": "auth", "access_token": self._token})
        if (answer := await self._receive())["type"] != "auth_ok":
            raise LabError(f"Home Assistant does not let us in: {answer}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()

    async def ask(self, command: str, **fields: Any) -> Any:
        """Send a command and return its result.

        Raises:
            LabError: Home Assistant refuses; carries what it said.
        """
        self._number += 1
        await self._socket.send_json({"id": self._number, "type": command, **fields})
        while (answer := await self._receive()).get("type") != "result":
            pass
        if not answer["success"]:
            raise LabError(f"{command}: {answer['error']}")
        return answer["result"]

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What the latest command tells from now on, as it comes."""
        while True:
            message = await self._receive()
            if message["type"] == "event" and message["id"] == self._number:
                yield message["event"]

    async def _receive(self) -> dict[str, Any]:
        return dict(await self._socket.receive_json(timeout=WAIT))
