from __future__ import annotations

import json
from typing import Any

from service.mqtt_discovery import BIRTH, Described, description, subscriptions, topic
from service.voices import Voice

MUM = Voice("mum", "Mum", ("en",), "1", "fake")
PLAIN = Voice("plain", "Plain voice", ("en", "de"), "1", "fake")


NOTHING = Described([], ())
HOUSE = Described([MUM, PLAIN], ("amy-v2", "amy-v4"))


def described(
    now: Described = HOUSE, before: Described = NOTHING, url: str = "http://box:9880"
) -> Any:
    return json.loads(description("gptsovits_1", "home/speech", now, url, before))


def test_every_entity_has_an_id_of_its_own_and_goes_with_the_bridge() -> None:
    found = described()
    ids = [each["unique_id"] for each in found["components"].values()]
    assert len(set(ids)) == len(ids) == 10
    assert all(each.startswith("gptsovits_1_") for each in ids)
    assert found["availability"] == [{"topic": "home/speech/status"}]
    assert found["device"]["identifiers"] == ["gptsovits_1"]
    assert topic("gptsovits_1") == "homeassistant/device/gptsovits_1/config"


def test_the_platforms_are_what_home_assistant_knows() -> None:
    components = described()["components"]
    assert {key: each["p"] for key, each in components.items()} == {
        "voice": "select",
        "model": "select",
        "test": "button",
        "queue": "sensor",
        "latency": "sensor",
        "rung": "sensor",
        "said": "event",
        "failed": "event",
        "say_mum": "notify",
        "say_plain": "notify",
    }
    assert components["voice"]["options"] == ["mum", "plain"]
    assert components["model"]["options"] == ["auto", "amy-v2", "amy-v4"]


def test_what_it_sends_is_what_the_bridge_listens_to() -> None:
    heard = subscriptions("home/speech")
    commands = {
        each["command_topic"]
        for each in described()["components"].values()
        if "command_topic" in each
    }
    assert commands == {
        "home/speech/say",
        "home/speech/voice/set",
        "home/speech/model/set",
        "home/speech/say/mum",
        "home/speech/say/plain",
    }
    assert {"home/speech/say", "home/speech/say/+", BIRTH} <= set(heard)
    assert {"home/speech/voice/set", "home/speech/model/set"} <= set(heard)


def test_a_voice_that_is_gone_leaves() -> None:
    dad = Described([*HOUSE.voices, Voice("dad", "Dad", ("en",), "1", "fake")], ())
    assert described(before=dad)["components"]["say_dad"] == {"p": "notify"}


def test_without_models_there_is_nothing_to_choose() -> None:
    plain = Described([PLAIN], ())
    assert "model" not in described(plain)["components"]
    assert described(plain, HOUSE)["components"]["model"] == {"p": "select"}


def test_without_an_address_there_is_no_link() -> None:
    assert "configuration_url" in described()["device"]
    assert "configuration_url" not in described(url="")["device"]
