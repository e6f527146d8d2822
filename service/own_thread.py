"""A thread on which everything that touches one device happens, and only that.

CUDA's contexts belong to threads: what one has opened another cannot use. And a device that hangs
must not take along whoever asked it for something.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engines.errors import DeviceError

T = TypeVar("T")


class DeviceHung(DeviceError):
    """A device has not come back from what it was asked."""

    code = "device_hung"


@dataclass(slots=True)
class _Task:
    work: Callable[[], Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class OwnThread:
    """Does what it is given, one thing after the other; starts with the first.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stuck: threading.Event | None = None

    def do(self, work: Callable[[], T], within: float | None = None) -> T:
        """Do something there and wait for it.

        Args:
            work: what to do; its errors are raised here.
            within: seconds after which it counts as hung; None to wait for ever.

        Raises:
            DeviceHung: it took longer, or the thread still hangs in something earlier. Work that
                comes to its end after all has its effects.
        """
        if self._stuck is not None and not self._stuck.is_set():
            raise DeviceHung(f"{self._name} still hangs")
        task = _Task(work)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._tasks.put(task)
        if not task.done.wait(within):
            self._stuck = task.done
            raise DeviceHung(f"{self._name} has not come back for {within:g} s")
        if task.error is not None:
            raise task.error
        result: T = task.result
        return result

    def each(self, make: Callable[[], Generator[T, None, None]]) -> Iterator[T]:
        """Run a generator there, as far as the caller wants it."""
        made = self.do(make)
        try:
            while (piece := self.do(lambda: next(made, None))) is not None:
                yield piece
        finally:
            self.do(made.close)

    def close(self) -> None:
        """Let the thread end when it has done what it was given."""
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task.result = task.context.run(task.work)
            except BaseException as error:  # handed to whoever waits
                task.error = error
            task.done.set()
