"""What many listeners at once get from one service, and what its memory does meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import aiohttp
import numpy as np
from demo import HOST, ROOT, free_port, stop, wait_until_ready, without_settings

STREAMS = (1, 2, 4, 8, 16, 32)
SHARES = (0.5, 0.8, 0.95)  # of the capacity, for arrivals at random
RATE = 24_000  # Hz; the plain voice's own, so that its samples come as they were made
AUDIBLE = 104  # of 32768, -50 dB of full scale
SEED = 1
TEXTS = {  # about 1, 4 and 12 seconds of speech
    "short": "Dinner is ready.",
    "middle": "The washing machine is done, please hang up the laundry before it rains.",
    "long": (
        "Good morning. It is seven o'clock and nine degrees outside. It will rain from noon on, so "
        "take an umbrella with you. The bus leaves in twenty five minutes, and the window in the "
        "bathroom is still open. Somebody has to bring the parcel to the neighbours today."
    ),
}


@dataclass(slots=True)
class Answer:
    """What a listener got; times in seconds from asking."""

    status: int
    code: str = ""
    first: float = 0.0  # to the first sample that is not silence
    total: float = 0.0
    gaps: float = 0.0  # that a player in real time would have stood still
    wrong: str = ""


@dataclass(slots=True)
class Stage:
    """Answers of one kind of load."""

    name: str
    seconds: float = 0.0
    growth: float = 0.0  # MiB
    answers: list[Answer] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """For machines."""
        good = [answer for answer in self.answers if answer.status == 200]
        refused = Counter(answer.code for answer in self.answers if answer.status != 200)
        return {
            "load": self.name,
            "requests": len(self.answers),
            "per_second": round(len(good) / self.seconds, 2),
            "first_ms": _percentiles([answer.first for answer in good]),
            "total_ms": _percentiles([answer.total for answer in good]),
            "gap_ms": _percentiles([answer.gaps for answer in good]),
            "refused": dict(refused),
            "wrong": sum(bool(answer.wrong) for answer in self.answers),
            "rss_growth_mib": round(self.growth, 1),
        }


class Listeners:
    """Ask a service and look at what comes.

    Args:
        session: of aiohttp.
        url: where the service is.
        voice: voice that speaks.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, voice: str) -> None:
        self._session, self._url, self._voice = session, url, voice
        self._expected: dict[str, str] = {}

    async def learn(self) -> None:
        """Hear each text alone once; from then on it must sound the same."""
        for kind in TEXTS:
            await self.ask(kind)

    async def ask(self, kind: str) -> Answer:
        """Ask for one text and read the answer as a player would."""
        body = {"input": TEXTS[kind], "voice": self._voice, "response_format": "pcm"}
        began = perf_counter()
        try:
            async with self._session.post(
                f"{self._url}/v1/audio/speech", json={**body, "sample_rate": RATE}
            ) as response:
                if response.status != 200:
                    code = (await response.json())["error"]["code"]
                    return Answer(response.status, code, wrong=_other_than_busy(response.status))
                answer, sound = await _listen(response, began)
                spoke = response.headers["X-Speech-Voice"]
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(0, "broken", wrong=f"lost: {error}")
        known = self._expected.setdefault(kind, sound)
        if spoke != self._voice:
            answer.wrong = f"spoken by {spoke}"
        elif known != sound:
            answer.wrong = "it sounds other than alone"
        return answer


async def _listen(response: aiohttp.ClientResponse, began: float) -> tuple[Answer, str]:
    answer = Answer(200)
    sound, heard, started = hashlib.sha256(), 0, 0.0
    odd = b""
    async for data in response.content.iter_any():
        now = perf_counter()
        whole = odd + data
        samples = np.frombuffer(whole[: len(whole) // 2 * 2], "<i2")
        odd = whole[len(samples) * 2 :]
        # The service sends silence where the next sentence is late: that is no other sound.
        sound.update(samples[samples != 0].tobytes())
        if not answer.first and np.abs(samples.astype(np.int32)).max(initial=0) > AUDIBLE:
            answer.first = now - began
        if heard:
            # A player stands still from when it has played what it has until more comes.
            late = now - started - heard / 2 / RATE - answer.gaps
            answer.gaps += max(0.0, late)
        else:
            started = now
        heard += len(data)
    answer.total = perf_counter() - began
    if not answer.first:
        answer.wrong = "silence"
    return answer, sound.hexdigest()


def _other_than_busy(status: int) -> str:
    return "" if status in (429, 503) else f"status {status}"


async def closed(listeners: Listeners, streams: int, seconds: float) -> list[Answer]:
    """So many listeners, each of whom asks again as soon as it has heard."""
    answers: list[Answer] = []
    end = perf_counter() + seconds

    async def one(number: int) -> None:
        kinds = random.Random(SEED + number)
        while perf_counter() < end:
            answers.append(await listeners.ask(kinds.choice(list(TEXTS))))
            if answers[-1].status != 200:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(streams)))
    return answers


async def at_random(listeners: Listeners, rate: float, seconds: float) -> list[Answer]:
    """Listeners who come when they like, so many a second on average."""
    chance = random.Random(SEED)
    tasks: list[asyncio.Task[Answer]] = []
    at, began = 0.0, perf_counter()
    while (at := at + chance.expovariate(rate)) < seconds:
        await asyncio.sleep(max(0.0, began + at - perf_counter()))
        tasks.append(asyncio.create_task(listeners.ask(chance.choice(list(TEXTS)))))
    return list(await asyncio.gather(*tasks))


async def load(listeners: Listeners, memory: Memory, seconds: float) -> list[Stage]:
    """All loads, one after the other."""
    await listeners.learn()
    stages = []

    async def stage(name: str, work: object) -> Stage:
        made = Stage(name)
        before, began = memory.mib(), perf_counter()
        made.answers = await work  # type: ignore[misc]
        made.seconds, made.growth = perf_counter() - began, memory.mib() - before
        stages.append(made)
        print(f"{name}: {len(made.answers)} requests", file=sys.stderr, flush=True)
        return made

    for streams in STREAMS:
        await stage(_streams(streams), closed(listeners, streams, seconds))
    capacity = max(
        sum(answer.status == 200 for answer in made.answers) / made.seconds for made in stages
    )
    for share in SHARES:
        name = f"at random, {share:.0%}"
        await stage(name, at_random(listeners, share * capacity, seconds))
    return stages


async def soak(listeners: Listeners, memory: Memory, requests: int) -> tuple[list[float], int]:
    """Ask so often, four at a time; memory in MiB after every twentieth part, and wrong answers."""
    await listeners.learn()
    kinds = random.Random(SEED)
    numbers = itertools.count()
    seen, wrong = [memory.mib()], 0

    async def one() -> None:
        nonlocal wrong
        while (number := next(numbers)) < requests:
            answer = await listeners.ask(kinds.choice(["short", "short", "short", "middle"]))
            wrong += bool(answer.wrong) or answer.status != 200
            if (number + 1) % max(1, requests // 20) == 0:
                seen.append(memory.mib())

    await asyncio.gather(*(one() for _ in range(4)))
    return seen, wrong


class Memory:
    """What a process has in memory."""

    def __init__(self, pid: int | None) -> None:
        self._file = Path(f"/proc/{pid}/statm")

    def mib(self) -> float:
        """Resident MiB; 0 where nobody can know."""
        try:
            return int(self._file.read_text().split()[1]) * resource.getpagesize() / 2**20
        except (OSError, IndexError):
            return 0.0


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(seconds)
    return {
        f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000, 1)
        for share in (50, 95, 99)
    }


def _streams(count: int) -> str:
    return f"{count} stream{'s' * (count > 1)}"


def show(stages: list[Stage]) -> None:
    """One table for people."""
    print("times in ms: p50 / p95 / p99; ratio: p50 of first audio to that of one stream")
    head = ("load", "requests", "per s", "first audio", "ratio", "end to end", "gaps")
    print("{:15}{:>9}{:>7} {:>22}{:>7} {:>24} {:>16}  refused  wrong  RSS".format(*head))
    alone = stages[0].figures()["first_ms"]
    for stage in stages:
        row = stage.figures()
        first, total, gaps = (
            " / ".join(f"{value:.0f}" for value in row[name].values())  # type: ignore[attr-defined]
            for name in ("first_ms", "total_ms", "gap_ms")
        )
        ratio = row["first_ms"]["p50"] / max(alone["p50"], 0.1)  # type: ignore[index]
        refused = ", ".join(f"{count} {code}" for code, count in row["refused"].items()) or "0"  # type: ignore[attr-defined]
        print(
            f"{stage.name:15}{row['requests']:>9}{row['per_second']:>7} {first:>22}{ratio:>7.1f} "
            f"{total:>24} {gaps:>16}  {refused:>7}  {row['wrong']:>5}  {stage.growth:+.1f} MiB"
        )


def plot(seen: list[float]) -> None:
    """Memory over the requests, a line each twentieth."""
    most = max(seen)
    for number, value in enumerate(seen):
        print(f"{number * 5:4d} %  {value:7.1f} MiB  {'#' * round(50 * value / most)}")
    settled = seen[len(seen) // 5 :]
    slope = statistics.linear_regression(range(len(settled)), settled).slope * (len(settled) - 1)
    print(f"after the first fifth: {slope:+.1f} MiB over the rest ({slope / settled[0]:+.1%})")


@contextmanager
def serving(options: argparse.Namespace) -> Iterator[tuple[str, Memory]]:
    """The service to measure: one of our own unless `--url` names another."""
    if options.url:
        yield options.url.rstrip("/"), Memory(None)
        return
    with tempfile.TemporaryDirectory(prefix="gptsovits-bench-") as data:
        port = free_port()
        command = [sys.executable, "-m", "service", "--port", str(port), "--data", data]
        # Enough places for every stream: a single client gets three quarters of them.
        command += ["--log-level", "warning", "--cache-mb", "0", "--max-queue", "64"]
        service = subprocess.Popen(command, cwd=ROOT, env=without_settings())
        try:
            wait_until_ready(service, port)
            yield f"http://{HOST}:{port}", Memory(service.pid)
        finally:
            stop(service)


async def measure(options: argparse.Namespace, url: str, memory: Memory) -> int:
    """Run what was asked for and print it; returns the number of wrong answers."""
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, connector=connector
    ) as session:
        listeners = Listeners(session, url, options.voice)
        if options.soak:
            seen, wrong = await soak(listeners, memory, options.soak)
            facts = {"requests": options.soak, "wrong": wrong, "rss_mib": seen}
            if options.json:
                print(json.dumps(facts))
            else:
                print(f"{options.soak} requests, {wrong} wrong or lost")
                plot(seen)
            return wrong
        stages = await load(listeners, memory, options.seconds)
    if options.json:
        print(json.dumps([stage.figures() for stage in stages]))
    else:
        print(f"{os.cpu_count()} CPUs shared by service and listeners, {options.seconds:g} s each")
        show(stages)
    for reason, count in Counter(each.wrong for made in stages for each in made.answers).items():
        if reason:
            print(f"wrong: {count} times {reason}", file=sys.stderr)
    return sum(bool(each.wrong) for made in stages for each in made.answers)


def main() -> int:
    """Measure; the exit status is 1 if any answer was wrong or lost."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--load", action="store_true", help="listeners at once (the default)")
    parser.add_argument(
        "--soak", type=int, nargs="?", const=5000, metavar="N", help="memory over N requests (5000)"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each load")
    parser.add_argument("--url", default="", help="measure a service that runs already")
    parser.add_argument("--token", default="", help="its bearer token")
    parser.add_argument("--voice", default="plain", help="voice that speaks")
    parser.add_argument("--json", action="store_true", help="print figures for machines")
    options = parser.parse_args()
    with serving(options) as (url, memory):
        return int(asyncio.run(measure(options, url, memory)) > 0)


if __name__ == "__main__":
    sys.exit(main())
