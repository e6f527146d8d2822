"""How long a house waits: from `tts.speak` to the first byte at the player.

    python -m tests.lab.first_byte [TIMES]

A real Home Assistant and a real player; between the two stands a tap that sees the bytes pass.
"""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from tests.lab.full_house import LAST, SPEAKER, TTS, FullHouse

TEXT = "Number {}: the washing machine is done."


class Tap:
    """Hands on to another port, and notes when the first byte of a sound came back.

    Attributes:
        port: where it listens.
        sound: `time.monotonic()` of the first byte behind an answer's head; None before.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.server = 0
        self.sound: float | None = None

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.server))
                self._start(self._pass_on, client, server, False)
                self._start(self._pass_on, server, client, True)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        head = b""
        with suppress(OSError):
            while data := source.recv(65536):
                if answers and self.sound is None:
                    head += data
                    beginning, end, rest = head.partition(b"\r\n\r\n")
                    if end and rest and b" 200 " in beginning and b"audio/" in beginning:
                        self.sound = monotonic()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def main() -> None:
    """Print a table."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with Tap() as tap, FullHouse("a long secret", internal_port=tap.port) as house:
        tap.server = house.home.port
        rows = {form: [_once(house, tap, form, n) for n in range(times)] for form in ("wav", "mp3")}
    print(
        f"{times} times each, ms, lowest / median   first byte at the player  of that the service"
    )
    for form, row in rows.items():
        whole, service = (sorted(each) for each in zip(*row[1:], strict=True))
        shown = (f"{each[0]:7.0f} / {each[len(each) // 2]:.0f}" for each in (whole, service))
        print(f"{form:37s}", *(f"{text:>22s}" for text in shown))


def _once(house: FullHouse, tap: Tap, form: str, number: int) -> tuple[float, float]:
    """Milliseconds until the player has the first byte; those until the service had sent one."""
    tap.sound = None
    began = monotonic()
    options = {"preferred_format": form}
    fields = {"entity_id": TTS, "media_player_entity_id": SPEAKER, "options": options}
    house.hear("tts.speak", {**fields, "message": TEXT.format(number), "cache": False})
    house.until("first byte", lambda: tap.sound)
    assert tap.sound is not None
    last = house.home.state(LAST)
    assert last is not None
    return (tap.sound - began) * 1000, float(last["attributes"]["first_audio"]) * 1000


if __name__ == "__main__":
    main()
