"""What a house does to a bridge: power cuts, full queues, brokers that freeze."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from service.mqtt_link import MAX_PACKET
from tests.lab.broker import Broker
from tests.lab.ground import REPOSITORY
from tests.lab.mqtt_client import Visitor
from tests.lab.process import Process
from tests.service.conftest import FakeSynthesizer, eventually
from tests.service.mqtt.conftest import SAY, STATUS, HomeAssistant, StartHouse, answers
from tests.service.mqtt.house import MOMENTS


class House(Process):
    """The process of `house.py`."""

    def __init__(
        self, broker: Broker, folder: Path, home: HomeAssistant, moment: str, count: int
    ) -> None:
        program = (sys.executable, "-m", "tests.service.mqtt.house", str(broker.port))
        self.home = str(home.server.make_url("/"))
        log = folder / f"house {moment}.log"
        plan = (str(folder / "data"), self.home, moment, str(count))
        super().__init__("the house", *program, *plan, log=log, cwd=REPOSITORY)


# Requests that come together are accepted together, so that may happen only once.
_COUNTS = {"before the disk": 1, "before the acknowledgement": 1}
_QUICK = ("before the acknowledgement", "after the acknowledgement")
_CASES = [
    pytest.param(each, _COUNTS.get(each, 3), marks=[pytest.mark.slow] * (each not in _QUICK))
    for each in MOMENTS
]


@pytest.mark.parametrize(("moment", "count"), _CASES)
async def test_a_bridge_that_is_killed_loses_and_repeats_nothing(
    broker: Broker,
    visitor: Visitor,
    home_assistant: HomeAssistant,
    tmp_path: Path,
    moment: str,
    count: int,
) -> None:
    ids = [f"{number}" for number in range(12)]
    with House(broker, tmp_path, home_assistant, moment, count) as house:
        await eventually(lambda: "online" in visitor.on(STATUS))
        for name in ids:
            visitor.say(text=f"Number {name}.", id=name)
        visitor.publish(SAY, "Nameless.")
        await eventually(lambda: house.ended() == 9)
        await eventually(lambda: visitor.on(STATUS)[-1] == "offline")
    with House(broker, tmp_path, home_assistant, "never", 0):
        await eventually(lambda: len(set(visitor.answered())) == 13)
        await asyncio.sleep(0.3)
    answered = Counter(visitor.answered())
    assert set(ids) < set(answered)
    assert len(answered) == 13
    # Where the broker had the answer and we did not get to know, an answer comes twice.
    assert sum(answered.values()) - 13 <= 3
    played = [each["media_content_id"] for each in home_assistant.played]
    said = {each["url"] for each in visitor.on("gptsovits/said")}
    failed = visitor.on("gptsovits/failed")
    assert {each["code"] for each in failed} <= {"interrupted"}
    assert len(failed) <= 1
    # Of an interrupted one nobody knows whether it was heard, and so it is not played again.
    assert len(played) == len(set(played))
    assert said <= set(played)
    assert len(said) <= len(played) <= 13


@pytest.mark.slow
async def test_a_request_that_ends_the_service_is_given_up(
    broker: Broker, visitor: Visitor, home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    with House(broker, tmp_path, home_assistant, "while speaking", 1) as house:
        await eventually(lambda: "online" in visitor.on(STATUS))
        visitor.say(text="Poison.", id="poison")
        await eventually(lambda: house.ended() == 9)
    for _ in range(2):
        with House(broker, tmp_path, home_assistant, "while speaking", 1) as again:
            await asyncio.to_thread(again.wait, 20)
            assert again.ended() == 9
    with House(broker, tmp_path, home_assistant, "never", 0):
        [failed] = await answers(visitor, 1, 20)
        assert (failed["id"], failed["code"]) == ("poison", "gave_up")


def _terminate(broker: Broker) -> None:
    broker.stop()


def _kill(broker: Broker) -> None:
    broker.kill()


@pytest.mark.parametrize("end", [_terminate, _kill])
async def test_a_broker_that_restarts(
    broker: Broker,
    start_house: StartHouse,
    synthesizer: FakeSynthesizer,
    end: Callable[[Broker], None],
) -> None:
    await start_house()
    with Visitor(broker.port, name="patient", session=True) as patient:
        synthesizer.gate.clear()
        for number in range(20):
            patient.say(text=f"Number {number}.", id=f"{number}")
        assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
        await asyncio.sleep(1.2)  # so that what the broker holds is on its disk
        await asyncio.to_thread(end, broker)
        for number in range(20, 30):
            patient.say(text=f"Number {number}.", id=f"{number}")
        synthesizer.gate.set()
        await eventually(lambda: len(synthesizer.said) >= 20)
        await asyncio.to_thread(broker.start)
        await eventually(lambda: len(set(patient.answered())) == 30)
    assert Counter(each.text for each in synthesizer.said) == {
        f"Number {number}.": 1 for number in range(30)
    }


async def test_requests_without_an_id_outlive_a_killed_broker(
    broker: Broker, start_house: StartHouse, synthesizer: FakeSynthesizer
) -> None:
    await start_house()
    with Visitor(broker.port, name="patient", session=True) as patient:
        synthesizer.gate.clear()
        for number in range(20):
            patient.publish(SAY, f"Number {number}.")
        assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
        await asyncio.sleep(1.2)  # so that what the broker holds is on its disk
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        synthesizer.gate.set()
        await eventually(lambda: len(set(patient.answered())) >= 20)
        patient.publish(SAY, "Last.")
        await eventually(lambda: len(set(patient.answered())) >= 21)
    wanted = [*(f"Number {number}." for number in range(20)), "Last."]
    assert Counter(each.text for each in synthesizer.said) == dict.fromkeys(wanted, 1)


async def test_the_disk_is_full_for_a_while(
    visitor: Visitor,
    start_house: StartHouse,
    synthesizer: FakeSynthesizer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    house = await start_house()
    synthesizer.gate.clear()
    visitor.say(text="One.", id="one")
    visitor.say(text="Two.", id="two")
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    with monkeypatch.context() as disk:
        for each in ("begin", "end"):
            disk.setattr(f"service.mqtt_jobs.JobStore.{each}", _full)
        synthesizer.gate.set()
        first, second = await answers(visitor, 2)
        assert (first["id"], second["id"]) == ("one", "two")
        assert "url" in first
        assert second["code"] == "service_error"
        visitor.say(text="One.", id="one")
        assert (await answers(visitor, 3))[1] == first
    with contextlib.closing(sqlite3.connect(tmp_path / "mqtt.sqlite")) as known:
        late = "SELECT count(*) FROM job WHERE outcome IS NULL OR NOT delivered"
        await eventually(lambda: known.execute(late).fetchone() == (0,))
    await house.stop()
    synthesizer.said.clear()
    visitor.heard.clear()
    await start_house()
    visitor.say(text="Three.", id="three")
    assert [each["id"] for each in await answers(visitor, 1)] == ["three"]
    assert [each.text for each in synthesizer.said] == ["Three."]


async def test_an_answer_that_the_disk_did_not_take_is_written_at_the_end(
    visitor: Visitor, start_house: StartHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.mqtt_bridge._REPORT", 3600.0)
    house = await start_house()
    with monkeypatch.context() as disk:
        disk.setattr("service.mqtt_jobs.JobStore.end", _full)
        visitor.say(text="One.", id="one")
        [first] = await answers(visitor, 1)
    await house.stop()
    visitor.heard.clear()
    await start_house()
    visitor.say(text="Two.", id="two")
    await eventually(lambda: "two" in visitor.answered())
    # Whether the broker had the answer was perhaps not noted; a new one would have another clip.
    assert [each for each in visitor.answers() if each["id"] == "one"] in ([], [first])


async def test_a_broker_that_freezes(
    broker: Broker, visitor: Visitor, start_house: StartHouse, synthesizer: FakeSynthesizer
) -> None:
    await start_house()
    for number in range(20):
        visitor.say(text=f"Number {number}.", id=f"{number}")
    await eventually(lambda: len(visitor.answers()) > 2)
    broker.freeze()
    for number in range(20, 40):
        visitor.say(text=f"Number {number}.", id=f"{number}")
    await asyncio.sleep(2)
    broker.thaw()
    await answers(visitor, 40)
    assert len(set(visitor.answered())) == 40
    assert len(synthesizer.said) == 40


@pytest.mark.slow
async def test_a_broker_that_freezes_until_it_is_given_up(
    broker: Broker, visitor: Visitor, start_house: StartHouse, synthesizer: FakeSynthesizer
) -> None:
    await start_house()
    broker.freeze()
    for number in range(20):
        visitor.say(text=f"Number {number}.", id=f"{number}")
    await asyncio.sleep(35)
    broker.thaw()
    await eventually(lambda: len(set(visitor.answered())) == 20)
    assert len(synthesizer.said) == 20


@pytest.mark.slow
async def test_a_thousand_at_once(
    visitor: Visitor, start_house: StartHouse, synthesizer: FakeSynthesizer
) -> None:
    await start_house()
    for number in range(1000):
        visitor.say(text=f"Number {number}.", id=f"{number}", format="pcm")
    await eventually(lambda: visitor.count("gptsovits/said") == 1000, 300)
    assert {each["id"] for each in visitor.on("gptsovits/said")} == set(map(str, range(1000)))
    assert [each.text for each in synthesizer.said] == [f"Number {n}." for n in range(1000)]


async def test_a_broker_that_takes_small_packets_only(
    tmp_path: Path, start_house: StartHouse, caplog: pytest.LogCaptureFixture
) -> None:
    narrow = Broker(tmp_path / "narrow", extra="max_packet_size 2000")
    try:
        with Visitor(narrow.port, name="narrow") as visitor:
            await start_house(mqtt_port=narrow.port, wait=visitor)
            visitor.say(text="One.", id="one", format="wav", audio=True)
            [said] = await answers(visitor, 1)
            assert said["audio"] is None
            assert "more than the broker takes" in caplog.text
            assert "is gone" not in caplog.text
    finally:
        narrow.stop()


async def test_the_broker_keeps_the_largest_to_itself(
    start_house: StartHouse, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    await start_house()
    visitor.publish(SAY, b"x" * (MAX_PACKET + 1))
    visitor.publish(SAY, b"y" * (MAX_PACKET - 4096))
    visitor.say(text="Next.", id="next")
    large, after = sorted(await answers(visitor, 2), key=lambda each: "url" in each)
    assert (large["code"], after["id"]) == ("body_too_large", "next")
    assert str(MAX_PACKET - 4096) in large["message"]
    assert "is gone" not in caplog.text


async def test_a_full_disk_is_told(
    visitor: Visitor, start_house: StartHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_house()
    monkeypatch.setattr("service.mqtt_jobs.JobStore._accept", _full)
    visitor.say(text="One.", id="one")
    [failed] = await answers(visitor, 1)
    assert (failed["id"], failed["code"]) == ("one", "not_stored")


def _full(*arguments: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")
