"""Accepted requests on disk: what MQTT acknowledged is spoken or refused, whatever happens.

A row is a request, then its answer. Each request of one id is answered once; rows stay for a day so
that a message delivered again, by a broker that missed the acknowledgement, is known.
"""

from __future__ import annotations

import contextlib
import enum
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

REPEAT_WINDOW = 600.0  # seconds after its answer in which a request of the same id is the same one
KEPT = 86_400.0  # seconds that an answered request is remembered
MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended: `said` or `failed`, and the fields of that message."""

    outcome: str
    fields: dict[str, Any]


@dataclass(slots=True)
class StoredJob:
    """One accepted request.

    Attributes:
        id: the requester's name for it, or ours.
        fields: what was asked, checked.
        named: the requester gave the id.
        reply, correlation: where MQTT 5 wants the answer too, and with what.
        fingerprint: of the packet, to know it again when the broker sends it again.
        arrived: `time.time()`; it has to survive a restart.
        waited: seconds that it had waited when this run of the service took it up.
        taken_up: `monotonic()` of that; a clock that is set meanwhile makes nothing older.
        attempts: how often speaking has begun and not ended.
        playing: players were asked, and then nothing more is known.
        answer: how it ended, None before.
    """

    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    named: bool = False
    reply: str | None = None
    correlation: bytes | None = None
    fingerprint: str | None = None
    arrived: float = field(default_factory=time.time)
    waited: float = field(default=0.0, compare=False)
    taken_up: float = field(default_factory=lambda: monotonic(), compare=False)
    attempts: int = 0
    playing: bool = False
    answer: Answer | None = None

    @property
    def age(self) -> float:
        """Seconds since it arrived."""
        return self.waited + monotonic() - self.taken_up


class Verdict(enum.Enum):
    """What a request is to the store."""

    NEW = "new"
    OPEN = "open"  # known, its answer will come
    ANSWERED = "answered"


class JobStore:
    """All requests that came by MQTT; every method blocks, all are called on one thread.

    Args:
        path: the database file; made when missing.
        now: the wall clock.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; what was being spoken was not ended by its own fault."""
        self._db.execute("UPDATE job SET attempts = 0 WHERE outcome IS NULL")
        self._db.close()

    def accept(self, jobs: Sequence[StoredJob], again: Sequence[bool]) -> list[Verdict]:
        """Write requests that arrived, all or none; they survive a power cut from here on.

        Args:
            jobs: the requests; one with an answer is refused already.
            again: which of them the broker says it sent before. One without an id of its own takes
                the id under which it is known.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            verdicts = [self._accept(*each) for each in zip(jobs, again, strict=True)]
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return verdicts

    def _accept(self, job: StoredJob, again: bool) -> Verdict:
        if again and not job.named:
            same = "SELECT id FROM job WHERE fingerprint = ?"
            if known := self._db.execute(same, (job.fingerprint,)).fetchone():
                job.id = known[0]
        row = self._db.execute("SELECT outcome, ended FROM job WHERE id = ?", (job.id,)).fetchone()
        if row is not None and row[0] is None:
            return Verdict.OPEN
        if row is not None and (again or abs(self._now() - row[1]) < REPEAT_WINDOW):
            return Verdict.ANSWERED
        self._db.execute(
            "INSERT OR REPLACE INTO job (id, fields, reply, correlation, fingerprint, arrived,"
            " outcome, answer, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(job.id, json.dumps(job.fields), job.reply, job.correlation, job.fingerprint),
                *(job.arrived, *_columns(job.answer), self._now() if job.answer else None),
            ),
        )
        return Verdict.NEW

    def begin(self, job: StoredJob) -> int:
        """Note that speaking begins; returns how often it has begun without an end."""
        with self._unhurried():
            self._db.execute("UPDATE job SET attempts = attempts + 1 WHERE id = ?", (job.id,))
        job.attempts += 1
        return job.attempts

    def play(self, job: StoredJob) -> None:
        """Note that players are about to be asked: from here on it may have been heard."""
        self._db.execute("UPDATE job SET playing = 1 WHERE id = ?", (job.id,))
        job.playing = True

    def end(self, job: StoredJob, answer: Answer) -> None:
        """Write how a request ended."""
        self._db.execute(
            "UPDATE job SET outcome = ?, answer = ?, ended = ?, delivered = 0 WHERE id = ?",
            (*_columns(answer), self._now(), job.id),
        )

    def delivered(self, ids: Iterable[str]) -> None:
        """Note that the broker has these answers."""
        with self._unhurried():
            self._db.execute("BEGIN IMMEDIATE")
            rows = [(each,) for each in ids]
            self._db.executemany("UPDATE job SET delivered = 1 WHERE id = ?", rows)
            self._db.execute("COMMIT")

    def open_jobs(self) -> list[StoredJob]:
        """What has no answer yet, the oldest first."""
        return self._select("outcome IS NULL ORDER BY arrived, rowid")

    def undelivered(self) -> list[StoredJob]:
        """What has an answer that the broker did not take yet."""
        return self._select("outcome IS NOT NULL AND NOT delivered ORDER BY ended, rowid")

    def find(self, job_id: str) -> StoredJob | None:
        """The request of that id."""
        found = self._select("id = ?", job_id)
        return found[0] if found else None

    def forget_packets(self) -> None:
        """The broker began a new session: its packet numbers mean other packets now."""
        self._db.execute("UPDATE job SET fingerprint = NULL WHERE fingerprint IS NOT NULL")

    def forget_old(self) -> None:
        """Drop what was answered more than a day ago."""
        self._db.execute("DELETE FROM job WHERE delivered AND ended < ?", (self._now() - KEPT,))

    def remember(self, key: str, value: str) -> None:
        """Keep a choice over restarts."""
        self._db.execute("INSERT OR REPLACE INTO choice VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """A choice that was kept."""
        row = self._db.execute("SELECT value FROM choice WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    @contextlib.contextmanager
    def _unhurried(self) -> Iterator[None]:
        """For what must survive the end of the process, not of the power: no wait for the disk."""
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous=FULL")

    def _select(self, where: str, *values: object) -> list[StoredJob]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM job WHERE {where}", values).fetchall()
        return [
            StoredJob(
                id=row[0],
                fields=json.loads(row[1]),
                named=True,
                reply=row[2],
                correlation=row[3],
                fingerprint=row[4],
                arrived=row[5],
                waited=max(0.0, self._now() - row[5]),  # the clock may have been set back
                attempts=row[6],
                playing=bool(row[7]),
                answer=None if row[8] is None else Answer(row[8], json.loads(row[9])),
            )
            for row in rows
        ]


def _columns(answer: Answer | None) -> tuple[str | None, str | None]:
    return (None, None) if answer is None else (answer.outcome, json.dumps(answer.fields))


_COLUMNS = (
    "id, fields, reply, correlation, fingerprint, arrived, attempts, playing, outcome, answer"
)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY,
    fields TEXT NOT NULL,
    reply TEXT,
    correlation BLOB,
    fingerprint TEXT,
    arrived REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    playing INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    answer TEXT,
    ended REAL,
    delivered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS job_fingerprint ON job (fingerprint);
CREATE INDEX IF NOT EXISTS job_waiting ON job (delivered);
CREATE TABLE IF NOT EXISTS choice (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
