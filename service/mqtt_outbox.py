"""Answers on their way to the broker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from service.mqtt_jobs import StoredJob
from service.mqtt_link import Link


class Outbox:
    """Sends answers and knows which of them the broker has not taken yet.

    Args:
        link: the line to the broker.
        base: first part of all topics.
    """

    def __init__(self, link: Link, base: str) -> None:
        self._link = link
        self._base = base
        self._sent: dict[int, str] = {}  # number of a message: the request it answers

    def send(self, job: StoredJob) -> None:
        """Send a request's answer to everybody, and to its response topic where it has one."""
        assert job.answer is not None
        payload = _json(job.answer.fields)
        if not self._link.takes(payload) and "audio" in job.answer.fields:
            payload = _json(job.answer.fields | {"audio": None})
        for topic in filter(None, (f"{self._base}/{job.answer.outcome}", job.reply)):
            number = self._link.publish(topic, payload, correlation=job.correlation)
            if number is not None:
                self._sent[number] = job.id

    def tell(self, topic: str, fields: dict[str, Any], *, retain: bool = False) -> None:
        """Send what answers no request."""
        self._link.publish(f"{self._base}/{topic}", _json(fields), retain=retain)

    def holds(self, job_id: str) -> bool:
        """Whether the broker has not taken all of a request's answer yet."""
        return job_id in self._sent.values()

    def taken(self, numbers: Iterable[int]) -> set[str]:
        """Requests whose answers the broker has, now that it took messages of these numbers."""
        ids = {self._sent.pop(number, None) for number in numbers}
        return {each for each in ids if each is not None} - set(self._sent.values())


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
