"""Stands between a Wyoming client and its server and writes down which events pass."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class WyomingTap:
    """Listens on a port of its own and hands everything on to another.

    Attributes:
        port: where it listens.
        events: ("client" or "server", type) of every event, in the order in which they passed.
        free: seconds of the server's audio that pass while `gate` is closed; it is open at first.
    """

    def __init__(self, server: int) -> None:
        """Hand on to the port `server` of this machine."""
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.events: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.free = 0.0
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
            passed = 0.0
            while head := incoming.readline():
                fields = json.loads(head)
                length = fields.get("data_length") or 0
                length += fields.get("payload_length") or 0
                body = incoming.read(length)
                if fields["type"] == "audio-chunk" and passed >= self.free:
                    assert self.gate.wait(120)
                if fields["type"] == "audio-chunk":
                    passed += _seconds(fields, body)
                self.events.append((side, fields["type"]))
                target.sendall(head + body)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _seconds(fields: dict[str, Any], body: bytes) -> float:
    """How long the sound of an audio event is."""
    data = int(fields.get("data_length") or 0)
    sound = {**(fields.get("data") or {}), **json.loads(body[:data] or "{}")}
    frames = (len(body) - data) / (sound["width"] * sound["channels"])
    return float(frames / sound["rate"])
