"""A real program running beside the laboratory, its log, and a free port for it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.lab.ground import LabError

T = TypeVar("T")


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A program started as a child and stopped, by its process id, with the context."""

    def __init__(self, name: str, *command: str | Path, log: Path, cwd: Path | None = None) -> None:
        """Start `command`; what it writes goes to the file `log`."""
        self.name = name
        self.log = log
        # Settings of this machine's own service, and the laboratory's, are none of the program's.
        clean = {key: text for key, text in os.environ.items() if not key.startswith("GPTSOVITS_")}
        # A laboratory that is killed cannot clean up; the kernel then ends its programs.
        leash = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                [*leash, *(str(part) for part in command)],
                cwd=cwd,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the program: politely, then after 10 seconds by force."""
        self._child.terminate()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._child.pid

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._child.send_signal(number)

    def ended(self) -> int | None:
        """The program's exit status, None while it runs."""
        return self._child.poll()

    def wait(self, seconds: float) -> int:
        """Wait for the program to end by itself; returns its exit status."""
        return self._child.wait(seconds)

    def wait_for(self, what: str, probe: Callable[[], T | None], seconds: float) -> T:
        """Ask `probe` until it answers something that is not None or False.

        Raises:
            LabError: the program ended, or `seconds` passed; carries the end of its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (answer := probe()) is not None and answer is not False:
                return answer
            if self._child.poll() is not None:
                raise LabError(f"{self.name} ended with {self._child.returncode}:\n{self.tail()}")
            time.sleep(0.02)
        raise LabError(f"{self.name}: no {what} within {seconds:.0f} s:\n{self.tail()}")

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
