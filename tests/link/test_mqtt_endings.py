"""What the link says of a broker that ends the connection after a message."""

from __future__ import annotations

import pytest

from edge.link.broker_errors import BrokerError
from edge.link.mqtt import Login, MqttConnection, Will
from edge.link_settings import Broker
from support.running_link import Serve


def puback(number: int, reason: int) -> bytes:
    return bytes((0x40, 3, 0, number, reason))


def publish(connection: MqttConnection, topics: tuple[str, ...]) -> None:
    """Publish on topics, each after the answer to the one before, and wait for the end."""
    for k, topic in enumerate(topics):
        connection.publish(topic, b"x")
        while len(connection.acknowledged) <= k:
            connection.wait(1.0)
    while True:
        connection.wait(1.0)


def end(broker: Broker, *topics: str) -> BrokerError:
    """Return the error with which a connection ends after messages on these topics."""
    connection = MqttConnection(broker, Login("door"), Will("will", b""))
    connection.open()
    with pytest.raises(BrokerError) as caught:
        publish(connection, topics)
    connection.close()
    return caught.value


def test_a_refusal_is_the_reason(serve: Serve) -> None:
    error = end(serve(puback(1, 0), puback(2, 0x87)), "state", "events")
    assert str(error).endswith("the broker refuses the topic events: this user is not allowed to do that (0x87)")
    assert "access list" in error.hint
    assert not error.is_lost


def test_a_broker_that_says_nothing(serve: Serve) -> None:
    error = end(serve(puback(1, 0), b""), "state", "events")
    assert str(error).endswith("the connection is lost before the broker has acknowledged events")
    assert "access list" in error.hint
    assert error.is_lost


def test_a_refusal_before_a_message_that_was_accepted_is_not_the_reason(serve: Serve) -> None:
    error = end(serve(puback(1, 0x87), puback(2, 0)), "events", "state")
    assert str(error).endswith("the connection is lost")
    assert error.hint == "check the network, and whether the broker runs"
