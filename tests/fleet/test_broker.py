"""The connection to a broker: refusals in words, and with a real Mosquitto what is acknowledged and what comes again."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.fleet import broker as broker_module
from edge.fleet.broker import Broker, BrokerError, Connection
from edge.fleet.messages import MAX_MESSAGE_BYTES, Message
from fleet.servers import Mosquitto, free_port
from support.mosquitto import start_mosquitto
from support.wait import wait_until


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[Broker]:
    """Yield the address of a server that answers each connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(1000)
                    answer(client)
                    client.recv(1000)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Broker("127.0.0.1", server.getsockname()[1], "c", "g", "user", "hunter2")
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def refusal(answer: bytes) -> BrokerError:
    with answering(lambda client: client.sendall(answer)) as broker, pytest.raises(BrokerError) as caught:
        Connection(broker)
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    return caught.value


@pytest.mark.parametrize(
    ("code", "expected", "is_permanent"),
    [
        (0x84, "does not speak MQTT 5", True),
        (0x86, "user name or password is wrong", True),
        (0x87, "not allowed", True),
        (0x88, "it is unavailable", False),
        (0x89, "it is busy", False),
        (0x97, "a quota is exceeded", False),
        (0x9F, "(0x9f)", False),
    ],
)
def test_refused_connections(code: int, expected: str, is_permanent: bool) -> None:
    error = refusal(bytes([0x20, 3, 0, code, 0]))
    assert expected in str(error)
    assert error.is_permanent is is_permanent


def test_another_collector_of_the_same_name() -> None:
    error = refusal(bytes([0x20, 3, 0, 0, 0, 0xE0, 2, 0x8E, 0]))
    assert "another collector has the same name" in str(error)
    assert error.is_permanent


def test_a_server_that_is_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "CONNECT_TIMEOUT_S", 1.0)
    assert "does not answer in MQTT" in str(refusal(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert "does not answer in MQTT" in str(refusal(b""))


@pytest.mark.parametrize("answer", [b"", b"\x20\x03\x00\x84\x00", None])
def test_tls_on_a_port_without_tls(answer: bytes | None) -> None:
    """A broker answers in MQTT, ends the connection, or resets it as Mosquitto does."""

    def answer_and_end(client: socket.socket) -> None:
        if answer is None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            return
        client.close()

    context = ssl.create_default_context()
    # Not by Connection: paho leaves the socket open if the handshake fails.
    with (
        answering(answer_and_end) as broker,
        socket.create_connection((broker.host, broker.port)) as plain,
        context.wrap_socket(plain, server_hostname="x", do_handshake_on_connect=False) as wrapped,
    ):
        with pytest.raises((ssl.SSLError, ConnectionResetError)) as caught:
            wrapped.do_handshake()
        found = broker_module._cannot_connect(dataclasses.replace(broker, tls=context), caught.value)
    assert "no TLS on this port" in str(found)
    assert "mqtts://" in found.hint
    assert not found.is_permanent


def test_nothing_listens() -> None:
    with pytest.raises(BrokerError, match="nothing listens there") as caught:
        Connection(Broker("127.0.0.1", free_port(), "c", "g"))
    assert not caught.value.is_permanent


def test_an_unknown_machine() -> None:
    with pytest.raises(BrokerError, match="no machine of this name"):
        Connection(Broker("nowhere.invalid", 1883, "c", "g"))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    yield from start_mosquitto(tmp_path)


class Door:
    """A client that publishes, and waits until the broker has everything."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, *payloads: str | bytes, topic: str = "doorlight/a/events", retain: bool = False) -> None:
        for payload in payloads:
            self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(60)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def door(mosquitto: Mosquitto) -> Iterator[Door]:
    door = Door(mosquitto.port)
    yield door
    door.close()


@contextlib.contextmanager
def connected(mosquitto: Mosquitto, name: str = "c") -> Iterator[Connection]:
    connection = Connection(Broker("127.0.0.1", mosquitto.port, name, "g"))
    try:
        yield connection
    finally:
        connection.close()


def receive(connection: Connection, count: int) -> list[Message]:
    def has_all() -> bool:
        connection.wait(0.05)
        return len(connection.received) >= count

    wait_until(has_all)
    return connection.received


@pytest.mark.mosquitto
def test_what_is_not_acknowledged_comes_again(mosquitto: Mosquitto, door: Door) -> None:
    with connected(mosquitto) as connection:
        door.publish(*map(str, range(6)))
        messages = receive(connection, 6)
        assert [each.payload for each in messages] == [b"0", b"1", b"2", b"3", b"4", b"5"]
        connection.acknowledge(messages[:4])
    door.publish("6")  # while it is away
    with connected(mosquitto) as connection:
        messages = receive(connection, 3)
        assert [each.payload for each in messages] == [b"4", b"5", b"6"]
        connection.acknowledge(messages)
        # A broker may not read what a client sends just before it closes.
        door.publish("7")
        assert [each.payload for each in receive(connection, 4)[3:]] == [b"7"]
    with connected(mosquitto) as connection:
        assert [each.payload for each in receive(connection, 1)] == [b"7"]


@pytest.mark.mosquitto
def test_the_broker_waits_for_acknowledgements(
    mosquitto: Mosquitto, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "MAX_IN_FLIGHT", 5)
    with connected(mosquitto) as connection:
        door.publish(*map(str, range(12)))
        receive(connection, 5)
        for _ in range(5):
            connection.wait(0.05)
        assert len(connection.received) == 5
        connection.acknowledge(connection.received)
        assert len(receive(connection, 10)) == 10


@pytest.mark.mosquitto
def test_two_collectors_share_the_events_and_both_know_the_doors(mosquitto: Mosquitto, door: Door) -> None:
    with connected(mosquitto, "one") as one, connected(mosquitto, "two") as two:
        assert one.is_shared
        door.publish(*map(str, range(20)))
        door.publish("online", topic="doorlight/a/availability")
        found = [*receive(one, 11), *receive(two, 11)]
        payloads = [each.payload for each in found]
        assert payloads.count(b"online") == 2
        assert sorted(payloads, key=lambda each: each.zfill(9))[:20] == [str(k).encode() for k in range(20)]


@pytest.mark.mosquitto
def test_what_the_broker_keeps_is_marked(mosquitto: Mosquitto, door: Door) -> None:
    door.publish("{}", topic="doorlight/a/state", retain=True)
    with connected(mosquitto) as connection:
        door.publish("{}", topic="doorlight/b/state", retain=True)
        assert {each.topic: each.is_retained for each in receive(connection, 2)} == {
            "doorlight/a/state": True,
            "doorlight/b/state": False,
        }


@pytest.mark.mosquitto
def test_a_collector_that_leaves_gets_what_waits_and_nothing_more(mosquitto: Mosquitto, door: Door) -> None:
    """Otherwise the broker would go on to give it its share of the events, and drop them when the session expires."""
    with connected(mosquitto, "one"):
        pass
    door.publish("0", "1")
    leaving = Connection(Broker("127.0.0.1", mosquitto.port, "one", "g"), leave=True)
    messages = receive(leaving, 2)
    with connected(mosquitto, "two") as two:
        door.publish("2", "3")
        assert [each.payload for each in receive(two, 2)] == [b"2", b"3"]
        leaving.acknowledge(messages)
        leaving.wait(0.1)
        leaving.close(end_session=True)
    assert [each.payload for each in messages] == [b"0", b"1"]


@pytest.mark.mosquitto
def test_a_huge_message_is_not_delivered(mosquitto: Mosquitto, door: Door) -> None:
    with connected(mosquitto) as connection:
        door.publish(b"x" * 10 * MAX_MESSAGE_BYTES, "after")
        assert [each.payload for each in receive(connection, 1)] == [b"after"]


@pytest.mark.mosquitto
def test_a_broker_without_shared_subscriptions(
    mosquitto: Mosquitto, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then each collector receives every event."""
    refuse = Connection._subscribe
    monkeypatch.setattr(
        Connection, "_subscribe", lambda self, *each: not each[0].startswith("$share") and refuse(self, *each)
    )
    with connected(mosquitto, "one") as one, connected(mosquitto, "two") as two:
        assert not one.is_shared
        door.publish("x")
        assert len(receive(one, 1)) == len(receive(two, 1)) == 1


@pytest.mark.mosquitto
def test_a_wrong_password(tmp_path: Path) -> None:
    for broker in start_mosquitto(tmp_path, "allow_anonymous false"):
        with pytest.raises(BrokerError, match=r"user name or password is wrong|not allowed") as caught:
            Connection(Broker("127.0.0.1", broker.port, "c", "g", "u", "hunter2"))
        assert caught.value.is_permanent


@pytest.mark.mosquitto
def test_a_broker_that_restarts(mosquitto: Mosquitto) -> None:
    with connected(mosquitto) as connection:
        mosquitto.stop()
        with pytest.raises(BrokerError, match="connection is lost"):
            receive(connection, 1)
    mosquitto.start()
    with connected(mosquitto):
        pass
