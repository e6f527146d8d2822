"""A flow or an automation, as the broker sees it: publishes requests and hears everything."""

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.lab.ground import LabError


class Visitor:
    """A client that subscribes to `#` and keeps what it hears, in order.

    Args:
        port: the broker's.
        listen: told of every message at once, on the network's thread.
        setup: what to do with paho's client before it connects.
        name: its client id.
        session: keep the session, so that what comes while the broker is away is not missed.
    """

    def __init__(
        self,
        port: int,
        listen: Callable[[MQTTMessage], object] = lambda message: None,
        *,
        setup: Callable[[Client], object] = lambda client: None,
        name: str = "visitor",
        session: bool = False,
    ) -> None:
        self.heard: list[MQTTMessage] = []
        self._ready = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_socket_open = lambda client, data, line: line.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda client, data, message: self._hear(message, listen)
        setup(self._client)
        properties = None
        if session:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600
        self._client.connect("127.0.0.1", port, 60, clean_start=not session, properties=properties)
        self._client.loop_start()
        if not self._ready.wait(10):
            raise LabError("the visitor could not subscribe")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, message: MQTTMessage, listen: Callable[[MQTTMessage], object]) -> None:
        self.heard.append(message)
        listen(message)

    def publish(
        self,
        topic: str,
        payload: str | bytes = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        **more: Any,
    ) -> None:
        """Publish, with MQTT 5 properties by their names."""
        properties = Properties(PacketTypes.PUBLISH) if more else None
        for name, value in more.items():
            setattr(properties, name, value)
        self._client.publish(topic, payload, qos, retain, properties)

    def say(self, **fields: object) -> None:
        """Ask for speech."""
        self.publish("gptsovits/say", json.dumps(fields))

    def on(self, topic: str) -> list[Any]:
        """What was heard on a topic so far, as JSON where it is JSON."""
        return [_content(each) for each in list(self.heard) if each.topic == topic]

    def count(self, topic: str) -> int:
        """How much was heard on a topic so far."""
        return sum(each.topic == topic for each in list(self.heard))

    def answers(self) -> list[dict[str, Any]]:
        """Every `said` and `failed` so far."""
        return self.on("gptsovits/said") + self.on("gptsovits/failed")

    def answered(self) -> list[str]:
        """Their ids, sorted."""
        return sorted(str(each["id"]) for each in self.answers())


def _content(message: MQTTMessage) -> Any:
    try:
        return json.loads(message.payload)
    except ValueError:
        return message.payload.decode()
