"""Requests by MQTT may name an installed model, and the house may choose one for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.broker import Broker
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import eventually
from tests.service.model_house import (  # noqa: F401 - fixtures
    House,
    StartHouse,
    enrol,
    golden,
    house,
    install,
    tiny_files,
    tiny_model,
)
from tests.service.mqtt.conftest import STATE, STATUS, answers


@pytest.fixture
async def home(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    broker: Broker,
    visitor: Visitor,
) -> House:
    enrol(tmp_path)
    install(tmp_path, tiny_model, "new", "old")
    started = await house(
        mqtt_host="127.0.0.1", mqtt_port=broker.port, base_url="http://box:1", model="old"
    )
    await eventually(lambda: "online" in visitor.on(STATUS))
    assert started.fleet.state("new")[0] == "unloaded"
    return started


async def test_a_request_names_its_model(home: House, visitor: Visitor) -> None:
    visitor.say(text="One.", id="1", voice="mum", model="new", format="wav")
    [said] = await answers(visitor, 1)
    assert (said["id"], said["rung"]) == ("1", "onnxruntime")
    assert home.fleet.state("new")[0] == "ready"


async def test_a_model_that_is_not_there_is_refused(home: House, visitor: Visitor) -> None:
    visitor.say(text="One.", id="1", voice="mum", model="nobody")
    [failed] = await answers(visitor, 1)
    assert (failed["code"], failed["id"]) == ("model_not_found", "1")


async def test_the_chosen_model_speaks_what_names_none(home: House, visitor: Visitor) -> None:
    visitor.publish("gptsovits/model/set", "nobody")
    [failed] = await answers(visitor, 1)
    assert (failed["code"], failed["param"]) == ("bad_request", "model")
    visitor.publish("gptsovits/model/set", "new")
    await eventually(lambda: visitor.on(STATE)[-1]["model"] == "new")
    visitor.say(text="One.", id="1", voice="mum", format="wav")
    await eventually(lambda: len(visitor.answers()) == 2)
    assert home.fleet.state("new")[0] == "ready"
    status, _ = await home.ask("DELETE", "/v1/models/new")
    assert status == 204
    await eventually(lambda: visitor.on(STATE)[-1]["model"] == "auto")
