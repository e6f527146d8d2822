"""Announcements spoken ahead of time, so that they lie in the cache when they are needed."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.errors import Busy, ServiceError
from service.said_before import CACHED
from service.speech import Speech
from service.speech_request import SpeechRequest
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
REMEMBERED = 20  # batches whose outcome can still be asked for


class NotKept(ServiceError):
    """It was spoken, but not by who should have: what is in the cache sounds as it should."""

    code = "not_kept"
    status = 503


class BatchNotFound(ServiceError):
    """There is no such batch, or no longer."""

    code = "batch_not_found"
    status = 404


@dataclass(slots=True)
class Batch:
    """Texts that are being spoken one by one.

    Attributes:
        id: names it.
        total: how many texts there are.
        done: how many lie in the cache now.
        failed: what could not be spoken, or not be kept: index, code and message.
    """

    id: str
    total: int
    done: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """What clients are told."""
        finished = self.done + len(self.failed) == self.total
        return {
            "id": self.id,
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "finished": finished,
        }


class Prerenderer:
    """Speaks batches in the background, one text at a time, after everything more urgent."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, requests: Sequence[SpeechRequest]) -> Batch:
        """Begin a batch; returns at once."""
        batch = Batch(uuid.uuid4().hex[:12], len(requests))
        self._batches[batch.id] = batch
        while len(self._batches) > REMEMBERED:
            self._batches.popitem(last=False)
        task = asyncio.create_task(self._run(batch, requests))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch

    def get(self, batch_id: str) -> Batch:
        """A batch of before.

        Raises:
            BatchNotFound: there is none.
        """
        try:
            return self._batches[batch_id]
        except KeyError:
            raise BatchNotFound("there is no such batch, or no longer", param="id") from None

    async def close(self) -> None:
        """Give up what is not spoken yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, batch: Batch, requests: Sequence[SpeechRequest]) -> None:
        for index, request in enumerate(requests):
            try:
                await self._speak(request)
                batch.done += 1
            except ServiceError as error:
                failure = {"index": index, "code": error.code, "message": str(error)}
                batch.failed.append(failure)
        _LOGGER.info(
            "batch %s: %d texts in the cache, %d failed", batch.id, batch.done, len(batch.failed)
        )

    async def _speak(self, request: SpeechRequest) -> None:
        while True:
            try:
                async with self._speech.say(request) as speaking:
                    async for _ in speaking.chunks():
                        pass
            except Busy as busy:
                # There is no hurry: whoever waits for an answer goes first.
                await asyncio.sleep(busy.retry_after)
                continue
            if speaking.rung == CACHED:
                return
            if speaking.keeping is None:
                message = f"{speaking.rung} only stood in for the voice {speaking.voice.id}"
                raise NotKept(f"{message}, which is not kept")
            if not await speaking.keeping:
                raise StorageFailed("the cache takes no clip: its disk is full, or `cache_mb` is 0")
            return
