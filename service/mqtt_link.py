"""The line to the MQTT broker: paho's network thread on one side, the event loop on the other.

paho's callbacks only hand events over. An exception in one would end its thread without a word, a
slow one would cost the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from service.mqtt_rival import Rival

_LOGGER = logging.getLogger(__name__)
KEEPALIVE = 15  # seconds; a frozen broker is noticed after about twice that
SESSION_KEPT = 3600  # seconds that the broker keeps messages for a bridge that is away
MAX_PACKET = 8 * 1024 * 1024  # bytes; the broker drops larger messages to us before they are sent
_PATIENCE = (1, 30)  # seconds before another try, at first and at most
_GOODBYE = 1.0  # seconds to say that we leave
_OLD_BROKER = "Unsupported protocol version"
_TAKEN_OVER = "Session taken over"
_PUBLISH_OVERHEAD = 1024  # bytes; more than a topic, its header and properties usually take


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to be let in.

    Attributes:
        host, port: its address.
        username, password: empty for none.
        tls: whether to encrypt, and whom to trust.
    """

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker let us in.

    Attributes:
        kept: it still knows our session; packet numbers go on.
    """

    kept: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker speaks only the older protocol."""


@dataclass(frozen=True, slots=True)
class Published:
    """The broker took (or will never take) a message of ours."""

    number: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message for us, to be acknowledged once it is safe.

    Attributes:
        connection: counts connections; an acknowledgement is good on its own one only.
        packet: the broker's number of the packet, 0 at QoS 0.
        again: the broker has sent it before.
        reply, correlation: MQTT 5's response topic and correlation data.
        expiry: seconds left of its message expiry interval.
    """

    connection: int
    packet: int
    qos: int
    again: bool
    topic: str
    payload: bytes
    reply: str | None = None
    correlation: bytes | None = None
    expiry: int | None = None


Event = Connected | Refused | Published | Received


class Link:
    """One persistent session with a broker; all methods are called on the event loop.

    Args:
        broker: whom to connect to.
        client_id: unique at the broker and the same after every start.
        status: topic of the retained `online` and, as last will, `offline`.
        subscriptions: topic filters.

    Attributes:
        events: what happened, in order.
        max_packet: bytes that the broker takes, None for any number.
        rival: who else may be using our client id.
    """

    def __init__(
        self, broker: Broker, client_id: str, status: str, subscriptions: Sequence[str]
    ) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.max_packet: int | None = None
        self._broker = broker
        self._client_id = client_id
        self._status = status
        self._subscriptions = list(subscriptions)
        self._connection = 0
        self._version = MQTTProtocolVersion.MQTTv5
        self.rival = Rival(client_id)
        self._patience = _PATIENCE
        self._complaints: set[str] = set()
        self._trouble: str | None = None

    def open(self) -> None:
        """Connect now or as soon as the broker is there, and again whenever the line breaks."""
        self._loop = asyncio.get_running_loop()
        self._client = self._make()
        modern = self._version == MQTTProtocolVersion.MQTTv5
        options: dict[str, Any] = {}
        if modern:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_KEPT
            properties.MaximumPacketSize = MAX_PACKET
            options = {"clean_start": False, "properties": properties}
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE, **options)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker hears us now."""
        return self._client.is_connected()

    @property
    def reason(self) -> str | None:
        """Why the line is not as it should be, for a person."""
        return self.rival.reason or (self._trouble and f"the MQTT broker {self._trouble}")

    async def reopen_older(self) -> None:
        """Connect again by MQTT 3.1.1."""
        _LOGGER.warning("the MQTT broker does not know MQTT 5; going on with 3.1.1")
        await asyncio.to_thread(self._close, self._client)
        self._version = MQTTProtocolVersion.MQTTv311
        self.open()

    async def close(self) -> None:
        """Say that we leave, then leave; the broker keeps the session."""
        await asyncio.to_thread(self._close, self._client, say=True)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, correlation: bytes | None = None
    ) -> int | None:
        """Send a message at QoS 1; None where the broker takes none that large.

        The number comes back in `Published`, if need be after a reconnection.
        """
        if not self.takes(payload):
            # paho would send it for ever: the broker answers such a packet by hanging up.
            _LOGGER.error("%s: %d bytes are more than the broker takes", topic, len(payload))
            return None
        properties = None
        if correlation is not None and self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        return self._client.publish(topic, payload, 1, retain, properties).mid

    def takes(self, payload: bytes) -> bool:
        """Whether the broker takes a message that large."""
        return self.max_packet is None or len(payload) + _PUBLISH_OVERHEAD <= self.max_packet

    def acknowledge(self, message: Received) -> None:
        """Tell the broker that a message is safe here."""
        if message.qos and message.connection == self._connection:
            self._client.ack(message.packet, message.qos)

    def _make(self) -> Client:
        modern = self._version == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if modern else False,
            protocol=self._version,
            manual_ack=True,
        )
        client.suppress_exceptions = True
        client.enable_logger(_LOGGER.getChild("paho"))
        client.reconnect_delay_set(*self._patience)
        client.will_set(self._status, b"offline", 1, retain=True)
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls is not None:
            client.tls_set_context(self._broker.tls)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _close(self, client: Client, *, say: bool = False) -> None:
        if say and client.is_connected():
            told = client.publish(self._status, b"offline", 1, retain=True)
            if told.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                with contextlib.suppress(RuntimeError):  # the line broke meanwhile
                    told.wait_for_publish(_GOODBYE)
        client.disable_logger()  # paho calls the end that was asked for an error
        client.disconnect()
        client.loop_stop()

    # What follows runs on paho's thread.

    def _post(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(self.events.put_nowait, event)

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._complain(f"refuses us: {reason}")
            if reason.getName() == _OLD_BROKER and client.protocol == MQTTProtocolVersion.MQTTv5:
                self._post(Refused())
            return
        self._complaints.clear()
        self._trouble = None
        self.rival.connected()
        self._connection += 1
        self.max_packet = getattr(properties, "MaximumPacketSize", None)
        # The broker may have lost everything in a power cut, so nothing is taken for granted.
        # Retained requests would be spoken again on every connection: they are not asked for.
        if client.protocol == MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            client.subscribe([(topic, options) for topic in self._subscriptions])
        else:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        _LOGGER.info("connected to the MQTT broker at %s", self._broker.host)
        self._post(Connected(flags.session_present))

    def _on_connect_fail(self, client: Client, userdata: object) -> None:
        self._complain("cannot be reached")

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not reason.is_failure:
            return
        pause = self.rival.lost(taken_over=reason.getName() == _TAKEN_OVER)
        if pause is not None:
            # Coming back at once would throw the other one out at once, and so on for ever.
            wanted = (pause, max(pause, _PATIENCE[1])) if pause else _PATIENCE
            if wanted != self._patience:
                self._patience = wanted
                client.reconnect_delay_set(*wanted)
        if self.rival.reason is None:
            self._complain(f"is gone: {reason}")

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        if message.retain:
            _LOGGER.warning("a retained message on %s is not for speaking; ignored", message.topic)
            client.ack(message.mid, message.qos)
            return
        properties = message.properties
        self._post(
            Received(
                *(self._connection, message.mid, message.qos, message.dup),
                *(message.topic, bytes(message.payload)),
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
                getattr(properties, "MessageExpiryInterval", None),
            )
        )

    def _on_publish(
        self,
        client: Client,
        userdata: object,
        number: int,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _LOGGER.warning("the MQTT broker does not pass a message of ours on: %s", reason)
        self._post(Published(number))

    def _complain(self, what: str) -> None:
        """Log a trouble once, however often paho tries."""
        self._trouble = what
        if what not in self._complaints:
            self._complaints.add(what)
            _LOGGER.warning("the MQTT broker at %s %s; trying again", self._broker.host, what)


def _no_delay(client: Client, userdata: object, line: Any) -> None:
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
