"""A connection to an MQTT 5 broker that receives the doors' messages, driven by the thread that uses it.

Nothing is acknowledged until `acknowledge` is called, and the broker sends at most MAX_IN_FLIGHT messages before that. So
memory is bounded, and what was not acknowledged is sent again: to this collector when it returns, or to another one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..errors import UnavailableError
from ..link import tls_alerts
from ..link.broker_errors import VIOLATION_HINT
from ..link.mqtt_client import BoundedClient
from ..link.reason_codes import FIRST_ERROR, TAKEN_OVER, describe
from .messages import MAX_MESSAGE_BYTES, Message
from .topics import KINDS, topic_filter

#: Messages that the broker sends before it waits for acknowledgements. Those of one batch.
MAX_IN_FLIGHT = 1000
#: The broker keeps what it could not deliver for this time (seconds) after a collector vanished.
SESSION_EXPIRY_S = 7 * 86400
KEEPALIVE_S = 60
CONNECT_TIMEOUT_S = 10.0
#: A packet has a topic and properties in addition to its payload.
MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + (1 << 10)
#: What to do about the broker's reasons that no retry mends.
_PERMANENT = {
    0x84: "use Mosquitto 2 or RabbitMQ 4",
    0x85: "give another --name",
    0x86: "check --user and --password-file",
    0x87: "check --user, and the broker's access list",
    0x8A: "ask the person who runs the broker",
    0x8C: "check --user, and the broker's settings",
    TAKEN_OVER: "give each its own --name",
}
_NO_SHARED_SUBSCRIPTIONS = frozenset({0x80, 0x8F, 0x9E, 0xA1, 0xA2})


class BrokerError(UnavailableError):
    """The broker cannot be used. `is_permanent`: another attempt fails in the same way.

    `is_lost`: an open connection has ended without a reason.
    """

    def __init__(self, message: str, hint: str = "", *, is_permanent: bool = False, is_lost: bool = False) -> None:
        super().__init__(message, hint)
        self.is_permanent = is_permanent
        self.is_lost = is_lost


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and what it asks for. `name` is this collector's, `group` is that of all who share the work."""

    host: str
    port: int
    name: str
    group: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"broker {f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class Connection:
    """An open connection. `received` has the messages in their order; its owner empties it.

    `is_shared` is False if the broker has no shared subscriptions: then each collector receives every message.
    """

    def __init__(self, broker: Broker, leave: bool = False) -> None:
        """Connect and subscribe. With `leave`, subscribe to nothing more: only what waits already is received.

        Raises BrokerError.
        """
        self.received: list[Message] = []
        self.is_shared = True
        self._broker = broker
        self._problem: BrokerError | None = None
        self._tls_alerts = tls_alerts.AlertListener()
        self._is_open = False
        self._subscribed: list[int] | None = None
        client = self._client = BoundedClient(broker.name, MAX_PACKET_BYTES, manual_ack=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = client.on_unsubscribe = self._on_subscribe
        client.on_message = self._on_message
        self._tls_alerts.listen(client)
        try:
            self._open()
            if leave:
                self._unsubscribe()
            else:
                self._subscribe_all()
        except BrokerError:
            self.close()
            raise

    def wait(self, timeout_s: float) -> None:
        """Send and receive; return when something was received, or after `timeout_s`.

        Raises BrokerError if the connection ends. What was received and not acknowledged then comes again.
        """
        code = self._client.loop(timeout_s)
        if self._problem is not None:
            raise self._problem
        if code != paho.MQTT_ERR_SUCCESS:
            raise self._lost()

    def _lost(self) -> BrokerError:
        """Return why the connection has ended."""
        if self._client.violation:
            return BrokerError(f"{self._broker}: it {self._client.violation}", VIOLATION_HINT)
        return _no_tls(self._broker, self._tls_alerts.alert) or BrokerError(
            f"{self._broker}: the connection is lost", "check the network, and whether it runs", is_lost=True
        )

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that messages are stored. Raises BrokerError if the connection has ended."""
        for message in messages:
            if message.number and self._client.ack(message.number, 1) != paho.MQTT_ERR_SUCCESS:
                raise self._lost()

    def close(self, end_session: bool = False) -> None:
        """End the connection. The broker keeps this collector's messages, unless `end_session` is True."""
        properties = Properties(PacketTypes.DISCONNECT)
        if end_session:
            properties.SessionExpiryInterval = 0
        with contextlib.suppress(OSError, ValueError):
            if self._client.socket() is not None:
                self._client.disconnect(properties=properties)
                self._client.loop(0.1)
        # Without these references, the client goes with this object.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = None
        client.on_log = client.on_socket_close = client.on_unsubscribe = None
        self._problem = None  # an error that was raised refers to this object

    def _open(self) -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = MAX_IN_FLIGHT
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        try:
            self._client.connect(
                self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=False, properties=properties
            )
        except (OSError, ValueError) as error:
            raise _cannot_connect(self._broker, error) from error
        self._wait_for(lambda: self._is_open)

    def _subscribe_all(self) -> None:
        if self.is_shared and not self._subscribe(self._shared_filter):
            self.is_shared = False
        filters = [topic_filter(kind) for kind in KINDS if kind != "events" or not self.is_shared]
        if not self._subscribe(*filters):
            code = max(self._subscribed or [0x80])
            raise _refused(self._broker, code, "to deliver doorlight/#")

    @property
    def _shared_filter(self) -> str:
        return f"$share/{self._broker.group}/{topic_filter('events')}"

    def _unsubscribe(self) -> None:
        filters = [topic_filter(kind) for kind in KINDS]
        self._subscribed = None
        self._client.unsubscribe([self._shared_filter, *filters] if self.is_shared else filters)
        self._wait_for(lambda: self._subscribed is not None)

    def _subscribe(self, *filters: str) -> bool:
        """Subscribe, and return whether the broker has accepted all filters. Raises BrokerError."""
        self._subscribed = None
        self._client.subscribe([(each, SubscribeOptions(qos=1)) for each in filters])
        self._wait_for(lambda: self._subscribed is not None)
        codes: list[int] = self._subscribed or []
        for code in codes:
            if code >= FIRST_ERROR and code not in _NO_SHARED_SUBSCRIPTIONS:
                raise _refused(self._broker, code, "to deliver doorlight/#")
        return all(code < FIRST_ERROR for code in codes)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not condition():
            self.wait(0.5)
            if not condition() and time.monotonic() > deadline:
                raise BrokerError(f"{self._broker}: it does not answer in MQTT", "is this the port of an MQTT broker?")

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: ReasonCode, properties: Any) -> None:
        if reason.value >= FIRST_ERROR:
            self._problem = _refused(self._broker, reason.value, "the connection")
            return
        self._is_open = True
        self.is_shared = bool(getattr(properties, "SharedSubscriptionAvailable", 1))

    def _on_disconnect(
        self, _client: object, _data: object, flags: Any, reason: ReasonCode, _properties: object
    ) -> None:
        if self._problem is None and flags.is_disconnect_packet_from_server:
            self._problem = _refused(self._broker, reason.value, "to go on")

    def _on_subscribe(
        self, _client: object, _data: object, _number: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        self._subscribed = [reason.value for reason in reasons]

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "?"
        # QoS 2 does not happen: the subscriptions ask for 1.
        number = message.mid if message.qos else 0
        self.received.append(Message(topic, bytes(message.payload), bool(message.retain), number))


def _no_tls(broker: Broker, alert: str) -> BrokerError | None:
    """Return the error for a TLS alert, by OpenSSL's name; None if it is not known."""
    explanation = tls_alerts.explain(alert, "this collector", "--certificate", "--key")
    return BrokerError(f"{broker}: it {explanation[0]}", explanation[1], is_permanent=True) if explanation else None


def _refused(broker: Broker, code: int, what: str) -> BrokerError:
    reason = f"{describe(code)} (0x{code:02x})"
    if code == TAKEN_OVER:
        reason = "another collector has the same name"
    hint = _PERMANENT.get(code, "see the log of the broker")
    return BrokerError(f"{broker}: it refuses {what}: {reason}", hint, is_permanent=code in _PERMANENT)


def _cannot_connect(broker: Broker, error: Exception) -> BrokerError:
    match error:
        case ssl.SSLCertVerificationError():
            return BrokerError(
                f"{broker}: its certificate is refused: {error.verify_message}", "check --ca, the name, and the clock"
            )
        # A broker without TLS ends the connection at the first bytes of TLS, or answers in MQTT.
        case (
            ssl.SSLEOFError()
            | ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "PACKET_LENGTH_TOO_LONG")
            | ConnectionResetError()
        ) if broker.tls:
            return BrokerError(
                f"{broker}: no TLS on this port, it seems", "give the port for TLS, as in mqtts://HOST:8883"
            )
        case ssl.SSLError():
            return _no_tls(broker, error.reason or "") or BrokerError(
                f"{broker}: TLS fails: {error.reason}", "check the port, --ca, --certificate and --key"
            )
        case socket.gaierror():
            return BrokerError(f"{broker}: there is no machine of this name", "check --broker, and the network")
        case TimeoutError():
            return BrokerError(f"{broker}: it does not answer", "check --broker, firewall and network")
        case ConnectionRefusedError():
            return BrokerError(f"{broker}: nothing listens there", "start the broker, or correct --broker")
        case OSError():
            return BrokerError(f"{broker}: cannot be reached: {error.strerror or error}", "check the network")
    return BrokerError(f"{broker}: {type(error).__name__}: {error}", "report this message to the authors of Doorlight")
