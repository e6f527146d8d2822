"""The queue between the doors and the one thread that speaks.

A job is a request; its unit of work is a sentence. Sentences may arrive while earlier ones play (a
language model is still writing), so the thread takes whichever job has one ready: the most urgent,
of those the one that has been served least (a doorbell does not wait for a bedtime story), of those
the one whose client has had the fewest turns. No client may fill the queue: a quarter of its places
is kept for others, and all of it is open to alerts.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from dataclasses import replace
from time import monotonic
from typing import Any

from service.errors import (
    Expired,
    NotReady,
    QueueFull,
    ServiceError,
    SynthesisFailed,
    TooManyRequests,
)
from service.job import Job, Priority
from service.logs import traced
from service.utterance import Speak, Utterance

_LOGGER = logging.getLogger(__name__)
_RETRY_AFTER = 2  # seconds; about a sentence's time
_PACE_MEMORY = 0.8  # share of the old estimate that one more sentence leaves standing
MOST_HELD = 400_000_000  # bytes of sound in memory above which no request is taken
_LAST_CHUNK = 5.0  # seconds that the thread gets to notice that it must stop


class JobQueue:
    """A bounded number of jobs and the thread that speaks them.

    Args:
        speak: speaks one sentence, and stops when what it is given says so; called on the queue's
            thread only.
        limit: jobs that may be in the queue, the one being spoken counted in.
        longest_wait: seconds; a job whose first audio is predicted to take longer is not accepted.
    """

    def __init__(self, speak: Speak, limit: int, longest_wait: float = math.inf) -> None:
        self.limit = limit
        self._longest_wait = longest_wait
        self._pace = 0.0  # seconds a character takes to speak; learned, 0 until the first sentence
        self._turns: Counter[str] = Counter()
        self._now: tuple[Job, Utterance, float] | None = None
        self._speak = speak
        self._jobs: list[Job] = []
        self._open: set[Job] = set()  # those whose sound somebody still holds
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="synthesis", daemon=True)

    @property
    def depth(self) -> int:
        """Jobs waiting or being spoken."""
        return len(self._jobs)

    @property
    def speaking(self) -> dict[str, Any] | None:
        """Whose sentence is spoken now: request, voice, door and for how many seconds."""
        if (now := self._now) is None:
            return None
        job, sentence, since = now
        door = job.client.partition(" ")[0]
        seconds = round(monotonic() - since, 1)
        return {"id": job.id, "voice": sentence.voice, "door": door, "seconds": seconds}

    @property
    def held(self) -> int:
        """Bytes of sound that is in memory for those who listen, or do not yet."""
        return sum(job.held for job in list(self._open))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether all that was accepted has been spoken, and fetched by who asked for it."""
        return not self._jobs and not self._open

    def refuse(self) -> None:
        """Accept no further job; those that were accepted are spoken."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def close(self, drain: float = 30.0) -> None:
        """Refuse new jobs, let the thread finish the others for `drain` seconds, then stop it."""
        self.refuse()
        self._thread.join(drain)
        with self._changed:
            for job in self._jobs:
                job.deliver(NotReady("the service stopped", retry_after=_RETRY_AFTER))
                job.cancelled.set()
            self._jobs.clear()
            self._changed.notify()
        self._thread.join(_LAST_CHUNK)

    def submit(self, job: Job) -> None:
        """Give a job its place.

        Raises:
            QueueFull: all places are taken, or all that one client may take, or too much sound
                waits in memory for clients that are slow to fetch it.
            TooManyRequests: its first audio would come too late.
            NotReady: the service stops.
        """
        with self._changed:
            if self._closing:
                raise NotReady("the service stops", retry_after=_RETRY_AFTER)
            self._check_places(job)
            self._join_turns(job.client)
            wait = self._predict(job.priority, job.client)
            if wait > self._longest_wait:
                message = f"first audio would take {wait:.1f} s, max_wait is {self._longest_wait:g}"
                later = math.ceil(wait - self._longest_wait)
                raise TooManyRequests(message, retry_after=later, limit=self._longest_wait)
            self._jobs.append(job)
            self._open.add(job)
            self._changed.notify()

    def add(self, job: Job, *sentences: Utterance, complete: bool = False) -> None:
        """Give a job more to say; `complete` says that it was the last."""
        with self._changed:
            job.sentences.extend(sentences)
            job.complete = job.complete or complete
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Forget a job; what is being spoken of it stops at its next chunk."""
        with self._changed:
            job.cancelled.set()
            self._open.discard(job)
            if job in self._jobs:
                self._jobs.remove(job)
            self._changed.notify()

    def predicted_wait(self, priority: Priority = Priority.NORMAL, client: str = "") -> float:
        """Seconds until a client's new job would be heard, by what sentences have taken so far."""
        with self._changed:
            return self._predict(priority, client)

    def _check_places(self, job: Job) -> None:
        taken = sum(each.client == job.client for each in self._jobs)
        share = self.limit - self.limit // 4
        held = self.held
        if len(self._jobs) >= self.limit:
            message, limit = f"{self.limit} requests wait already, max_queue allows no more", 0
        elif taken >= share and job.priority is not Priority.ALERT:
            message, limit = f"{taken} requests of this client wait already", share
        elif held > MOST_HELD:
            message, limit = f"{held >> 20} MiB of sound wait to be fetched", MOST_HELD
        else:
            return
        later = max(math.ceil(self._predict(Priority.BACKGROUND, job.client)), _RETRY_AFTER)
        raise QueueFull(message, retry_after=later, limit=limit or self.limit)

    def _join_turns(self, client: str) -> None:
        """Who comes anew has had as many turns as the least served of those that wait: neither
        does it go behind for ever, nor do they."""
        waiting = {job.client for job in self._jobs}
        if client not in waiting:
            self._turns[client] = min((self._turns[each] for each in waiting), default=0)
        for gone in self._turns.keys() - waiting - {client}:
            del self._turns[gone]

    def _predict(self, priority: Priority, client: str) -> float:
        """What stands before a newcomer: the sentence being spoken, all of more urgent jobs, and
        the first sentence of each job of its own kind that has not begun and has its turn before.
        """
        new = [job for job in self._jobs if job.priority == priority and not job.spoken]
        characters = sum(
            len(sentence.text)
            for job in self._jobs
            if job.priority < priority
            for sentence in job.sentences
        )
        turns = Counter(self._turns)
        turns.setdefault(client, min(turns.values(), default=0))
        mine = turns[client] + sum(job.client == client for job in new)
        for job in new:
            if job.sentences and turns[job.client] <= mine:
                characters += len(job.sentences[0].text)
            turns[job.client] += 1
        wait = characters * self._pace
        if self._now is not None:
            _, sentence, since = self._now
            wait += max(0.0, len(sentence.text) * self._pace - (monotonic() - since))
        return wait

    def _run(self) -> None:
        while (work := self._next()) is not None:
            job, sentence, number = work
            with traced(job.trace):
                try:
                    self._speak_sentence(job, sentence, number)
                except Exception as error:
                    if not isinstance(error, ServiceError):
                        _LOGGER.exception("speaking failed")
                    self._fail(job, error)

    def _next(self) -> tuple[Job, Utterance, int] | None:
        with self._changed:
            while True:
                self._drop_finished()
                ready = [job for job in self._jobs if job.sentences]
                if ready:
                    job = min(ready, key=self._rank)
                    job.begin()
                    self._turns[job.client] += 1
                    return job, job.sentences.popleft(), job.spoken - 1
                if not self._jobs:
                    self._turns.clear()
                    if self._closing:
                        return None
                self._changed.wait()

    def _rank(self, job: Job) -> tuple[int, int, int, int]:
        return job.priority, job.spoken, self._turns[job.client], job.order

    def _drop_finished(self) -> None:
        now = monotonic()
        for job in list(self._jobs):
            if job.complete and not job.sentences:
                end = None
            elif not job.spoken and job.expires is not None and now - job.queued > job.expires:
                message = f"not started within the {job.expires:g} s after which it expires"
                end = Expired(message, param="expires", limit=job.expires)
            else:
                continue
            # First its place, then the word: who hears the end may count on the place.
            self._jobs.remove(job)
            job.deliver(end)

    def _speak_sentence(self, job: Job, sentence: Utterance, number: int) -> None:
        began = monotonic()
        self._now = (job, sentence, began)
        chunks = self._speak(sentence, job.cancelled.is_set)
        try:
            for chunk in chunks:
                if job.cancelled.is_set():
                    return
                job.first_audio = job.first_audio or monotonic()
                job.deliver(replace(chunk, audio=replace(chunk.audio, sentence=number)))
        finally:
            self._now = None
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        pace = (monotonic() - began) / max(1, len(sentence.text))
        self._pace = self._pace * _PACE_MEMORY + pace * (1 - _PACE_MEMORY) if self._pace else pace

    def _fail(self, job: Job, error: Exception) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
        known = isinstance(error, ServiceError)
        job.deliver(error if known else SynthesisFailed("speaking failed; the log says why"))
