"""Stands between a Wyoming client and its server and writes down which events pass."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class WyomingTap:
    """Listens on a port of its own and hands everything on to another.

    Attributes:
        port: where it listens.
        events: ("client" or "server", type) of every event, in the order in which they passed.
    """

    def __init__(self, server: int) -> None:
        """Hand on to the port `server` of this machine."""
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.events: list[tuple[str, str]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        # A thread that waits in accept() does not notice that its socket is closed.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            back = threading.Thread(target=self._pass_on, args=("server", server, client))
            back.start()
            self._pass_on("client", client, server)
            back.join()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _pass_on(self, side: str, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source.makefile("rb") as incoming:
            while head := incoming.readline():
                fields = json.loads(head)
                length = fields.get("data_length") or 0
                length += fields.get("payload_length") or 0
                self.events.append((side, fields["type"]))
                target.sendall(head + incoming.read(length))
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
