"""The MQTT door, at a real Mosquitto."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from paho.mqtt.client import Client

from service.mqtt_bridge import MqttBridge
from service.mqtt_setup import make_bridge
from tests.lab.broker import PASSWORD, USER, Broker
from tests.lab.mqtt_client import Visitor
from tests.service.conftest import FakeSynthesizer, RunningService, StartService, eventually
from tests.service.model_house import enrol
from tests.service.mqtt.conftest import (
    SAY,
    STATE,
    STATUS,
    StartHouse,
    answers,
    old_broker,
)


async def test_plain_text_is_said(start_house: StartHouse, visitor: Visitor) -> None:
    house = await start_house()
    visitor.publish(SAY, "Dinner is ready.")
    [said] = await answers(visitor, 1)
    assert [each.text for each in house.synthesizer.said] == ["Dinner is ready."]
    assert set(said) == {"id", "url", "seconds", "rung", "voice", "players", "latency"}
    assert (said["seconds"], said["rung"], said["players"]) == (0.4, "fake", [])
    async with house.session.get(said["url"].replace("http://box:1", house.url)) as clip:
        sound = await clip.read()
    assert soundfile.info(io.BytesIO(sound)).duration == pytest.approx(0.4, abs=0.06)


async def test_fields_reach_the_voice(start_house: StartHouse, visitor: Visitor) -> None:
    house = await start_house()
    visitor.say(text="Hallo.", language="de", speed=1.5, format="wav", voice="plain", id="a")
    [said] = await answers(visitor, 1)
    [spoken] = house.synthesizer.said
    assert (spoken.text, spoken.language, spoken.speed) == ("Hallo.", "de", 1.5)
    assert said["id"] == "a"
    assert said["url"].endswith(".wav")


async def test_chime_silence_and_sampling_reach_the_voice(
    start_house: StartHouse, visitor: Visitor
) -> None:
    house = await start_house()
    text = "The washing machine is done. Dinner will be ready soon."
    visitor.say(text=text, chime="ding", lead_in=0.5, pause=1.0, seed=7, fallback="none")
    [said] = await answers(visitor, 1)
    first, second = house.synthesizer.said
    assert (first.sampling.seed, second.fallback.name) == (7, "NONE")
    chime_and_gap = 1.35
    assert said["seconds"] == pytest.approx(0.5 + chime_and_gap + 0.4 + 1.0 + 0.4, abs=0.05)


async def test_a_topic_names_a_voice(start_house: StartHouse, visitor: Visitor) -> None:
    await start_house()
    visitor.publish(f"{SAY}/plain", '{"text": "One.", "id": "1"}')
    visitor.publish(f"{SAY}/mum", '{"text": "Two.", "id": "2"}')
    visitor.publish(f"{SAY}/mum", '{"text": "Three.", "id": "3", "voice": "plain"}')
    said, *failed = await answers(visitor, 3)
    assert (said["id"], said["voice"]) == ("1", "plain")
    assert [set(each) for each in failed] == [{"id", "code", "message", "param"}] * 2
    assert {each["id"]: each["code"] for each in failed} == {
        "2": "voice_not_found",
        "3": "bad_request",
    }


async def test_a_small_clip_comes_in_the_packet_when_asked_for(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house()
    visitor.say(text="One.", format="wav", audio=True, id="small")
    visitor.say(text="One. Two. Three. Four.", format="wav", audio=True, id="large")
    small, large = await answers(visitor, 2)
    sound = io.BytesIO(base64.b64decode(small["audio"]))
    assert soundfile.info(sound).duration == pytest.approx(0.4)
    assert large["audio"] is None
    assert large["url"]


REFUSED = (
    (b"", "bad_text", ""),
    (b"\xff\xfe", "bad_request", "UTF-8"),
    (b'{"text": ', "bad_request", "JSON"),
    (b"{" * 100_000, "bad_request", "JSON"),
    (b"{}", "bad_request", "text"),
    (b'{"text": 5}', "bad_request", "text"),
    (b'{"text": "A.", "id": "\\ud800"}', "bad_request", "id"),
    (b'{"text": "A.", "volume": 1.5}', "bad_request", "volume"),
    (b'{"text": "A.", "volume": NaN}', "bad_request", "volume"),
    (b'{"text": "A.", "chime": true}', "bad_request", "chime"),
    (b'{"text": "A.", "chime": "moo"}', "chime_not_found", "dingdong"),
    (b'{"text": "A.", "fallback": "maybe"}', "bad_request", "fallback"),
    (b'{"text": "A.", "seed": -1}', "bad_request", "seed"),
    (b'{"text": "A.", "pause": 9}', "bad_request", "pause"),
    (b'{"text": "A.", "texts": 1}', "bad_request", "texts"),
    (b'{"text": "A.", "players": "light.x"}', "bad_request", "players"),
    (b'{"text": "A.", "priority": "now"}', "bad_request", "priority"),
    (b'{"text": "A.", "speed": 9}', "bad_request", "speed"),
    (b'{"text": "A.", "language": "xx"}', "language_unavailable", "xx"),
    (b'{"text": "A.", "expires": 0}', "expired", "expires"),
    (b'{"text": "FAIL"}', "synthesis_failed", ""),
    (b"x" * (256 * 1024 + 1), "body_too_large", "262145"),
    (b"x" * 6000, "text_too_long", ""),
)


async def test_what_cannot_be_said_fails_once_and_the_next_is_said(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house()
    for number, (payload, _, _) in enumerate(REFUSED):
        visitor.publish(SAY, payload, CorrelationData=str(number).encode())
        visitor.publish(SAY, "Next.")
    await answers(visitor, 2 * len(REFUSED))
    failed = {each["id"]: each for each in visitor.on("gptsovits/failed")}
    codes = [failed[str(number)]["code"] for number in range(len(REFUSED))]
    assert codes == [code for _, code, _ in REFUSED]
    messages = [failed[str(number)]["message"] for number in range(len(REFUSED))]
    assert all(word in message for message, (_, _, word) in zip(messages, REFUSED, strict=True))


async def test_the_answer_also_goes_to_the_response_topic(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house()
    visitor.publish(SAY, "One.", ResponseTopic="flow/answer", CorrelationData=b"\x00\x01")
    [said] = await answers(visitor, 1)
    assert visitor.on("flow/answer") == [said]
    [message] = [each for each in visitor.heard if each.topic == "flow/answer"]
    assert message.properties.CorrelationData == b"\x00\x01"
    assert said["id"] == "0001"


async def test_an_answer_is_never_a_request(start_house: StartHouse, visitor: Visitor) -> None:
    house = await start_house()
    visitor.publish(SAY, "One.", ResponseTopic=SAY)
    [failed] = await answers(visitor, 1)
    assert failed["code"] == "bad_request"
    assert house.synthesizer.said == []


async def test_a_request_sent_again_is_answered_again_but_not_said_again(
    start_house: StartHouse, visitor: Visitor
) -> None:
    house = await start_house()
    visitor.publish(SAY, "One.", CorrelationData=b"7")
    [first] = await answers(visitor, 1)
    visitor.publish(SAY, "One.", CorrelationData=b"7")
    assert await answers(visitor, 2) == [first, first]
    assert len(house.synthesizer.said) == 1


async def test_the_same_text_without_an_id_is_said_again(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house()
    visitor.publish(SAY, "One.")
    visitor.publish(SAY, "One.")
    first, second = await answers(visitor, 2)
    assert first["id"] != second["id"]


async def test_retained_requests_are_not_said(start_house: StartHouse, visitor: Visitor) -> None:
    visitor.publish(SAY, "Every time you connect.", retain=True)
    house = await start_house()
    visitor.publish(SAY, "One.")
    await answers(visitor, 1)
    assert [each.text for each in house.synthesizer.said] == ["One."]


async def test_a_retained_request_is_said_once_by_who_hears_it_live(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer
) -> None:
    house = await start_house()
    visitor.publish(SAY, "Live.", retain=True)
    await answers(visitor, 1)
    assert [each.text for each in synthesizer.said] == ["Live."]
    await house.stop()
    visitor.publish(SAY, "While away.", retain=True)
    synthesizer.said.clear()
    await start_house()
    visitor.publish(SAY, "Last.")
    await eventually(lambda: "Last." in [each.text for each in synthesizer.said])
    assert [each.text for each in synthesizer.said] == ["While away.", "Last."]


async def test_alerts_go_first_and_what_waits_too_long_expires(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer
) -> None:
    await start_house()
    synthesizer.gate.clear()
    visitor.say(text="A story.", id="story")
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    visitor.say(text="Another story.", id="late", expires=0.2)
    visitor.publish(SAY, '{"text": "And one.", "id": "later"}', MessageExpiryInterval=1)
    visitor.say(text="Background.", id="background", priority="background")
    visitor.say(text="Doorbell.", id="doorbell", priority="alert")
    await asyncio.sleep(1.2)
    synthesizer.gate.set()
    found = await answers(visitor, 5)
    assert {each["id"]: each["code"] for each in found if "code" in each} == {
        "late": "expired",
        "later": "expired",
    }
    texts = [each.text for each in synthesizer.said]
    assert texts == ["A story.", "Doorbell.", "Background."]


@pytest.mark.parametrize("payload", ["b", '{"id": "b"}'])
async def test_cancelling_ends_a_request_in_failed(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer, payload: str
) -> None:
    await start_house()
    synthesizer.gate.clear()
    for name in "abc":
        visitor.say(text=f"{name.upper()}.", id=name)
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    visitor.publish("gptsovits/cancel", payload)
    await eventually(lambda: visitor.answered() == ["b"])
    visitor.publish("gptsovits/cancel", "nobody")
    visitor.publish("gptsovits/cancel")
    found = await answers(visitor, 3)
    assert {each["code"] for each in found} == {"cancelled"}
    synthesizer.gate.set()
    visitor.say(text="D.", id="d")
    await answers(visitor, 4)
    assert [each.text for each in synthesizer.said] == ["A.", "D."]


async def test_a_cancel_that_cannot_be_read_fails(
    start_house: StartHouse, visitor: Visitor
) -> None:
    await start_house()
    visitor.publish("gptsovits/cancel", '{"name": "x"}')
    [failed] = await answers(visitor, 1)
    assert (failed["id"], failed["code"]) == (None, "bad_request")


async def test_the_queue_does_not_refuse_what_was_accepted(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer
) -> None:
    house = await start_house(max_queue=1)
    synthesizer.gate.clear()
    other = asyncio.create_task(_speech(house))
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    visitor.say(text="Patient.", id="patient")
    await asyncio.sleep(0.7)
    assert visitor.answers() == []
    synthesizer.gate.set()
    await other
    [said] = await answers(visitor, 1)
    assert said["id"] == "patient"


async def _speech(house: RunningService) -> bytes:
    async with house.post(input="By HTTP.") as answer:
        return await answer.read()


async def test_home_assistant_is_told_on_connection_and_on_its_birth(
    start_house: StartHouse, visitor: Visitor
) -> None:
    house = await start_house()
    device = f"gptsovits_{house.health.server_id[:12]}"
    config = f"homeassistant/device/{device}/config"
    await eventually(lambda: len(visitor.on(config)) == 1)
    visitor.publish("homeassistant/status", "online")
    await eventually(lambda: len(visitor.on(config)) == 2)
    await eventually(lambda: visitor.on(STATUS) == ["online", "online"])
    calm = {"queue": 0, "rung": "fake", "voice": "plain", "model": "auto", "latency": None}
    await eventually(lambda: visitor.on(STATE)[-1] == calm)


async def test_the_chosen_voice_is_kept(
    start_house: StartHouse, visitor: Visitor, tmp_path: Path
) -> None:
    enrol(tmp_path)
    house = await start_house()
    visitor.publish("gptsovits/voice/set", "dad")
    [failed] = await answers(visitor, 1)
    assert failed["code"] == "voice_not_found"
    visitor.publish("gptsovits/voice/set", "mum")
    await eventually(lambda: visitor.on(STATE)[-1]["voice"] == "mum")
    await house.stop()
    seen = visitor.count(STATE)
    await start_house()
    await eventually(lambda: visitor.count(STATE) > seen)
    assert visitor.on(STATE)[-1]["voice"] == "mum"
    visitor.say(text="One.", id="whose")
    visitor.say(text="Two.", id="plain", voice="plain")
    await answers(visitor, 3)
    voices = {each["id"]: each["voice"] for each in visitor.on("gptsovits/said")}
    assert voices == {"whose": "mum", "plain": "plain"}


async def test_the_chosen_model_is_kept_while_it_is_there(
    start_house: StartHouse, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["amy-v2"]

    def with_models(*parts: Any, **_: Any) -> MqttBridge:
        return make_bridge(*parts, models=lambda: models)

    monkeypatch.setattr("service.app.make_bridge", with_models)
    house = await start_house()
    visitor.publish("gptsovits/model/set", "amy-v4")
    [failed] = await answers(visitor, 1)
    assert (failed["code"], failed["param"]) == ("bad_request", "model")
    visitor.publish("gptsovits/model/set", "amy-v2")
    await eventually(lambda: visitor.on(STATE)[-1]["model"] == "amy-v2")
    await house.stop()
    seen = visitor.count(STATE)
    await start_house()
    await eventually(lambda: visitor.count(STATE) > seen)
    assert visitor.on(STATE)[-1]["model"] == "amy-v2"
    models.clear()
    await eventually(lambda: visitor.on(STATE)[-1]["model"] == "auto")


async def test_who_comes_later_finds_what_is_kept(
    start_house: StartHouse, broker: Broker, visitor: Visitor
) -> None:
    house = await start_house()
    visitor.publish(SAY, "One.")
    await answers(visitor, 1)
    await eventually(lambda: visitor.count(STATE) > 0)
    with Visitor(broker.port, name="late") as late:
        await eventually(lambda: {STATUS, STATE} <= {each.topic for each in late.heard})
        kept = {each.topic for each in late.heard if each.retain}
    device = f"gptsovits_{house.health.server_id[:12]}"
    assert kept == {STATUS, STATE, f"homeassistant/device/{device}/config"}


async def test_what_is_small_is_sent_at_once(
    start_house: StartHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[socket.socket] = []
    make = Client._create_socket

    def watched(client: Client) -> Any:
        lines.append(make(client))
        return lines[-1]

    monkeypatch.setattr(Client, "_create_socket", watched)
    await start_house()
    [line] = lines
    assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_leaving_is_told(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer
) -> None:
    house = await start_house()
    assert visitor.on(STATUS)[-1] == "online"
    await house.stop()
    await eventually(lambda: visitor.on(STATUS)[-1] == "offline")


async def test_what_was_not_said_is_said_after_the_next_start(
    start_house: StartHouse, visitor: Visitor, synthesizer: FakeSynthesizer
) -> None:
    house = await start_house()
    synthesizer.gate.clear()
    visitor.say(text="One.", id="1")
    visitor.say(text="Two.", id="2", expires=0.1)
    visitor.say(text="Three.", id="3")
    assert await asyncio.to_thread(synthesizer.waiting.wait, 60)
    stopping = asyncio.create_task(house.stop())
    await asyncio.sleep(0.2)
    synthesizer.gate.set()
    await stopping
    assert visitor.answers() == []
    visitor.publish(SAY, '{"text": "Four.", "id": "4"}')
    await start_house()
    found = await answers(visitor, 4)
    assert {each["id"]: each.get("code") for each in found} == {
        "1": None,
        "2": "expired",
        "3": None,
        "4": None,
    }


async def test_an_old_broker_is_spoken_to_by_mqtt_3(
    start_service: StartService, broker: Broker, visitor: Visitor
) -> None:
    async with await asyncio.start_server(old_broker(broker.port), "127.0.0.1", 0) as old:
        port = old.sockets[0].getsockname()[1]
        await start_service(mqtt_host="127.0.0.1", mqtt_port=port)
        await eventually(lambda: "online" in visitor.on(STATUS))
        visitor.say(text="One.", id="old")
        [said] = await answers(visitor, 1)
        assert said["id"] == "old"


async def test_a_wrong_password_is_said_once_in_the_log_and_not_shown(
    start_service: StartService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Broker(tmp_path / "strict", password=True)
    try:
        wrong = {"mqtt_username": USER, "mqtt_password": "wr0ng"}
        house = await start_service(mqtt_host="127.0.0.1", mqtt_port=strict.port, **wrong)
        await eventually(lambda: "Not authorized" in caplog.text)
        await asyncio.sleep(1.5)
        assert caplog.text.count("refuses us: Not authorized") == 1
        assert "wr0ng" not in caplog.text
        assert len(await _speech(house)) > 1000
    finally:
        strict.stop()


async def test_password_and_tls(start_house: StartHouse, tmp_path: Path) -> None:
    strict = Broker(tmp_path / "strict", password=True, tls=True)
    try:
        with Visitor(strict.port, setup=_secure(strict)) as visitor:
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
            [said] = await answers(visitor, 1)
            assert said["id"] == "secret"
    finally:
        strict.stop()


def _secure(broker: Broker) -> Callable[[Any], None]:
    def setup(client: Any) -> None:
        client.username_pw_set(USER, PASSWORD)
        client.tls_set(str(broker.authority))

    return setup


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_of_an_unknown_authority_is_not_trusted(
    start_service: StartService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Broker(tmp_path / "strict", tls=True)
    try:
        await start_service(mqtt_host="localhost", mqtt_port=strict.port, mqtt_tls=True)
        await eventually(lambda: "cannot be reached" in caplog.text)
    finally:
        strict.stop()
