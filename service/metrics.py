"""Counters and timings for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.model_metrics import ModelMetrics

__all__ = ["CONTENT_TYPE_LATEST", "LastAnswer", "Metrics"]

CANCEL_REASONS = ("left", "expired", "stopped")
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_RATIOS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5)


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The latest answer: who spoke, seconds to its first sound, seconds of audio."""

    rung: str
    first_audio: float | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As `/health` tells it; neither who spoke nor what, as that needs no token."""
        first = None if self.first_audio is None else round(self.first_audio, 3)
        return {"rung": self.rung, "first_audio": first, "seconds": round(self.seconds, 3)}


class Metrics:
    """All metrics of one service.

    Args:
        queue_depth: tells how many requests there are now.
        cache_bytes: tells what the kept clips take.
    """

    def __init__(self, queue_depth: Callable[[], int], cache_bytes: Callable[[], int]) -> None:
        self.last: LastAnswer | None = None
        self._registry = CollectorRegistry()
        registry = self._registry
        ProcessCollector(registry=registry)  # memory, processor time, open files
        self.requests = Counter(
            "speech_requests",
            "Requests by door and how they ended: done, cancelled or an error's code",
            ["door", "outcome"],
            registry=registry,
        )
        self.rungs = Counter(
            "speech_answers", "Answers by voice and rung", ["voice", "rung"], registry=registry
        )
        self.first_audio = Histogram(
            "speech_first_audio_seconds",
            "From accepting a request to its first sample that is not silence",
            ["rung"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.real_time_factor = Histogram(
            "speech_real_time_factor",
            "Time to make an answer over the length of its audio",
            ["rung"],
            buckets=_RATIOS,
            registry=registry,
        )
        self.steps = Counter(
            "speech_ladder_steps",
            "Changes of the rung that speaks, by where from, where to and why",
            ["before", "after", "code"],
            registry=registry,
        )
        self.turns = Counter(
            "speech_rung_turns",
            "Rungs that went down or came back up, and why; also those that did not speak then",
            ["rung", "state", "code"],
            registry=registry,
        )
        self.audio_seconds = Counter(
            "speech_audio_seconds", "Audio handed out", ["rung"], registry=registry
        )
        self.models = ModelMetrics(registry)
        self.cancels = Counter(
            "speech_cancels",
            "Requests that ended unspoken or half spoken: the client left, they expired, or the "
            "service stopped",
            ["reason"],
            registry=registry,
        )
        self._cache_hits = Counter(
            "speech_cache_hits", "Requests answered by a kept clip", registry=registry
        )
        self._cache_misses = Counter(
            "speech_cache_misses", "Requests whose clip was not kept", registry=registry
        )
        self._queue_wait = Histogram(
            "speech_queue_wait_seconds",
            "From accepting a request to its first sentence's turn",
            ["priority"],
            buckets=_SECONDS,
            registry=registry,
        )
        for reason in CANCEL_REASONS:
            self.cancels.labels(reason)  # so that a first one shows as an increase
        depth = Gauge("speech_queue_depth", "Requests waiting or spoken", registry=registry)
        depth.set_function(queue_depth)
        kept = Gauge("speech_cache_bytes", "What kept clips take on disk", registry=registry)
        kept.set_function(cache_bytes)

    def watch_mqtt(self, connected: Callable[[], bool], rival: Callable[[], bool]) -> None:
        """Tell of a broker, too; without one nothing is told of it."""
        up = Gauge("speech_mqtt_connected", "1 while the broker hears us", registry=self._registry)
        up.set_function(connected)
        other = Gauge(
            "speech_mqtt_rival",
            "1 while somebody else seems to use our client id at the broker",
            registry=self._registry,
        )
        other.set_function(rival)

    def looked_up(self, *, found: bool) -> None:
        """Count a look into the cache."""
        (self._cache_hits if found else self._cache_misses).inc()

    def waited(self, priority: str, seconds: float) -> None:
        """Count how long a request has waited for its turn."""
        self._queue_wait.labels(priority).observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
