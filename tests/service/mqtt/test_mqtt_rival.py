"""Two services with one client id: the broker throws each out for the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service import mqtt_rival
from service.mqtt_rival import CALM, MANY, PAUSES, QUICK, Rival
from tests.lab.broker import Broker
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import RunningService, StartService, eventually
from tests.service.mqtt.conftest import STATUS, answers, old_broker

TWIN = "twin"
ADVICE = f"another service uses the client id {TWIN} there; give this one its own: mqtt_client_id"


class Clock:
    """Steady seconds, as the test wants them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(mqtt_rival, "monotonic", lambda: self.seconds)

    def loses(self, rival: Rival, after: float, *, taken_over: bool = False) -> int | None:
        """Connect, wait, lose."""
        rival.connected()
        self.seconds += after
        return rival.lost(taken_over=taken_over)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_quick_ends_in_a_row_are_a_rival_and_slow_us_down(clock: Clock) -> None:
    rival = Rival(TWIN)
    pauses = [clock.loses(rival, QUICK / 2) for _ in range(MANY + 3)]
    assert pauses == [*[0] * (MANY - 1), *PAUSES, PAUSES[-1]]
    assert (rival.reason or "").endswith(ADVICE)


def test_a_line_that_breaks_now_and_then_is_no_rival(clock: Clock) -> None:
    rival = Rival(TWIN)
    ends = [QUICK / 2, QUICK / 2, QUICK * 2] * 5
    assert [clock.loses(rival, after) for after in ends] == [0] * 15
    assert rival.reason is None


def test_what_the_broker_tells_needs_no_second_time(clock: Clock) -> None:
    rival = Rival(TWIN)
    # However long we were connected.
    assert clock.loses(rival, CALM * 2, taken_over=True) == PAUSES[0]
    assert (rival.reason or "").startswith("the MQTT broker ends each connection for a newer one")


def test_a_rival_that_waits_too_is_still_one(clock: Clock) -> None:
    rival = Rival(TWIN)
    for _ in range(MANY):
        clock.loses(rival, QUICK / 2)
    assert clock.loses(rival, PAUSES[-1] * 2) == PAUSES[1]
    assert rival.reason is not None


def test_who_is_left_in_peace_has_no_rival_any_more(clock: Clock) -> None:
    rival = Rival(TWIN)
    for _ in range(MANY):
        clock.loses(rival, QUICK / 2)
    rival.connected()
    clock.seconds += CALM + 1
    assert rival.reason is None
    assert rival.lost() == 0


def test_who_is_not_let_in_has_lost_nothing(clock: Clock) -> None:
    rival = Rival(TWIN)
    assert [rival.lost() for _ in range(MANY + 1)] == [None] * (MANY + 1)
    assert rival.reason is None


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_rival, "PAUSES", (1, 1, 1))
    monkeypatch.setattr(mqtt_rival, "MANY", 2)
    monkeypatch.setattr(mqtt_rival, "QUICK", 60.0)  # of a busy machine
    monkeypatch.setattr(mqtt_rival, "CALM", 60.0)


async def meet_and_part(
    broker: Broker,
    port: int,
    start_service: StartService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Two services with one id tell what is wrong; when one is gone the other speaks."""
    place = {"mqtt_host": "127.0.0.1", "mqtt_port": port}
    settings: dict[str, Any] = {**place, "mqtt_client_id": TWIN}
    with Visitor(broker.port) as visitor:
        first = await start_service(**settings)
        await eventually(lambda: "online" in visitor.on(STATUS))
        assert await _broker(first) == {"connected": True, "reason": None}
        second = await start_service(**settings, data=tmp_path / "copy")
        said = [await _reason(first), await _reason(second)]
        assert await _rivals(first) == 1.0
        await second.stop()
        monkeypatch.setattr(mqtt_rival, "CALM", 0.0)
        await _well(first)
        assert await _rivals(first) == 0.0
        visitor.say(text="One.", id="1")
        assert [each["id"] for each in await answers(visitor, 1)] == ["1"]
    return said


async def _broker(house: RunningService) -> dict[str, Any]:
    async with house.session.get(f"{house.url}/health") as answer:
        state: dict[str, Any] = (await answer.json())["mqtt"]
        return state


async def _rivals(house: RunningService) -> float:
    async with house.session.get(f"{house.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(each.split()[1] for each in lines if each.startswith("speech_mqtt_rival ")))


async def _reason(house: RunningService) -> str:
    async with asyncio.timeout(60):
        while (reason := (await _broker(house))["reason"]) is None or ADVICE not in reason:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return str(reason)


async def _well(house: RunningService) -> None:
    async with asyncio.timeout(60):
        while await _broker(house) != {"connected": True, "reason": None}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("hasty")
async def test_two_with_one_id_by_mqtt_5(
    broker: Broker,
    start_service: StartService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await meet_and_part(broker, broker.port, start_service, tmp_path, monkeypatch)
    assert caplog.text.count(ADVICE) == 2


@pytest.mark.usefixtures("hasty")
async def test_two_with_one_id_by_mqtt_3(
    broker: Broker,
    start_service: StartService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with await asyncio.start_server(old_broker(broker.port), "127.0.0.1", 0) as old:
        port = old.sockets[0].getsockname()[1]
        said = await meet_and_part(broker, port, start_service, tmp_path, monkeypatch)
    assert all("ends each connection at once: most likely" in each for each in said)
    assert caplog.text.count(ADVICE) == 2


async def test_a_service_without_a_broker_tells_of_none(start_service: StartService) -> None:
    house = await start_service()
    assert await _broker(house) is None  # type: ignore[comparison-overlap]
