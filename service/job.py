"""One request on its way through the queue, between the event loop and the thread that speaks."""

from __future__ import annotations

import asyncio
import enum
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator
from time import monotonic

from service.logs import current
from service.utterance import SpokenChunk, Utterance

_ORDER = itertools.count()


class Priority(enum.IntEnum):
    """How urgent a request is; lower goes first."""

    ALERT = 0
    NORMAL = 1
    BACKGROUND = 2


class Job:
    """One request on its way through the queue; made and read on the event loop.

    Args:
        job_id: names the request in answers and logs.
        priority: how urgent it is.
        client: who asks, the door first; clients of one priority take turns.
        expires: seconds after which it is not worth saying, if it has not been started; None for
            always.

    Attributes:
        cancelled: set when nobody listens any more; the thread stops at the next chunk.
        held: bytes of its sound in memory.
        queued, started, first_audio: `time.monotonic()` of what happened, None before.
        begun: set on the event loop when its first sentence is taken, or it ends before.
    """

    def __init__(
        self,
        job_id: str,
        *,
        priority: Priority = Priority.NORMAL,
        client: str = "",
        expires: float | None = None,
    ) -> None:
        self.id = job_id
        self.priority = priority
        self.client = client
        self.expires = expires
        self.order = next(_ORDER)
        self.trace = current()  # so that what the queue's thread logs is known as this request's
        self.cancelled = threading.Event()
        self.queued = monotonic()
        self.started: float | None = None
        self.first_audio: float | None = None
        self.sentences: deque[Utterance] = deque()
        self.complete = False  # no further sentence will come
        self.spoken = 0  # sentences taken by the thread
        self.begun = asyncio.Event()
        self.held = 0
        self._loop = asyncio.get_running_loop()
        # Unbounded on purpose: one slow player must not stall the house's only voice. What bounds
        # it is the length of a text, and `MOST_HELD` for all together.
        self._chunks: asyncio.Queue[SpokenChunk | Exception | None] = asyncio.Queue()

    @property
    def has_news(self) -> bool:
        """Whether something lies ready for who reads its chunks."""
        return not self._chunks.empty()

    async def chunks(self) -> AsyncIterator[SpokenChunk]:
        """What was spoken, in order, as it is made.

        Raises:
            ServiceError: speaking failed; no further chunk comes.
        """
        while (item := await self._chunks.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def deliver(self, item: SpokenChunk | Exception | None) -> None:
        """Hand a chunk, an error or the end (None) to the event loop; called on any thread."""
        if not self.cancelled.is_set():
            if isinstance(item, SpokenChunk):
                self.held += item.audio.samples.nbytes
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, item)
            self._loop.call_soon_threadsafe(self.begun.set)

    def begin(self) -> None:
        """Note that its next sentence is taken; called on the queue's thread."""
        self.spoken += 1
        if self.started is None:
            self.started = monotonic()
            self._loop.call_soon_threadsafe(self.begun.set)
