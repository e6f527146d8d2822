"""Stands where Home Assistant's ingress stands: hands on what is asked below a secret path."""

import asyncio

import aiohttp
from aiohttp import web

PREFIX = "/api/hassio_ingress/a-secret"
# Headers of one connection alone, which a proxy does not hand on.
_OWN = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}


class Ingress:
    """Hands on requests, streamed answers and WebSockets.

    Attributes:
        service: address of the service.
        paths: what was asked for, below the prefix.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.service = ""
        self.paths: list[str] = []
        self._session = session

    def application(self) -> web.Application:
        """The proxy, to be served."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", PREFIX + "/{path:.*}", self._forward)
        return app

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.paths.append(path)
        address = f"{self.service}/{path}"
        headers = {key: text for key, text in request.headers.items() if key.lower() not in _OWN}
        headers |= {"X-Ingress-Path": PREFIX, "X-Forwarded-Host": request.host}
        if request.headers.get("Upgrade", "").lower() == "websocket":
            kept = {key: text for key, text in headers.items() if "websocket" not in key.lower()}
            return await self._join(request, address, kept)
        body = await request.read()
        async with self._session.request(
            request.method, address, data=body or None, headers=headers, params=request.query
        ) as answer:
            told = {key: text for key, text in answer.headers.items() if key.lower() not in _OWN}
            response = web.StreamResponse(status=answer.status, headers=told)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            return response

    async def _join(
        self, request: web.Request, address: str, headers: dict[str, str]
    ) -> web.WebSocketResponse:
        near = web.WebSocketResponse()
        await near.prepare(request)
        async with self._session.ws_connect(address, headers=headers) as far:

            async def to_service() -> None:
                async for message in near:
                    await far.send_str(message.data)

            sending = asyncio.create_task(to_service())
            async for message in far:
                if isinstance(message.data, bytes):
                    await near.send_bytes(message.data)
                else:
                    await near.send_str(message.data)
            sending.cancel()
        await near.close()
        return near
