"""The MQTT door: requests come in, are safe on disk before they are acknowledged, and each ends in
exactly one `said` or `failed`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from service.errors import ServiceError
from service.job import Priority
from service.mqtt_announcer import CHOICES, Announcer, Clip
from service.mqtt_discovery import BIRTH, Described, description, topic
from service.mqtt_jobs import MOST_ATTEMPTS, Answer, JobStore, StoredJob, Verdict
from service.mqtt_link import Connected, Event, Link, Published, Received, Refused
from service.mqtt_outbox import Outbox
from service.mqtt_requests import (
    Cancelled,
    GaveUp,
    Interrupted,
    NotStored,
    failure,
    read_cancel,
    read_request,
)
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
_BATCH = 100  # requests that share one write to disk
_REPORT = 1.0  # seconds between looks at what Home Assistant's sensors show
_SWEEP = 3600  # looks between clearings of the store


class MqttBridge:
    """Speaks what comes by MQTT and answers there.

    Args:
        link: the line to the broker, subscribed to `subscriptions(base)` of mqtt_discovery.
        store: where accepted requests are kept.
        announcer: makes a clip of a request and has it played.
        voices: those that Home Assistant is told of.
        report: what the sensors show: queue and rung.
        base: first part of all topics.
        device: id of the device in Home Assistant.
        url: the service's page; empty for none.
    """

    def __init__(
        self,
        link: Link,
        store: JobStore,
        announcer: Announcer,
        voices: VoiceStore,
        report: Callable[[], dict[str, Any]],
        *,
        base: str,
        device: str,
        url: str,
    ) -> None:
        self._link = link
        self._store = store
        self._announcer = announcer
        self._voices = voices
        self._report = report
        self._base = base
        self._device = device
        self._url = url
        self._disk = ThreadPoolExecutor(1, "mqtt-jobs")
        self._connected = False
        self._open: dict[str, StoredJob] = {}
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[Priority, asyncio.Queue[StoredJob]] = {
            priority: asyncio.Queue() for priority in Priority
        }
        self._outbox = Outbox(link, base)
        self._ending: set[str] = set()  # requests whose answers are being written
        self._unwritten: dict[str, StoredJob] = {}  # answered, and the disk does not know
        self._latency: float | None = None
        self._shown: dict[str, Any] = {}
        self._described = Described([], ())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what was left, connect, listen."""
        for what in CHOICES:
            self._announcer.take_up(what, await self._on_disk(self._store.recall, what))
        volumes = await self._on_disk(self._store.recall, "volumes")
        self._announcer.keep_volumes(
            volumes, partial(self._on_disk, self._store.remember, "volumes")
        )
        for job in await self._on_disk(self._store.open_jobs):
            self._open[job.id] = job
            if job.playing:
                await self._end(job, Interrupted("the service ended while players were asked"))
            else:
                self._queue(job)
        self._link.open()
        self._tasks = [asyncio.create_task(self._work(each)) for each in self._waiting.values()]
        self._tasks += [asyncio.create_task(self._listen()), asyncio.create_task(self._observe())]

    async def stop(self) -> None:
        """Leave; what is not answered is spoken after the next start."""
        for task in (*self._tasks, *self._speaking.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._speaking.values(), return_exceptions=True)
        await self._announcer.close()
        await self._link.close()
        await self._safely(self._write_late())
        await self._on_disk(self._store.close)
        self._disk.shutdown()

    def state(self) -> dict[str, Any]:
        """How the line to the broker is, for /health."""
        return {"connected": self._link.connected, "reason": self._link.reason}

    @property
    def rival(self) -> bool:
        """Whether somebody else seems to use our client id."""
        return self._link.rival.reason is not None

    async def _on_disk(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def _listen(self) -> None:
        """Take events in their order; requests that came together share a write to disk."""
        while True:
            events = [await self._link.events.get()]
            while not self._link.events.empty() and len(events) < _BATCH:
                events.append(self._link.events.get_nowait())
            requests: list[Received] = []
            taken: list[int] = []
            for event in events:
                if isinstance(event, Received) and self._is_request(event.topic):
                    requests.append(event)
                    continue
                if isinstance(event, Published):
                    taken.append(event.number)
                    continue
                await self._safely(self._settle(requests, taken))
                requests, taken = [], []
                await self._safely(self._take(event))
            await self._safely(self._settle(requests, taken))

    async def _settle(self, requests: list[Received], taken: list[int]) -> None:
        if requests:
            await self._accept(requests)
        if delivered := self._outbox.taken(taken):
            await self._on_disk(self._store.delivered, delivered)

    async def _safely(self, work: Awaitable[object]) -> None:
        """One event that cannot be handled must not deafen the bridge."""
        try:
            await work
        except Exception:
            _LOGGER.exception("an MQTT event could not be handled")

    def _is_request(self, name: str) -> bool:
        say = f"{self._base}/say"
        return name == say or name.startswith(f"{say}/")

    async def _take(self, event: Event) -> None:
        if isinstance(event, Refused):
            await self._link.reopen_older()
        elif isinstance(event, Connected):
            if not event.kept:
                await self._on_disk(self._store.forget_packets)
            self._connected = True
            self._announce()
            undelivered = await self._on_disk(self._store.undelivered)
            for job in [*undelivered, *self._unwritten.values()]:
                if job.id not in self._ending and not self._outbox.holds(job.id):
                    self._outbox.send(job)
        elif isinstance(event, Received):
            self._link.acknowledge(event)
            if event.topic == BIRTH and event.payload == b"online":
                self._announce()
            elif event.topic == f"{self._base}/cancel":
                await self._cancel(event)
            elif event.topic.endswith("/set"):
                await self._choose(event)

    async def _accept(self, messages: list[Received]) -> None:
        jobs = [read_request(message, self._base) for message in messages]
        again = [message.again for message in messages]
        try:
            verdicts = await self._on_disk(self._store.accept, jobs, again)
        except Exception:
            _LOGGER.exception("requests cannot be stored")
            verdicts = [Verdict.NEW] * len(jobs)
            for job in jobs:
                refusal = NotStored("the disk does not take the request; the log says why")
                job.answer = job.answer or Answer("failed", {"id": job.id, **failure(refusal)})
        for message, job, verdict in zip(messages, jobs, verdicts, strict=True):
            self._link.acknowledge(message)
            if verdict is Verdict.NEW and job.answer is None:
                self._open[job.id] = job
                self._queue(job)
            elif verdict is Verdict.NEW:
                self._outbox.send(job)
            elif job.id in self._unwritten or (verdict is Verdict.ANSWERED and not message.again):
                await self._repeat(job)

    async def _repeat(self, job: StoredJob) -> None:
        """Who asks again has not heard the answer, perhaps on another topic."""
        known = self._unwritten.get(job.id) or await self._on_disk(self._store.find, job.id)
        if known is not None:
            known.reply, known.correlation = job.reply, job.correlation
            self._outbox.send(known)

    def _queue(self, job: StoredJob) -> None:
        self._waiting[Priority[job.fields["priority"].upper()]].put_nowait(job)

    async def _work(self, waiting: asyncio.Queue[StoredJob]) -> None:
        """Speak the requests of one priority, one after the other, in the order they came."""
        while True:
            job = await waiting.get()
            if self._open.get(job.id) is job:
                task = asyncio.create_task(self._speak(job))
                self._speaking[job.id] = task
                await asyncio.wait([task])
                del self._speaking[job.id]

    async def _speak(self, job: StoredJob) -> None:
        try:
            if await self._on_disk(self._store.begin, job) > MOST_ATTEMPTS:
                raise GaveUp(f"the service ended {MOST_ATTEMPTS} times while it spoke this")
            async with self._announcer.spoken(job) as clip:
                if not clip.players:
                    await self._say_so(job, clip)
            if clip.players:
                await self._on_disk(self._store.play, job)
                await self._announcer.play(clip)
                await self._say_so(job, clip)
        except ServiceError as error:
            await self._end(job, error)
        except Exception as error:
            _LOGGER.exception("request %s could not be spoken", job.id)
            await self._end(job, error)

    async def _say_so(self, job: StoredJob, clip: Clip) -> None:
        self._latency = round(job.age, 3)
        await self._end(job, {"id": job.id, **clip.fields, "latency": self._latency})

    async def _end(self, job: StoredJob, result: dict[str, Any] | Exception) -> None:
        """Answer a request, once."""
        if self._open.pop(job.id, None) is not job:
            return
        if isinstance(result, Exception):
            job.answer = Answer("failed", {"id": job.id, **failure(result)})
        else:
            job.answer = Answer("said", result)
        self._ending.add(job.id)
        try:
            await self._on_disk(self._store.end, job, job.answer)
        except sqlite3.Error:
            _LOGGER.exception("the answer to request %s cannot be stored yet", job.id)
            self._unwritten[job.id] = job
        finally:
            self._ending.remove(job.id)
        if self._connected:
            self._outbox.send(job)

    async def _write_late(self) -> None:
        """Try again to store answers; the next start would speak what seems to have none."""
        for job in list(self._unwritten.values()):
            assert job.answer is not None
            try:
                await self._on_disk(self._store.end, job, job.answer)
            except sqlite3.Error:
                return
            del self._unwritten[job.id]
            if self._connected and not self._outbox.holds(job.id):
                await self._on_disk(self._store.delivered, [job.id])

    async def _cancel(self, message: Received) -> None:
        try:
            wanted = read_cancel(message)
        except ServiceError as error:
            self._outbox.tell("failed", {"id": None, **failure(error)})
            return
        for job in [each for each in self._open.values() if wanted in ("", each.id)]:
            # What players were asked to play is heard; what is being answered has ended.
            if not job.playing and self._open.get(job.id) is job:
                if job.id in self._speaking:
                    self._speaking[job.id].cancel()
                await self._end(job, Cancelled("cancelled before it was spoken to its end"))

    async def _choose(self, message: Received) -> None:
        """Change the voice or the model of requests that name none."""
        what = message.topic.split("/")[-2]
        wanted = message.payload[:200].decode("utf-8", "replace").strip()
        try:
            chosen = self._announcer.choose(what, wanted)
        except ServiceError as error:
            self._outbox.tell("failed", {"id": None, **failure(error)})
            return
        await self._on_disk(self._store.remember, what, chosen)
        self._show()

    def _announce(self) -> None:
        """Tell Home Assistant who we are, and how we are."""
        described = Described(self._voices.usable(), tuple(self._announcer.models()))
        message = description(self._device, self._base, described, self._url, self._described)
        self._described = described
        self._link.publish(topic(self._device), message, retain=True)
        self._link.publish(f"{self._base}/status", b"online", retain=True)
        self._shown = {}
        self._show()

    def _show(self) -> None:
        shown = self._report()
        shown["queue"] += len(self._open) - len(self._speaking)
        chosen = {"voice": self._announcer.chosen_voice.id, "model": self._announcer.chosen_model}
        shown |= chosen | {"latency": self._latency}
        if self._connected and shown != self._shown:
            self._shown = shown
            self._outbox.tell("state", shown, retain=True)

    async def _observe(self) -> None:
        looks = 0
        while True:
            if looks % _SWEEP == 0:
                await self._safely(self._on_disk(self._store.forget_old))
            looks += 1
            await self._safely(self._write_late())
            now = Described(self._voices.usable(), tuple(self._announcer.models()))
            if self._connected and now.names != self._described.names:
                self._announce()
            self._show()
            await asyncio.sleep(_REPORT)
