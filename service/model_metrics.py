"""Counters and timings of each model, so that two can be compared while both speak."""

from __future__ import annotations

import contextlib

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
_RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5)


class ModelMetrics:
    """Metrics by model.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "speech_model_answers", "Answers by model", ["model"], registry=registry
        )
        self._failures = Counter(
            "speech_model_failures",
            "Sentences that a model could not speak, by the error's code",
            ["model", "code"],
            registry=registry,
        )
        self._first_audio = Histogram(
            "speech_model_first_audio_seconds",
            "From accepting a request to its first sample that is not silence",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._real_time_factor = Histogram(
            "speech_model_real_time_factor",
            "Time from the request to its last audio over the length of that audio",
            ["model"],
            buckets=_RATIOS,
            registry=registry,
        )
        self._loaded = Gauge(
            "speech_model_loaded", "1 while the model is in memory", ["model"], registry=registry
        )
        self._builds = Counter(
            "speech_engine_builds",
            "Engines for the graphics card by what became of them: kept, built, failed",
            ["model", "graph", "state"],
            registry=registry,
        )
        self._build_seconds = Gauge(
            "speech_engine_build_seconds",
            "Time that the latest build of an engine took",
            ["model", "graph"],
            registry=registry,
        )
        self._share = Gauge(
            "speech_model_share", "Share of the traffic, 0 to 1", ["model"], registry=registry
        )

    def spoke(self, model: str, first: float | None, took: float, seconds: float) -> None:
        """Count an answer: seconds to its first sound, seconds in all, seconds of audio."""
        self._answers.labels(model).inc()
        if first is not None:
            self._first_audio.labels(model).observe(first)
        if seconds:
            self._real_time_factor.labels(model).observe(took / seconds)

    def failed(self, model: str, code: str) -> None:
        """Count a sentence that a model could not speak."""
        self._failures.labels(model, code).inc()

    def built(self, model: str, graph: str, state: str, seconds: float) -> None:
        """Count an engine."""
        self._builds.labels(model, graph, state).inc()
        if state != "kept":
            self._build_seconds.labels(model, graph).set(seconds)

    def is_now(self, model: str, *, loaded: bool, share: float) -> None:
        """Tell how a model stands."""
        self._loaded.labels(model).set(loaded)
        self._share.labels(model).set(share)

    def forget(self, model: str) -> None:
        """A deleted model stands no more; what it has counted stays."""
        for gauge in (self._loaded, self._share):
            with contextlib.suppress(KeyError):
                gauge.remove(model)
