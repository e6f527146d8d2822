"""Whether a rung is quick enough, sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass

from service.rung_worker import Bounds

SHORTEST = 0.4  # seconds of audio from which the real-time factor says something


@dataclass(slots=True)
class Stopwatch:
    """The times of one sentence.

    Attributes:
        began: when the rung was asked, `time.monotonic()`.
        first: when its first audio came, None before.
        seconds: audio so far.
    """

    began: float
    first: float | None = None
    seconds: float = 0.0

    def heard(self, seconds: float, now: float) -> None:
        """Count a chunk of audio."""
        if self.first is None:
            self.first = now
        self.seconds += seconds

    def too_slow(self, bounds: Bounds | None, now: float, share: float = 1.0) -> str | None:
        """What took too long, None if nothing did.

        Args:
            bounds: what the rung must keep, None for no limit.
            now: when the sentence ended, `time.monotonic()`.
            share: part of the bounds that may be used.
        """
        if bounds is None:
            return None
        first = (now if self.first is None else self.first) - self.began
        if first > bounds.first_audio * share:
            return f"first audio after {first:.1f} s, its bound is {bounds.first_audio:g} s"
        factor = (now - self.began) / max(self.seconds, SHORTEST)
        if factor > bounds.real_time_factor * share:
            limit = bounds.real_time_factor
            return f"takes {factor:.2f} times as long as it speaks, its bound is {limit:g}"
        return None
