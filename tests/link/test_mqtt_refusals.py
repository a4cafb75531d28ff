"""What a real Mosquitto refuses: each has its sentence, and nothing is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.link import mqtt_worker
from support.broker import MOSQUITTO, Broker, Listen, address
from support.link import line, write_log
from support.running_link import StartLink, cursor_of
from support.wait import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed (apt-get install mosquitto)"),
]
EVENTS = "doorlight/d1/events"


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
        secret: Callable[[str], Path],
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
