"""A graphics card for the service: the CPU's sessions under the card's name, made ill on demand.

It sits behind `engines.backends.Session`, so everything above that is real: the backend's thread,
the synthesizer, the ladder, the probes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.backends import Feed, Session, open_backend
from engines.errors import DeviceError, OutOfMemoryError

PAUSE = 0.05  # seconds that a slow card takes longer


@dataclass
class Card:
    """What happens on it.

    Attributes:
        mood: what becomes of a stage, by the graph's name, "load", "warm_up" or "close".
        threads: who touched it, by backend.
    """

    mood: dict[str, Callable[[], None]] = field(default_factory=dict)
    threads: list[set[int]] = field(default_factory=list)
    hung: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def open(self, name: str, source: Path, **options: Any) -> Any:
        """In place of `engines.open_backend`."""
        if name != "tensorrt":
            return open_backend(name, source, **options)
        assert options == {"build_missing": False}
        self.at("load")
        return CardBackend(self, source)

    def at(self, stage: str) -> None:
        self.mood.get(stage, lambda: None)()

    def fail(self) -> None:
        raise DeviceError("an unspecified launch failure")

    def lose(self) -> None:
        raise DeviceError("an illegal address", sticky=True)

    def hang(self) -> None:
        self.hung.set()
        assert self.release.wait(600)

    def fill(self) -> None:
        raise OutOfMemoryError("no memory left")

    def slow(self) -> None:
        time.sleep(PAUSE)


class CardBackend:
    """A backend whose every use is noted."""

    name = "tensorrt"

    def __init__(self, card: Card, source: Path) -> None:
        self._card = card
        self._real = open_backend("onnxruntime", source)
        self.model = self._real.model
        self._touched = {threading.get_ident()}
        card.threads.append(self._touched)

    def load(self, graph: str) -> Session:
        self._touched.add(threading.get_ident())
        return CardSession(self, graph, self._real.load(graph))

    def touch(self, stage: str) -> None:
        self._touched.add(threading.get_ident())
        self._card.at(stage)

    def warm_up(self) -> None:
        self.touch("warm_up")

    def close(self) -> None:
        self.touch("close")
        self._real.close()


class CardSession:
    """A session that does what the card's mood says before it computes."""

    def __init__(self, backend: CardBackend, graph: str, real: Session) -> None:
        self._backend, self._graph, self._real = backend, graph, real

    def run(self, feeds: Mapping[str, Feed], keep: Collection[str] = ()) -> dict[str, Any]:
        self._backend.touch(self._graph)
        return self._real.run(feeds, keep)
