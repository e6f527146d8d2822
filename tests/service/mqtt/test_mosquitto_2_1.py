"""The same promises at Mosquitto 2.1; the other tests have the machine's own, usually 2.0."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.broker import PASSWORD, USER, Broker, newest_mosquitto
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import StartService, eventually
from tests.service.mqtt.conftest import StartHouse, answers
from tests.service.mqtt.test_mqtt_bridge import (
    test_a_request_sent_again_is_answered_again_but_not_said_again as test_again,
)
from tests.service.mqtt.test_mqtt_bridge import (
    test_alerts_go_first_and_what_waits_too_long_expires as test_alerts_first,
)
from tests.service.mqtt.test_mqtt_bridge import (
    test_retained_requests_are_not_said as test_retained,
)
from tests.service.mqtt.test_mqtt_bridge import (
    test_the_answer_also_goes_to_the_response_topic as test_response_topic,
)
from tests.service.mqtt.test_mqtt_bridge import (
    test_what_cannot_be_said_fails_once_and_the_next_is_said as test_refusals,
)
from tests.service.mqtt.test_mqtt_rival import ADVICE, hasty, meet_and_part
from tests.service.mqtt.test_mqtt_storms import (
    test_a_bridge_that_is_killed_loses_and_repeats_nothing as test_killed_bridge,
)
from tests.service.mqtt.test_mqtt_storms import test_a_broker_that_freezes as test_frozen
from tests.service.mqtt.test_mqtt_storms import (
    test_a_broker_that_freezes_until_it_is_given_up as test_given_up,
)
from tests.service.mqtt.test_mqtt_storms import test_a_broker_that_restarts as test_restarts
from tests.service.mqtt.test_mqtt_storms import (
    test_a_request_that_ends_the_service_is_given_up as test_poison,
)
from tests.service.mqtt.test_mqtt_storms import test_a_thousand_at_once as test_thousand

pytestmark = pytest.mark.slow

__all__ = [
    "hasty",
    "test_again",
    "test_alerts_first",
    "test_frozen",
    "test_given_up",
    "test_killed_bridge",
    "test_poison",
    "test_refusals",
    "test_response_topic",
    "test_restarts",
    "test_retained",
    "test_thousand",
]


@pytest.fixture(scope="session")
def program() -> list[str]:
    return newest_mosquitto()


@pytest.fixture
def broker(tmp_path: Path, program: list[str]) -> Iterator[Broker]:
    running = Broker(tmp_path / "broker", program=program)
    yield running
    running.stop()


def test_it_is_the_newer_one(program: list[str]) -> None:
    shown = subprocess.run([*program, "-h"], capture_output=True, text=True, check=False).stdout
    assert shown.startswith("mosquitto version 2.1")


async def test_small_packets(
    tmp_path: Path, program: list[str], start_house: StartHouse, caplog: pytest.LogCaptureFixture
) -> None:
    narrow = Broker(tmp_path / "narrow", extra="max_packet_size 2000", program=program)
    try:
        with Visitor(narrow.port, name="narrow") as visitor:
            await start_house(mqtt_port=narrow.port, wait=visitor)
            visitor.say(text="One.", format="wav", audio=True)
            [said] = await answers(visitor, 1)
            assert said["audio"] is None
            assert "is gone" not in caplog.text
    finally:
        narrow.stop()


async def test_password_and_tls(
    tmp_path: Path, program: list[str], start_house: StartHouse
) -> None:
    strict = Broker(tmp_path / "strict", password=True, tls=True, program=program)

    def known(client: object) -> None:
        client.username_pw_set(USER, PASSWORD)  # type: ignore[attr-defined]
        client.tls_set(str(strict.authority))  # type: ignore[attr-defined]

    try:
        with Visitor(strict.port, setup=known) as visitor:
            await start_house(
                visitor,
                mqtt_host="localhost",
                mqtt_port=strict.port,
                mqtt_username=USER,
                mqtt_password=PASSWORD,
                mqtt_tls=True,
                mqtt_ca=str(strict.authority),
            )
            visitor.say(text="One.", id="secret")
            assert [each["id"] for each in await answers(visitor, 1)] == ["secret"]
    finally:
        strict.stop()


@pytest.mark.usefixtures("hasty")
async def test_two_with_one_id(
    broker: Broker,
    start_service: StartService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = await meet_and_part(broker, broker.port, start_service, tmp_path, monkeypatch)
    assert all("ends each connection for a newer one" in each for each in said)
    assert caplog.text.count(ADVICE) == 2


async def test_wrong_password(
    tmp_path: Path, program: list[str], start_service: object, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Broker(tmp_path / "strict", password=True, program=program)
    try:
        wrong = {"mqtt_username": USER, "mqtt_password": "wr0ng"}
        await start_service(mqtt_host="127.0.0.1", mqtt_port=strict.port, **wrong)  # type: ignore[operator]
        await eventually(lambda: "refuses us: Not authorized" in caplog.text)
    finally:
        strict.stop()
