"""Commands through a real Mosquitto: only with the setting, never an old one, and Home Assistant's entities for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import remote_commands
from edge.remote_commands import Commands
from support.broker import MOSQUITTO, Broker, Subscriber, address
from support.link import write_log
from support.running_link import RunningLink, StartLink
from support.wait import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed (apt-get install mosquitto)"),
]
COMMAND, STATE = "doorlight/d1/command", "doorlight/d1/state"
CONFIG = "homeassistant/device/doorlight_d1/config"
ENTITIES = {"silence_minutes", "silence", "test_lamps", "command"}
ON = "commands = true"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "runtime"


@pytest.fixture
def office(broker: Broker) -> Iterator[Subscriber]:
    made = Subscriber(broker.port)
    yield made
    made.close()


def commands(runtime: Path) -> Commands | None:
    path = runtime / "doorlight-link" / "commands.json"
    return remote_commands.read(path) if path.exists() else None


def silence(minutes: int = 10) -> bytes:
    return json.dumps({"command": "silence_buzzer", "minutes": minutes, "time": time.time()}).encode()


def start(start_link: StartLink, broker: Broker, log: Path, *lines: str) -> RunningLink:
    write_log(log, range(1, 3))
    link = start_link(address(broker), *lines)
    link.wait_for_line("connected")
    return link


def announced(office: Subscriber) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(office.on(CONFIG)[-1])["components"]
    return found


def test_a_command_arrives_at_the_door(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path, runtime: Path
) -> None:
    link = start(start_link, broker, log, ON)
    wait_until(lambda: bool(office.on(STATE)))
    office.client.publish(COMMAND, silence(25), qos=1)
    wait_until(lambda: commands(runtime) is not None)
    found = commands(runtime)
    assert found is not None
    assert found.silence is not None
    assert found.silence.minutes == 25
    assert json.loads(office.on(STATE)[-1])["commands"]["silenced_until"] is None, "the door has not answered"
    link.stop()
    assert commands(runtime) is None


def test_without_the_setting_there_is_no_way_in(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path, runtime: Path
) -> None:
    link = start(start_link, broker, log)
    wait_until(lambda: bool(office.on(STATE)))
    office.client.publish(COMMAND, silence(), qos=1)
    write_log(log, range(3, 5))
    wait_until(lambda: len(office.on("doorlight/d1/events")) == 4)
    assert not runtime.exists()
    assert "commands" not in json.loads(office.on(STATE)[-1])
    assert not ENTITIES & announced(office).keys()
    link.stop()


def test_a_retained_command_is_not_carried_out_at_any_connection(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path, runtime: Path
) -> None:
    office.client.publish(COMMAND, silence(), qos=1, retain=True)
    wait_until(lambda: bool(office.on(COMMAND)))
    for _ in range(2):
        link = start(start_link, broker, log, ON)
        wait_until(lambda: bool(office.on(STATE)))
        link.stop()
        assert commands(runtime) is None
    states = len(office.on(STATE))
    link = start(start_link, broker, log, ON)
    wait_until(lambda: len(office.on(STATE)) > states)
    office.client.publish(COMMAND, silence(), qos=1, retain=True)  # while the link is connected
    link.wait_for_line("a retained command is ignored")
    assert commands(runtime) is None


def test_commands_that_were_sent_meanwhile_are_old(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path, runtime: Path
) -> None:
    link = start(start_link, broker, log, ON)
    wait_until(lambda: bool(office.on(STATE)))
    link.stop()
    late = Properties(PacketTypes.PUBLISH)
    late.MessageExpiryInterval = 600
    office.client.publish(COMMAND, silence(), qos=1, properties=late).wait_for_publish(60)
    link = start(start_link, broker, log, ON)
    states = len(office.on(STATE))
    wait_until(lambda: len(office.on(STATE)) > states)
    assert commands(runtime) is None, "the broker keeps nothing for a link that is away"
    old = json.dumps({"command": "test_lamps", "time": time.time() - 60}).encode()
    office.client.publish(COMMAND, old, qos=1)
    link.wait_for_line("its time differs")
    assert commands(runtime) is None
    wait_until(lambda: "differs" in str(json.loads(office.on(STATE)[-1])["commands"]["last"]))


def test_a_command_too_many_is_refused_with_a_message(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path
) -> None:
    link = start(start_link, broker, log, ON)
    wait_until(lambda: bool(office.on(STATE)))
    for k in range(2 * remote_commands.COMMAND_BURST):
        office.client.publish(COMMAND, silence(1 + k), qos=0)
    link.wait_for_line("there are too many commands")
    link.stop()


def test_a_flood_of_hostile_messages_holds_up_nothing(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path, runtime: Path
) -> None:
    link = start(start_link, broker, log, ON)
    wait_until(lambda: bool(office.on(STATE)))
    for k in range(500):
        office.client.publish(COMMAND, (b"\xff{" * 100, b"x" * 9000, silence(1 + k % 200))[k % 3], qos=0)
    write_log(log, range(3, 103))
    wait_until(lambda: len(office.on("doorlight/d1/events")) == 102)
    assert len(link.lines) < 10
    link.stop()


def test_home_assistant_gets_the_entities_and_loses_them(
    broker: Broker, office: Subscriber, start_link: StartLink, log: Path
) -> None:
    def announce(*lines: str) -> dict[str, dict[str, object]]:
        before = len(office.on(CONFIG))
        link = start(start_link, broker, log, *lines)
        wait_until(lambda: len(office.on(CONFIG)) > before)
        link.stop()
        return announced(office)

    assert announce(ON).keys() > ENTITIES
    for _ in range(2):  # also after the second start without
        found = announce()
        assert {key: found[key] for key in ENTITIES} == {
            "silence_minutes": {"platform": "number"},
            "silence": {"platform": "button"},
            "test_lamps": {"platform": "button"},
            "command": {"platform": "sensor"},
        }
    assert announce(ON)["test_lamps"]["command_topic"] == COMMAND


def test_a_refused_topic_is_said(
    tmp_path: Path, start_link: StartLink, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ answers so; Mosquitto accepts the subscription, and delivers nothing."""
    from edge.link import mqtt

    answer = mqtt.MqttConnection._on_subscribe

    def refuse(connection: mqtt.MqttConnection, client: object, data: object, number: int, *rest: object) -> None:
        reasons = [type("Reason", (), {"value": 0x87})() for _ in connection._subscribing.get(number, ())]
        answer(connection, client, data, number, reasons, None)

    monkeypatch.setattr(mqtt.MqttConnection, "_on_subscribe", refuse)
    broker = Broker(tmp_path)
    broker.start()
    try:
        link = start(start_link, broker, log, ON)
        link.wait_for_line("refuses the topic doorlight/d1/command")
        link.stop()
    finally:
        broker.stop()
