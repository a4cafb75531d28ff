"""One connection to an MQTT 5 broker, driven by the thread that uses it.

paho-mqtt has a thread of its own, which an exception in a callback ends without a word, and a queue without a limit. Here
its network loop runs in `wait`, callbacks only store what they get, and each connection has a new client: nothing is
queued while there is no connection, and nothing of an old one is left.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..link_settings import Broker
from . import tls_alerts
from .broker_errors import BrokerError, cannot_connect, disconnected, lost, refused, violated
from .mqtt_client import BoundedClient
from .reason_codes import FIRST_ERROR

#: The broker publishes the will after 1.5 times this (seconds) without a sign of life.
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
#: Messages on their way that the broker has not acknowledged, if it does not allow fewer.
MAX_IN_FLIGHT = 20
#: Messages from the broker that wait, and their size: only short ones are expected.
MAX_RECEIVED = 100
MAX_RECEIVED_BYTES = 16 << 10
#: What a packet has beside topic and payload, at most.
PACKET_OVERHEAD_BYTES = 16


@dataclass(frozen=True)
class Login:
    """What a broker asks for. `password` never appears in a representation."""

    client_id: str
    username: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Login({self.client_id})"


class Will(NamedTuple):
    """A retained message that the broker publishes if this client vanishes."""

    topic: str
    payload: bytes


class Acknowledgement(NamedTuple):
    """The broker's answer to the message `number`; `error` if it refuses the message."""

    number: int
    error: int | None


class Received(NamedTuple):
    """A message from the broker."""

    topic: str
    payload: bytes
    is_retained: bool = False


class MqttConnection:
    """A connection. `max_in_flight` and `max_packet_bytes` (None: no limit) are the broker's limits once it is open.

    `acknowledged` and `received` are filled by `wait` and emptied by the owner.
    """

    def __init__(self, broker: Broker, login: Login, will: Will) -> None:
        self.max_in_flight = MAX_IN_FLIGHT
        self.max_packet_bytes: int | None = None
        self.acknowledged: deque[Acknowledgement] = deque()
        self.received: deque[Received] = deque(maxlen=MAX_RECEIVED)
        self._broker = broker
        self._problem: BrokerError | None = None
        self._tls_alerts = tls_alerts.AlertListener()
        self._is_open = False
        self._subscribing: dict[int | None, tuple[str, ...]] = {}
        #: The topics of messages that the broker has not acknowledged, by number.
        self._unacknowledged: dict[int, str] = {}
        #: Its refusal of a topic, until it accepts a message.
        self._refusal: BrokerError | None = None
        #: Topics that the broker has refused to deliver, with its reason code.
        self.refused: deque[tuple[str, int]] = deque()
        client = self._client = BoundedClient(login.client_id, MAX_RECEIVED_BYTES)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the owner counts
        if login.username:
            client.username_pw_set(login.username, login.password)
        if login.tls is not None:
            client.tls_set_context(login.tls)
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        self._tls_alerts.listen(client)

    def open(self) -> None:
        """Connect, and wait for the broker's answer. Raises BrokerError."""
        name = str(self._broker)
        try:
            limits = cast("Any", Properties)(PacketTypes.CONNECT)  # it has no types
            limits.MaximumPacketSize = MAX_RECEIVED_BYTES
            self._client.connect(self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=True, properties=limits)
        except (OSError, ValueError) as error:
            raise cannot_connect(name, error, self._broker.has_tls) from error
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._is_open:
            self.wait(0.5)
            if not self._is_open and time.monotonic() > deadline:
                raise BrokerError(f"{name}: the broker does not answer in MQTT", "is it the port of an MQTT broker?")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send a message (QoS 1). Return the number of its acknowledgement."""
        number = int(self._client.publish(topic, payload, qos=1, retain=retain).mid)
        self._unacknowledged[number] = topic
        return number

    def subscribe(self, *topics: str, retained: bool = False) -> None:
        """Ask for what other clients publish on some topics, and with `retained` also for what the broker keeps of them.

        A broker that refuses this sends nothing. Topics that it refuses are in `refused`, if it says so.
        """
        handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        # At most once: a command must not come twice. "As published" says of each message whether it is retained.
        options = SubscribeOptions(qos=0, noLocal=True, retainAsPublished=True, retainHandling=handling)
        _, number = self._client.subscribe([(topic, options) for topic in topics])
        self._subscribing[number] = topics

    def wait(self, timeout_s: float) -> None:
        """Send and receive, for up to `timeout_s` seconds if there is nothing. Raises BrokerError if the connection ends."""
        code = self._client.loop(timeout_s)
        if self._problem is not None:
            raise self._problem
        if code != paho.MQTT_ERR_SUCCESS:
            raise self._lost()

    def _lost(self) -> BrokerError:
        """Return why the connection has ended. A broker may end it right after it has refused a topic, or instead."""
        if self._client.violation:
            return violated(str(self._broker), self._client.violation)
        if self._refusal is not None:
            return self._refusal
        return lost(str(self._broker), self._tls_alerts.alert, self._unacknowledged.values())

    def close(self) -> None:
        """End the connection. A broker that was asked to end it does not publish the will."""
        with contextlib.suppress(OSError, ValueError):
            if self._is_open and self._problem is None:
                self._client.disconnect()
                self._client.loop(0.1)
        # Without these references, the client closes its sockets as soon as this object goes.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = client.on_message = client.on_log = None
        client.on_subscribe = client.on_socket_close = None
        self._problem = self._refusal = None  # an error that was raised refers to this object

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: ReasonCode, properties: Any) -> None:
        if reason.value >= FIRST_ERROR:
            self._problem = refused(str(self._broker), reason.value, "the connection")
            return
        self._is_open = True
        self.max_in_flight = min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        if getattr(properties, "RetainAvailable", 1) == 0:
            self._problem = refused(str(self._broker), 0x9A, "the connection")
        elif getattr(properties, "MaximumQoS", 1) == 0:
            self._problem = refused(str(self._broker), 0x9B, "the connection")

    def _on_disconnect(
        self, _client: object, _data: object, flags: Any, reason: ReasonCode, _properties: object
    ) -> None:
        if self._problem is None and flags.is_disconnect_packet_from_server:
            self._problem = disconnected(str(self._broker), reason.value)

    def _on_publish(self, _client: object, _data: object, number: int, reason: ReasonCode, _properties: object) -> None:
        topic, is_refused = self._unacknowledged.pop(number, ""), reason.value >= FIRST_ERROR
        self._refusal = refused(str(self._broker), reason.value, f"the topic {topic}") if is_refused else None
        self.acknowledged.append(Acknowledgement(number, reason.value if is_refused else None))

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # all topics that are subscribed to are UTF-8
            self.received.append(Received(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_subscribe(
        self, _client: object, _data: object, number: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        topics = self._subscribing.pop(number, ())
        self.refused.extend(
            (topic, reason.value) for topic, reason in zip(topics, reasons, strict=False) if reason.value >= FIRST_ERROR
        )
