"""The files of scripts/fleet, with the real programs."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.fleet.broker import Broker, BrokerError, Connection
from edge.fleet.topics import KINDS
from fleet.servers import MissingError, Mosquitto
from support.broker import send_when_the_server_has_ended
from support.paths import SCRIPTS
from support.wait import wait_until

FLEET = SCRIPTS / "fleet"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with the certificates that the guide makes, by its own commands."""
    if shutil.which("openssl") is None or shutil.which("bash") is None:
        pytest.skip("openssl is not installed")
    page = (FLEET / "README.md").read_text()
    text = page.partition("## 2 ")[2].partition("## 3 ")[0].replace("\\\n        ", "")
    commands = [line.strip() for line in text.splitlines() if line.startswith("    openssl ")]
    assert len(commands) == 5
    for_door = commands[3:]
    for name in ("office", "home-assistant"):
        commands += [command.replace("front-door", name) for command in for_door]
    for command in commands:
        command = command.replace("broker.example'", "localhost'")
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    return tmp_path


def tls(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture
def broker(certificates: Path) -> Iterator[Mosquitto]:
    """Mosquitto with the files of this folder."""
    text = (FLEET / "mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/certs/", f"{certificates}/").replace("/etc/mosquitto/acl", str(FLEET / "acl"))
    text = text.replace("/var/lib/mosquitto/", f"{certificates}/")
    try:
        server = Mosquitto(certificates)
    except MissingError as error:
        pytest.skip(str(error))
    (certificates / "mosquitto.conf").write_text(
        text.replace("listener 8883", f"listener {server.port} 127.0.0.1\nuser root")
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def client(broker: Mosquitto, context: ssl.SSLContext) -> Iterator[paho.Client]:
    door = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    door.tls_set_context(context)
    door.connect("localhost", broker.port)
    door.loop_start()
    try:
        wait_until(door.is_connected)
        yield door
    finally:
        door.disconnect()
        door.loop_stop()


@pytest.mark.mosquitto
def test_a_door_writes_below_its_own_name_only(certificates: Path, broker: Mosquitto) -> None:
    office = Connection(Broker("localhost", broker.port, "collect-1", "g", tls=tls(certificates, "office")))
    try:
        with (
            client(broker, tls(certificates, "front-door")) as door,
            client(broker, tls(certificates, "office")) as other,
        ):
            for kind in KINDS:
                door.publish(f"doorlight/front-door/{kind}", b"own", qos=1).wait_for_publish(30)
                door.publish(f"doorlight/back-door/{kind}", b"foreign", qos=1).wait_for_publish(30)
                other.publish(f"doorlight/front-door/{kind}", b"by the office", qos=1).wait_for_publish(30)

        def has_all() -> bool:
            office.wait(0.1)
            return len(office.received) >= len(KINDS)

        wait_until(has_all)
        office.wait(0.3)
        found = sorted((each.topic, each.payload) for each in office.received)
        assert found == sorted((f"doorlight/front-door/{kind}", b"own") for kind in KINDS)
    finally:
        office.close()


@pytest.mark.mosquitto
def test_only_home_assistant_commands_a_door(certificates: Path, broker: Mosquitto) -> None:
    found: list[bytes] = []
    with client(broker, tls(certificates, "front-door")) as door, client(broker, tls(certificates, "office")) as office:
        heard, subscribed = threading.Event(), threading.Event()

        def take(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
            found.append(bytes(message.payload))
            heard.set()

        door.on_message = take
        door.on_subscribe = lambda *_: subscribed.set()
        door.subscribe([("doorlight/front-door/command", 0), ("doorlight/back-door/command", 0)])
        assert subscribed.wait(10)
        office.publish("doorlight/front-door/command", b"by the office", qos=1).wait_for_publish(30)
        with client(broker, tls(certificates, "home-assistant")) as home:
            home.publish("doorlight/back-door/command", b"for another door", qos=1).wait_for_publish(30)
            home.publish("doorlight/front-door/command", b"for this door", qos=1).wait_for_publish(30)
        assert heard.wait(10)
    assert found == [b"for this door"]


@pytest.mark.mosquitto
@pytest.mark.parametrize("is_late", [False, True])
def test_nobody_comes_in_without_a_certificate(
    is_late: bool, certificates: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS 1.3 refuses after the handshake, and often before the first message."""
    if is_late:
        send_when_the_server_has_ended(monkeypatch)
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    with pytest.raises(BrokerError, match="it asks for a certificate") as caught:
        Connection(Broker("localhost", broker.port, "collect-1", "g", tls=context))
    assert caught.value.hint == "set --certificate and --key"
    assert caught.value.is_permanent


def test_every_topic_is_in_the_access_list() -> None:
    text = (FLEET / "acl").read_text()
    for kind in KINDS:
        assert f"topic read doorlight/+/{kind}\n" in text


def test_the_definitions_of_rabbitmq_let_a_door_write_its_own_topics() -> None:
    definitions = json.loads((FLEET / "rabbitmq-definitions.json").read_text())
    rights = {each["user"]: each for each in definitions["topic_permissions"]}
    write = rights["front-door"]["write"].replace("{username}", "front-door")
    assert re.search(write, "doorlight.front-door.events")
    assert not re.search(write, "doorlight.back-door.events")
    assert not re.search(rights["office"]["write"], "doorlight.front-door.events")
    assert re.search(rights["office"]["read"], "doorlight.front-door.events")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt install prometheus")
@pytest.mark.parametrize(("what", "file"), [("config", "prometheus.yml"), ("rules", "alerts.yml")])
def test_promtool_accepts(what: str, file: str) -> None:
    done = subprocess.run(["promtool", "check", what, file], cwd=FLEET, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_use_metrics_that_exist() -> None:
    page = (FLEET / "README.md").read_text()
    used = set(re.findall(r"doorlight_\w+", (FLEET / "alerts.yml").read_text()))
    assert used
    assert [name for name in used if f"`{name}" not in page] == []
