"""The link and a real Mosquitto: every event in order and at least once, whatever happens to the two."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge import config
from edge.errors import UnavailableError
from edge.events.writer import EventLog
from edge.link import mqtt, mqtt_worker
from edge.link.broker_errors import BrokerError
from edge.link.cursor import Cursor, CursorFile
from edge.link.forget import forget
from edge.records import Event
from support.broker import MOSQUITTO, Broker, Subscriber
from support.link import line, write_log
from support.running_link import RunningLink, StartLink
from support.wait import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed (apt-get install mosquitto)"),
]
EVENTS, STATE, AVAILABILITY = "doorlight/d1/events", "doorlight/d1/state", "doorlight/d1/availability"


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    brokers: list[Broker] = []

    def make(*lines: str, anonymous: bool = True) -> Broker:
        brokers.append(Broker(tmp_path, *lines, anonymous=anonymous))
        brokers[-1].start()
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def listen() -> Iterator[Callable[..., Subscriber]]:
    opened: list[Subscriber] = []

    def subscribe(broker: Broker, *filters: str, **login: str) -> Subscriber:
        opened.append(Subscriber(broker.port, *filters, **login))
        return opened[-1]

    yield subscribe
    for each in opened:
        each.close()


Listen = Callable[..., Subscriber]


def cursor_of(link: RunningLink) -> Cursor:
    return CursorFile(link.place.state_folder / "broker.cursor").load() or Cursor()


def address(broker: Broker) -> str:
    return f'broker = "mqtt://{broker.address}"'


def test_events_are_the_lines_of_the_log(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    subscriber = listen(broker)
    with EventLog(log, 1_000_000, 4) as writer:
        for k in range(100):
            writer.write(Event("cleared", k / 3, {"person": k, "text": "é\u2028"}))
        link = start_link(address(broker))
        wait_until(lambda: len(subscriber.on(EVENTS)) == 100)
        writer.write(Event("masked", 50.0, {"person": 101}))
        wait_until(lambda: len(subscriber.on(EVENTS)) == 101)
    link.stop()
    assert b"".join(payload + b"\n" for payload in subscriber.on(EVENTS)) == log.read_bytes()
    assert cursor_of(link).seq == 101


def test_events_are_not_retained_and_the_rest_is(
    broker: Broker, listen: Listen, start_link: StartLink, log: Path
) -> None:
    write_log(log, range(1, 6))
    first = listen(broker)
    start_link(address(broker))
    wait_until(lambda: len(first.on(EVENTS)) == 5 and first.on("doorlight/d1/stats"))
    late = listen(broker)
    retained = {AVAILABILITY, STATE, "doorlight/d1/stats", "homeassistant/device/doorlight_d1/config"}
    wait_until(lambda: {topic for topic, *_ in late.messages} >= retained)
    # A newer state may follow the one that the broker has kept.
    begins = {topic: is_retained for topic, _, is_retained in reversed(late.messages)}
    assert begins == dict.fromkeys(retained, True)


def test_a_broker_that_is_killed_and_comes_back(
    broker: Broker, listen: Listen, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_listening = threading.Event()
    is_listening.set()
    connect = mqtt.MqttConnection.open

    def connect_later(connection: mqtt.MqttConnection) -> None:
        """The link must not be back before somebody listens."""
        if not is_listening.is_set():
            raise BrokerError("nothing listens there")
        connect(connection)

    monkeypatch.setattr(mqtt.MqttConnection, "open", connect_later)
    write_log(log, range(1, 6))
    link = start_link(address(broker))
    link.wait_for_line("connected")
    for first in (6, 106, 206):
        is_listening.clear()
        broker.stop()
        write_log(log, range(first, first + 100))
        link.wait_for_line("nothing listens there")
        link.lines.clear()
        broker.start()
        subscriber = listen(broker)
        is_listening.set()
        wait_until(lambda first=first, found=subscriber: numbers(found)[-1:] == [first + 99])  # type: ignore[misc]
        found = numbers(subscriber)
        assert set(found) >= set(range(first, first + 100))
        assert found == sorted(found)
        wait_until(lambda found=subscriber: found.on(AVAILABILITY)[-1:] == [b"online"])  # type: ignore[misc]


def numbers(subscriber: Subscriber) -> list[int]:
    return [json.loads(payload)["seq"] for payload in subscriber.on(EVENTS)]


def test_a_link_that_starts_again_goes_on(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    subscriber = listen(broker)
    for first in (1, 51, 101):
        write_log(log, range(first, first + 50))
        link = start_link(address(broker))
        wait_until(lambda first=first: len(subscriber.on(EVENTS)) >= first + 49)  # type: ignore[misc]
        link.stop()
    assert [json.loads(payload)["seq"] for payload in subscriber.on(EVENTS)] == list(range(1, 151))
    wait_until(lambda: subscriber.on(AVAILABILITY) == [b"online", b"offline"] * 3)


def test_the_broker_says_offline_for_a_link_that_is_killed(
    broker: Broker, listen: Listen, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process cannot say goodbye: its connection just closes."""
    subscriber = listen(broker)
    monkeypatch.setattr(mqtt_worker._Session, "_say_goodbye", lambda _: None)
    monkeypatch.setattr(mqtt.MqttConnection, "close", lambda self: self._client._sock_close())
    link = start_link(address(broker))
    wait_until(lambda: subscriber.on(AVAILABILITY) == [b"online"])
    link.stop()
    wait_until(lambda: subscriber.on(AVAILABILITY) == [b"online", b"offline"])


def test_a_late_will_is_corrected(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    subscriber = listen(broker)
    start_link(address(broker))
    wait_until(lambda: subscriber.on(AVAILABILITY) == [b"online"])
    subscriber.client.publish(AVAILABILITY, b"offline", qos=1, retain=True)
    wait_until(lambda: subscriber.on(AVAILABILITY)[-1:] == [b"online"] and len(subscriber.on(AVAILABILITY)) == 3)


def test_lost_events_are_told(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    write_log(log, range(1, 11))
    subscriber = listen(broker)
    link = start_link(address(broker))
    wait_until(lambda: len(subscriber.on(EVENTS)) == 10)
    link.stop()
    log.write_bytes(b"")
    write_log(log, range(501, 504))
    again = start_link(address(broker))
    wait_until(lambda: len(subscriber.on(EVENTS)) == 13)
    (gap,) = map(json.loads, subscriber.on("doorlight/d1/gap"))
    assert (gap["first"], gap["last"]) == (11, 500)
    order = [topic for topic, payload, _ in subscriber.messages if topic.endswith(("gap", "events"))]
    assert order.index("doorlight/d1/gap") == 10, "before the first event after it"
    again.wait_for_line("the log has lost the events 11 to 500")
    wait_until(lambda: "11 to 500" in (json.loads(subscriber.on(STATE)[-1])["problem"] or ""))
    again.stop()
    third = start_link(address(broker))
    wait_until(lambda: "11 to 500" in (third.place.runtime_folder / "status.json").read_text())  # type: ignore[operator]


def test_home_assistant_starts_again(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    subscriber = listen(broker)
    start_link(address(broker))
    config = "homeassistant/device/doorlight_d1/config"
    wait_until(lambda: len(subscriber.on(config)) == 1)
    subscriber.client.publish("homeassistant/status", b"online")
    wait_until(lambda: len(subscriber.on(config)) == 2)


def test_a_renamed_door_leaves_no_ghost(broker: Broker, listen: Listen, start_link: StartLink, log: Path) -> None:
    write_log(log, range(1, 3))
    subscriber = listen(broker)
    former = start_link(address(broker))
    wait_until(lambda: subscriber.on(STATE))
    former.stop()
    start_link(address(broker), door="d2")
    wait_until(lambda: subscriber.on("doorlight/d2/state"))
    late = listen(broker)
    wait_until(lambda: len(late.messages) >= 4)
    assert {topic for topic, *_ in late.messages if "d1" in topic} == set()
    assert not any("doorlight_d1" in str(message) for message in late.messages)


def test_without_home_assistant_nothing_is_announced(
    broker: Broker, listen: Listen, start_link: StartLink, log: Path
) -> None:
    subscriber = listen(broker)
    former = start_link(address(broker))
    wait_until(lambda: subscriber.on("homeassistant/device/doorlight_d1/config"))
    former.stop()
    start_link(address(broker), "home_assistant = false")
    wait_until(lambda: subscriber.on("homeassistant/device/doorlight_d1/config")[-1] == b"")


def test_a_door_that_is_forgotten_leaves_nothing(
    broker: Broker, listen: Listen, start_link: StartLink, log: Path, tmp_path: Path
) -> None:
    write_log(log, range(1, 6))
    subscriber = listen(broker)
    link = start_link(address(broker))
    wait_until(lambda: subscriber.on("doorlight/d1/stats"))
    settings = config.load(tmp_path / "door.toml").link
    with pytest.raises(UnavailableError, match="the link of d1 is connected"):
        forget(settings, link.place.state_folder)
    link.stop()
    assert forget(settings, link.place.state_folder) == f"{broker.address}: d1 is removed (4 topics)"
    assert forget(settings, link.place.state_folder), "again, and it is no error"
    late = listen(broker)
    late.client.publish("end", b"x")
    wait_until(lambda: late.on("end"))
    assert [topic for topic, *_ in late.messages] == ["end"]


class TestRefusals:
    """Each has its sentence, and nothing is left out."""

    @pytest.fixture
    def passwords(self, tmp_path: Path) -> Path:
        """The password file of user "door" with the password "right", made by mosquitto_passwd."""
        # PBKDF2 as mosquitto_passwd writes it.
        import base64
        import hashlib

        salt = b"0123456789ab"
        digest = hashlib.pbkdf2_hmac("sha512", b"right", salt, 101)
        row = f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
        (tmp_path / "passwords").write_text(f"door:{row}\nreader:{row}\n")
        return tmp_path / "passwords"

    @pytest.fixture
    def secret(self, tmp_path: Path) -> Callable[[str], Path]:
        def write(text: str) -> Path:
            (tmp_path / "password").write_text(f"{text}\n")
            (tmp_path / "password").chmod(0o600)
            return tmp_path / "password"

        return write

    def test_a_wrong_password(
        self, make_broker: Callable[..., Broker], passwords: Path, secret: Callable[[str], Path], start_link: StartLink
    ) -> None:
        broker = make_broker(f"password_file {passwords}", "user root", anonymous=False)
        link = start_link(address(broker), 'username = "door"', f'password = "{secret("wr0ng")}"')
        link.wait_for_line("refuses the connection")
        assert "not allowed" in link.lines[0] or "password is wrong" in link.lines[0]
        assert "wr0ng" not in "".join(link.lines)

    def test_a_topic_that_the_access_list_refuses(
        self,
        make_broker: Callable[..., Broker],
        passwords: Path,
        secret: Callable[[str], Path],
        start_link: StartLink,
        log: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        refusals: list[bool] = []
        rewind = mqtt_worker._Session._rewind

        def count(session: mqtt_worker._Session) -> None:
            refusals.append(True)
            rewind(session)

        monkeypatch.setattr(mqtt_worker._Session, "_rewind", count)
        monkeypatch.setattr(mqtt_worker, "FIRST_REFUSAL_S", 3600.0)
        rules = tmp_path / "acl"
        rules.write_text("user reader\ntopic read #\nuser door\ntopic readwrite doorlight/d1/state\n")
        lines = (f"password_file {passwords}", f"acl_file {rules}", "user root")
        broker = make_broker(*lines, anonymous=False)
        write_log(log, range(1, 31))
        link = start_link(address(broker), 'username = "door"', f'password = "{secret("right")}"')
        link.wait_for_line(f"the broker refuses the topic {EVENTS}: this user is not allowed to do that (0x87)")
        wait_until(lambda: refusals)
        assert cursor_of(link).seq == 0, "nothing is left out"
        rules.write_text("user reader\ntopic read #\nuser door\ntopic readwrite #\n")
        broker.stop()
        broker.start()
        wait_until(lambda: cursor_of(link).seq == 30)
        assert len(refusals) == 1, "a whole window was refused, which is one refusal"

    def test_a_broker_that_ends_the_connection_with_its_refusal(
        self,
        make_broker: Callable[..., Broker],
        start_link: StartLink,
        log: Path,
        passwords: Path,
        secret: Callable[[str], str],
        tmp_path: Path,
    ) -> None:
        """As Mosquitto does without a limit for its queue. It may reset the connection: then its refusal does not arrive."""
        rules = tmp_path / "acl"
        allowed = ("homeassistant/#", "doorlight/d1/state", "doorlight/d1/availability", "doorlight/d1/stats")
        rules.write_text("user door\n" + "".join(f"topic readwrite {topic}\n" for topic in allowed))
        lines = (f"password_file {passwords}", f"acl_file {rules}", "user root", "max_queued_messages 0")
        broker = make_broker(*lines, anonymous=False)
        write_log(log, range(1, 4))
        link = start_link(address(broker), 'username = "door"', f'password = "{secret("right")}"')
        link.wait_for_line(EVENTS)

    def test_a_line_that_is_longer_than_the_broker_accepts(
        self, make_broker: Callable[..., Broker], start_link: StartLink, listen: Listen, log: Path
    ) -> None:
        broker = make_broker("max_packet_size 20000")
        log.write_bytes(line(1) + line(2, text="x" * 30_000) + line(3))
        subscriber = listen(broker)
        link = start_link(address(broker))
        wait_until(lambda: len(subscriber.on(EVENTS)) == 2)
        (gap,) = map(json.loads, subscriber.on("doorlight/d1/gap"))
        assert (gap["first"], gap["last"]) == (2, 2)
        link.wait_for_line("1 event is left out: the line of event 2 is longer than the broker accepts")

    def test_two_doors_with_one_client_id(self, broker: Broker, start_link: StartLink, log: Path) -> None:
        """A copied card. One of the two chooses another id, and both stay connected."""
        link = start_link(address(broker))
        link.wait_for_line("connected")
        own = (link.place.state_folder / "client-id").read_text().strip()
        other = paho.Client(CallbackAPIVersion.VERSION2, own, protocol=paho.MQTTv5)
        other.reconnect_delay_set(1, 1)
        other.connect("127.0.0.1", broker.port)
        other.loop_start()
        try:
            wait_until(lambda: (link.place.state_folder / "client-id").read_text().strip() != own)
            wait_until(lambda: link.lines[-1].startswith("broker: connected"))
        finally:
            other.disconnect()
            other.loop_stop()


def test_a_port_that_says_nothing(start_link: StartLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = start_link(f'broker = "mqtt://127.0.0.1:{silent.getsockname()[1]}"')
        link.wait_for_line("the broker does not answer in MQTT (is it the port of an MQTT broker?)")


def test_a_broker_that_hangs(
    broker: Broker, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch, listen: Listen
) -> None:
    monkeypatch.setattr(mqtt_worker, "MAX_SILENCE_S", 0.5)
    link = start_link(address(broker))
    link.wait_for_line("connected")
    broker.freeze()
    write_log(log, range(1, 101))
    link.wait_for_line("the broker acknowledges nothing")
    monkeypatch.setattr(mqtt_worker, "MAX_SILENCE_S", 60.0)
    broker.thaw()
    wait_until(lambda: cursor_of(link).seq == 100)


def test_a_message_of_somebody_else_that_is_too_large_is_not_taken(
    broker: Broker, start_link: StartLink, log: Path, listen: Listen
) -> None:
    subscriber = listen(broker)
    link = start_link(address(broker))
    wait_until(lambda: subscriber.on(STATE))
    subscriber.client.publish(AVAILABILITY, b"x" * 1_000_000, qos=1)
    subscriber.client.publish("homeassistant/status", b"online")
    wait_until(lambda: len(subscriber.on("homeassistant/device/doorlight_d1/config")) == 2)
    assert len(link.lines) == 1, "it is still connected"


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_broker_that_takes_few_messages_at_once(
    limit: int, broker: Broker, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    publish = mqtt.MqttConnection.publish
    monkeypatch.setattr(mqtt, "MAX_IN_FLIGHT", limit)

    def count(connection: mqtt.MqttConnection, topic: str, payload: bytes, *, retain: bool = False) -> int:
        nonlocal most
        number = publish(connection, topic, payload, retain=retain)
        most = max(most, len(connection._client._out_messages))
        return number

    monkeypatch.setattr(mqtt.MqttConnection, "publish", count)
    write_log(log, range(1, 51))
    link = start_link(address(broker))
    wait_until(lambda: cursor_of(link).seq == 50)
    assert most == limit


def test_login_is_never_shown() -> None:
    assert "secret" not in repr(mqtt.Login("id", "user", "secret", ssl.create_default_context()))
