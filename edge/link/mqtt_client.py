"""An MQTT client with limits for what the broker sends."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class BoundedClient(paho.Client):
    """A client for MQTT 5 that ends the connection at a packet that is too large, or at a message with QoS 2.

    paho-mqtt reads packets of any length (up to 256 MB) into memory, and keeps messages with QoS 2 until the broker releases
    them. It does not enforce what the client asked for in CONNECT and SUBSCRIBE. `violation` says what the broker did wrong, as
    the predicate of "the broker"; it is empty until then.
    """

    def __init__(self, client_id: str, max_packet_bytes: int, manual_ack: bool = False) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
        )
        self.violation = ""
        self._max_packet_bytes = max_packet_bytes

    def _sock_recv(self, bufsize: int) -> bytes:
        # Private in paho-mqtt 2, which has no public place for this. It asks for the rest of a packet at once, so this is the packet's length, before any of it is in memory.
        if bufsize > self._max_packet_bytes:
            self.violation = f"sends a packet of more than {self._max_packet_bytes} bytes, although it was asked not to"
        elif self._in_messages:
            self.violation = "sends a message with QoS 2, although it was asked not to"
        else:
            return super()._sock_recv(bufsize)
        raise ConnectionAbortedError(self.violation)
