"""Brokers that send what they were asked not to send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.errors import UnavailableError
from edge.fleet import broker as fleet_broker
from edge.link.mqtt import MAX_RECEIVED_BYTES, Login, MqttConnection, Will
from edge.link_settings import Broker
from support.running_link import Serve

#: The first bytes of a message of 120 MB.
LARGE = b"\x30\x80\x9c\x9c\x39"
QOS_2 = b"\x34\x07\0\1t\0\1\0x"


def connect_door(broker: Broker) -> None:
    connection = MqttConnection(broker, Login("door"), Will("will", b""))
    connection.open()
    connection.publish("state", b"x")
    while True:
        connection.wait(1.0)


def connect_collector(broker: Broker) -> None:
    fleet_broker.Connection(fleet_broker.Broker(broker.host, broker.port, "collector", "group"))


@pytest.mark.parametrize(
    ("connect", "limit"), [(connect_door, MAX_RECEIVED_BYTES), (connect_collector, fleet_broker.MAX_PACKET_BYTES)]
)
def test_a_packet_that_is_too_large_is_not_read(connect: Callable[[Broker], None], limit: int, serve: Serve) -> None:
    with pytest.raises(UnavailableError, match=f"sends a packet of more than {limit} bytes") as caught:
        connect(serve(LARGE))
    assert "update the broker" in caught.value.hint


@pytest.mark.parametrize("connect", [connect_door, connect_collector])
def test_messages_with_qos_2_are_not_kept(connect: Callable[[Broker], None], serve: Serve) -> None:
    with pytest.raises(UnavailableError, match="sends a message with QoS 2, although it was asked not to"):
        connect(serve(QOS_2))


def test_the_largest_packet_that_is_allowed_is_read(serve: Serve) -> None:
    topic = b"\0\1t\0"
    length = bytes((MAX_RECEIVED_BYTES & 127 | 128, MAX_RECEIVED_BYTES >> 7 & 127 | 128, MAX_RECEIVED_BYTES >> 14))
    connection = MqttConnection(
        serve(b"\x30" + length + topic.ljust(MAX_RECEIVED_BYTES, b"x")), Login("door"), Will("will", b"")
    )
    connection.open()
    connection.publish("state", b"x")
    while not connection.received:
        connection.wait(1.0)
    connection.close()


def test_a_topic_that_is_no_text_is_skipped(serve: Serve) -> None:
    connection = MqttConnection(serve(b"\x30\x05\0\1\xff\0x\x30\x05\0\1t\0y"), Login("door"), Will("will", b""))
    connection.open()
    connection.publish("state", b"x")
    while not connection.received:
        connection.wait(1.0)
    assert connection.received.pop().payload == b"y"
    connection.close()
