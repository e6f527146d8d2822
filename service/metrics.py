"""Counters and timings for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.model_metrics import ModelMetrics

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_RATIOS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5)


class Metrics:
    """All metrics of one service.

    Args:
        queue_depth: tells how many requests there are now.
        cache_bytes: tells what the kept clips take.
    """

    def __init__(self, queue_depth: Callable[[], int], cache_bytes: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
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
        self.audio_seconds = Counter(
            "speech_audio_seconds", "Audio handed out", ["rung"], registry=registry
        )
        self.models = ModelMetrics(registry)
        depth = Gauge("speech_queue_depth", "Requests waiting or spoken", registry=registry)
        depth.set_function(queue_depth)
        kept = Gauge("speech_cache_bytes", "What kept clips take on disk", registry=registry)
        kept.set_function(cache_bytes)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
