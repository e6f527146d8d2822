"""Lets connections in and puts out those that only take up room, so that others are still served.

A connection costs memory from its first byte, long before there is a request that the rest of the
service could refuse. So there are only so many; a request has to arrive in time, and an answer has
to be fetched. Where all places are taken, the oldest connection whose request is not complete makes
room, of the address that holds the most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from service.errors import Handler, ServiceError

_LOGGER = logging.getLogger(__name__)
MOST = 512  # connections at a time
HEAD_SECONDS = 15.0  # from the first byte, or from connecting, to the end of a request's headers
IDLE_SECONDS = 75.0  # between requests on one connection
BODY_WINDOW, BODY_LEAST = 15.0, 4096  # seconds in which so many bytes of a body must come
FETCH_SECONDS = 120.0  # an answer whose reader takes nothing for so long is broken off
EVERY = 1.0  # seconds between looks
# For aiohttp: a connection can make the service hold 64 headers of 8 KiB; a client that was
# refused while it still sends gets a moment to read why.
PARSER_LIMITS: dict[str, Any] = {
    "auto_decompress": False,
    "max_headers": 64,
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": 2.0,
}


class EncodingRefused(ServiceError):
    """A request's body is compressed, and might become anything when unpacked."""

    code = "encoding_refused"
    status = 415


class Doorman:
    """Counts connections and looks after them.

    Args:
        most: connections at a time.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._guests: dict[asyncio.Protocol, _Guest] = {}
        self._addresses: Counter[str] = Counter()
        self.put_out = 0

    def guest(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        """A connection's protocol around the one that answers requests."""
        return _Guest(inner, self)

    def middleware(self) -> Middleware:
        """Tells the doorman which connections have a request, and refuses compressed ones."""

        @web.middleware
        async def look_after(request: web.Request, handler: Handler) -> web.StreamResponse:
            guest = self._guests.get(request.protocol)
            if guest is not None:
                guest.asks(request.content.is_eof)
            try:
                encoding = request.headers.get("Content-Encoding", "identity")
                if encoding.strip().lower() != "identity":
                    message = f"Content-Encoding: {encoding[:40]} is not taken, send it as it is"
                    raise EncodingRefused(message, param="body")
                return await handler(request)
            finally:
                if guest is not None:
                    guest.answered()

        return look_after

    async def watch(self) -> None:
        """Put out who takes too long, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            now = monotonic()
            for guest in list(self._guests.values()):
                if (reason := guest.overdue(now)) is not None:
                    self._put_out(guest, reason)

    def admit(self, guest: _Guest) -> bool:
        """Give a new connection a place; False if there is none."""
        if len(self._guests) >= self._most and not self._make_room():
            return False
        self._guests[guest.inner] = guest
        self._addresses[guest.address] += 1
        return True

    def forget(self, guest: _Guest) -> None:
        """A connection is over."""
        if self._guests.pop(guest.inner, None) is not None:
            self._addresses[guest.address] -= 1
            if not self._addresses[guest.address]:
                del self._addresses[guest.address]

    def _make_room(self) -> bool:
        # The first that fits is the oldest: the dictionary is in order of arrival.
        waiting = [guest for guest in self._guests.values() if not guest.complete]
        if not waiting:
            return False
        self._put_out(
            max(waiting, key=lambda guest: self._addresses[guest.address]), "others want to come in"
        )
        return True

    def _put_out(self, guest: _Guest, reason: str) -> None:
        self.put_out += 1
        _LOGGER.debug("a connection from %s is closed: %s", guest.address, reason)
        self.forget(guest)
        guest.transport.abort()


class GuardedSite(web.BaseSite):
    """A TCP port whose connections the doorman looks after.

    Args:
        runner: the application's, set up.
        host, port: where to listen; port 0 takes a free one.
        doorman: who looks after them.
    """

    __slots__ = ("_doorman", "_host", "_port")

    def __init__(self, runner: web.AppRunner, host: str, port: int, doorman: Doorman) -> None:
        super().__init__(runner)
        self._host, self._port, self._doorman = host, port, doorman

    @property
    def name(self) -> str:
        """Its address."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the port is taken.
        """
        await super().start()
        answering: Callable[[], asyncio.Protocol] | None = self._runner.server
        assert answering is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._doorman.guest(answering()),
            self._host,
            self._port,
            backlog=self._backlog,
        )


class _Guest(asyncio.Protocol):
    """One connection; hands all on to the protocol that answers."""

    transport: asyncio.Transport

    def __init__(self, inner: asyncio.Protocol, doorman: Doorman) -> None:
        self.inner = inner
        self.address = ""
        self._doorman = doorman
        self._admitted = False
        self._asking = 0  # requests that are being answered
        self._whole: Callable[[], bool] = lambda: True
        self._waits: float | None = monotonic()  # since when headers are due
        self._idle = monotonic()
        self._window, self._bytes = monotonic(), 0
        self._stuck: float | None = None  # since when an answer is not fetched

    @property
    def complete(self) -> bool:
        """Whether it has asked for something, and all of that is here."""
        return self._asking > 0 and self._whole()

    def asks(self, whole: Callable[[], bool]) -> None:
        """A request's headers are here; `whole` tells whether its body is, too."""
        self._asking += 1
        self._whole, self._waits = whole, None
        self._window, self._bytes = monotonic(), 0

    def answered(self) -> None:
        """A request is done with."""
        self._asking -= 1
        self._idle = monotonic()

    def overdue(self, now: float) -> str | None:
        """Why this connection must go, None if it may stay."""
        if self._stuck is not None and now - self._stuck > FETCH_SECONDS:
            return "its answer is not fetched"
        if self._asking:
            if self._whole() or now - self._window < BODY_WINDOW:
                return None
            too_few = self._bytes < BODY_LEAST
            self._window, self._bytes = now, 0
            return "its request's body comes too slowly" if too_few else None
        if self._waits is not None:
            return "its request does not come" if now - self._waits > HEAD_SECONDS else None
        return "it asks for nothing more" if now - self._idle > IDLE_SECONDS else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._admitted = self._doorman.admit(self)
        if self._admitted:
            self.inner.connection_made(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if not self._asking and self._waits is None:
            self._waits = monotonic()
        if self._admitted:
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received() if self._admitted else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._doorman.forget(self)
        if self._admitted:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stuck = monotonic()
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self._stuck = None
        self.inner.resume_writing()
