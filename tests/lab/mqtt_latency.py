"""What the MQTT door adds to speaking: from publish to `said`, less the synthesis.

    python -m tests.lab.mqtt_latency [REQUESTS]

A real Mosquitto on the loopback, the service with a fake voice whose time is taken out.
"""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import numpy as np
from aiohttp import web
from paho.mqtt.client import MQTTMessage

from engines.audio import AudioChunk
from service import app
from service.clips import ClipShelf
from service.config import Settings
from service.rung_worker import Cancelled
from service.utterance import Utterance
from tests.lab.broker import Broker, provide_mosquitto
from tests.lab.mqtt_client import Visitor

RATE = 24_000
SENTENCE = 2.0  # seconds of audio
PIECES = 2  # that it comes in; a model's are of about a second
SYNTHESIS = 0.04  # seconds that making it takes
# The laboratory's broker writes every change to the disk, and nobody hears of it meanwhile.
AS_INSTALLED = "autosave_on_changes false\nautosave_interval 1800"
PAUSE = 0.05  # seconds between an answer and the next request


class KnownShelf(ClipShelf):
    """The one that the service made last."""

    latest: ClipShelf

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        KnownShelf.latest = self


class TimedVoice:
    """Makes a tone in pieces, as a model does, in a fixed time and notes how long that was."""

    name = "timed"
    languages = ("en",)
    patience = None
    ready = True
    bounds = None
    failure = None

    def __init__(self) -> None:
        self.took = 0.0

    def speaks(self, utterance: Utterance) -> bool:
        """All of it."""
        return True

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """A tone of `SENTENCE` seconds."""
        began = perf_counter()
        tone = np.sin(np.arange(round(RATE * SENTENCE)) * 0.05).astype(np.float32) * 0.3
        for number, piece in enumerate(np.array_split(tone, PIECES), start=1):
            sleep(SYNTHESIS / PIECES)  # as one waits for a device
            self.took = perf_counter() - began
            yield AudioChunk(piece, RATE, last=number == PIECES)


async def measure(requests: int, form: str, folder: Path) -> tuple[list[float], list[float]]:
    """What each of a number of requests took, one after the other, in milliseconds.

    Returns:
        Times beyond the synthesis until `said` is heard, and until the clip can be fetched.
    """
    broker = Broker(folder / "broker", extra=AS_INSTALLED)
    voice = TimedVoice()
    settings = Settings(
        data=folder / "data", mqtt_host="127.0.0.1", mqtt_port=broker.port, cache_mb=0
    )
    runner = web.AppRunner(app.create_app(settings, lambda: (voice,)))
    heard: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen(message: MQTTMessage) -> None:
        if message.topic in ("gptsovits/status", "gptsovits/said"):
            loop.call_soon_threadsafe(heard.put_nowait, perf_counter())

    said, fetched = [], []
    try:
        with Visitor(broker.port, listen) as visitor:
            await runner.setup()
            await heard.get()
            await asyncio.sleep(1)  # the self-test
            for number in range(requests):
                began = perf_counter()
                visitor.say(text=f"Number {number}.", format=form)
                answered = await heard.get()
                file = visitor.on("gptsovits/said")[-1]["url"].rpartition("/")[2]
                await asyncio.to_thread(KnownShelf.latest.path, file)
                ends = (answered, perf_counter())
                for times, end in zip((said, fetched), ends, strict=True):
                    times.append((end - began - voice.took) * 1000)
                await asyncio.sleep(PAUSE)
    finally:
        await runner.cleanup()
        broker.stop()
    return sorted(said), sorted(fetched)


def main() -> None:
    """Print a table."""
    logging.basicConfig(level="ERROR")
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    provide_mosquitto()
    app.ClipShelf = KnownShelf  # type: ignore[misc]
    print(f"{requests} requests, ms beyond synthesis      to `said`           to the whole clip")
    print("                                   median    p95  worst  median    p95  worst")
    for form in ("wav", "mp3", "opus"):
        with tempfile.TemporaryDirectory(prefix="mqtt-") as name:
            both = asyncio.run(measure(requests, form, Path(name)))
        row = (f"{x:6.1f}" for each in both for x in (median(each), _p95(each), each[-1]))
        print(f"{form:34s}", *row)


def _p95(ordered: list[float]) -> float:
    return ordered[int(0.95 * len(ordered))]


if __name__ == "__main__":
    main()
