"""Bring a door into a real Home Assistant: its entities, and that they follow while broker, link and Home Assistant restart.

Its buttons silence the buzzer and test the lamps of a simulated door, and go when `[link] commands` is switched off.

    python -m soak.home_assistant --hass "/srv/ha/bin/hass"
    python -m soak.home_assistant --hass "chroot /srv/trixie /srv/ha/bin/hass" --config-root /srv/trixie

`--hass` starts Home Assistant (homeassistant==2026.2.3 and paho-mqtt==2.1.0 in an environment of Python 3.13, with gcc for one
of its dependencies). With a chroot, `--config-root` is its folder. A port 8123 that is in use makes it fail. About three minutes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge import config
from edge.events.writer import EventLog
from edge.lights.lights import Lights
from edge.pipeline import Decision
from edge.records import Event, Signal
from edge.remote_commands import commands_file
from edge.remote_control import RemoteControl
from fleet.servers import Mosquitto
from soak.parts import Link, make_broker

URL = "http://127.0.0.1:8123"
CLIENT = f"{URL}/"
SETTINGS = config.load()
COMMANDS = {
    "number.doorlight_soak_silence_minutes",
    "button.doorlight_soak_silence",
    "button.doorlight_soak_test_lamps",
    "sensor.doorlight_soak_command",
}
#: Home Assistant's core with what this test needs; a home of its own, so that nothing is set up in passing.
CONFIGURATION = """\
homeassistant:
  name: Soak
http:
  server_host: 127.0.0.1
api:
config:
onboarding:
logger:
  default: warning
"""
EXPECTED = {
    "sensor.doorlight_soak_signal",
    "binary_sensor.doorlight_soak_problem",
    "sensor.doorlight_soak_people_today",
    "sensor.doorlight_soak_masked_today",
    "event.doorlight_soak_alarm",
    "sensor.doorlight_soak_temperature",
    "sensor.doorlight_soak_frame_rate",
    "sensor.doorlight_soak_disk_free",
    "update.doorlight_soak_software",
}


class Hass:
    """A Home Assistant that can be stopped and started again."""

    def __init__(self, command: str, root: Path, broker_port: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hass-", dir=root / "tmp"))
        self._output = self._folder / "output.log"
        (self._folder / "configuration.yaml").write_text(CONFIGURATION)
        inside = self._folder if root == Path("/") else Path("/") / self._folder.relative_to(root)
        self._command = [*shlex.split(command), "--config", str(inside)]
        self._broker_port = broker_port
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers. The first time, set up a user and the broker."""
        output = self._output.open("ab")
        self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        wait_for("Home Assistant answers", lambda: self._get("/api/onboarding") is not None or bool(self._token), 180)
        if not self._token:
            self._set_up()

    def stop(self) -> None:
        """Stop it, as systemd does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def states(self) -> dict[str, str]:
        """Return the state of each entity; nothing while it does not answer."""
        found = self._get("/api/states")
        return {row["entity_id"]: row["state"] for row in found} if isinstance(found, list) else {}

    def shows(self, signal_name: str) -> bool:
        """Return whether the door's signal, or "unavailable", is shown."""
        return self.states().get("sensor.doorlight_soak_signal") == signal_name

    def call(self, service: str, entity: str, **values: object) -> None:
        """Call a service, such as "button/press"."""
        self._post(f"/api/services/{service}", {"entity_id": entity, **values})

    def complaints(self) -> list[str]:
        """Return the warnings and errors about the door or about MQTT."""
        rows = self._output.read_text(errors="replace").splitlines()
        return [row for row in rows if "doorlight" in row.lower() or "mqtt" in row.lower()]

    def _set_up(self) -> None:
        user = {"client_id": CLIENT, "name": "a", "username": "a", "password": "soak-soak", "language": "en"}
        code = self._post("/api/onboarding/users", user)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT}
        self._token = self._post("/auth/token", form, is_form=True)["access_token"]
        step = self._post("/api/config/config_entries/flow", {"handler": "mqtt"})
        values = {"broker": "127.0.0.1", "port": self._broker_port}
        step = self._post(f"/api/config/config_entries/flow/{step['flow_id']}", values)
        if step.get("type") != "create_entry":
            sys.exit(f"Home Assistant does not take the broker: {step}")

    def _get(self, path: str) -> Any:
        try:
            return self._ask(urllib.request.Request(URL + path))
        except (OSError, ValueError):
            return None

    def _post(self, path: str, values: dict[str, Any], *, is_form: bool = False) -> Any:
        body = urllib.parse.urlencode(values).encode() if is_form else json.dumps(values).encode()
        kind = "application/x-www-form-urlencoded" if is_form else "application/json"
        return self._ask(urllib.request.Request(URL + path, body, {"Content-Type": kind}))

    def _ask(self, request: urllib.request.Request) -> Any:
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def wait_for(what: str, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Print how long it takes until a condition holds. Ends the program if it never does."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            sys.exit(f"NOT OK: {what}: not within {limit_s:g} s")
        time.sleep(0.25)
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hass", required=True, metavar="COMMAND")
    parser.add_argument("--config-root", type=Path, default=Path("/"), metavar="FOLDER")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").mkdir()
        broker = make_broker(folder)
        hass = Hass(args.hass, args.config_root, broker.port)
        link = Link(folder, "soak", broker.port)
        try:
            with EventLog(link.log, 1_000_000, 4) as door:
                _play(broker, hass, link, door)
        finally:
            hass.stop()
            broker.kill()
    complaints = hass.complaints()
    print("\n".join(["lines about the door or MQTT in Home Assistant's log:", *(complaints or ["none"])]))
    about_us = [row for row in complaints if "doorlight" in row.lower()]
    print("NOT OK" if about_us else "OK")
    return 1 if about_us else 0


def _play(broker: Mosquitto, hass: Hass, link: Link, door: EventLog) -> None:
    """Play everything that can happen to the three, from the first start to a door that is forgotten."""
    door.write(Event("started", 0.0, {"live": True}))
    broker.start()
    hass.start()
    link.start()
    _play_events(hass, door)
    _play_restarts(broker, hass, link, door)
    _play_commands(hass, link, door)
    link.signal(signal.SIGTERM)
    wait_for("unavailable after a stop", lambda: hass.shows("unavailable"))
    _forget(link)
    wait_for("nothing is left", lambda: not [name for name in hass.states() if "doorlight" in name])


def _play_events(hass: Hass, door: EventLog) -> None:
    """Let a person without a mask come to the door and become agitated."""
    wait_for("all entities are there", lambda: hass.states().keys() >= EXPECTED)
    wait_for("the signal is IDLE", lambda: hass.shows("IDLE"))
    door.write(Event("unmasked", 1.0, {"person": 1, "evidence": -2.0}))
    door.write(Event("signal", 1.0, {"signal": "STOP", "before": "IDLE", "people": 1}))
    wait_for("STOP is shown", lambda: hass.shows("STOP"))
    wait_for("a person is counted", lambda: hass.states()["sensor.doorlight_soak_people_today"] == "1")
    door.write(Event("signal", 2.0, {"signal": "ALARM", "before": "STOP", "people": 1}))
    wait_for("the alarm is an event", lambda: hass.states()["event.doorlight_soak_alarm"].startswith("20"))
    for entity, state in sorted(hass.states().items()):
        if "doorlight" in entity:
            print(f"    {entity}: {state}")


def _play_restarts(broker: Mosquitto, hass: Hass, link: Link, door: EventLog) -> None:
    """End broker, link and Home Assistant, alone and together; after each, a new signal must be shown."""
    signals = iter(("PASS", "STOP", "FAULT", "IDLE", "PASS", "STOP"))

    def works(after: str) -> None:
        name = next(signals)
        door.write(Event("signal", 3.0, {"signal": name, "before": "IDLE", "people": 1}))
        wait_for(f"{name} is shown after {after}", lambda: hass.shows(name), 90)

    broker.kill()
    wait_for("unavailable without a broker", lambda: hass.shows("unavailable"))
    broker.start()
    works("the broker came back")
    link.signal(signal.SIGKILL)
    wait_for("unavailable without a link", lambda: hass.shows("unavailable"))
    link.start()
    works("the link came back")
    hass.stop()
    hass.start()
    works("Home Assistant came back")
    hass.stop()
    broker.kill()
    hass.start()
    broker.start()
    works("both came back, Home Assistant first")
    hass.stop()
    broker.kill()
    broker.start()
    time.sleep(5)
    hass.start()
    works("both came back, the broker first")


class StandIn(threading.Thread):
    """A door that carries out commands, without a camera."""

    def __init__(self, link: Link, log: EventLog) -> None:
        super().__init__(daemon=True)
        self.is_somebody_there = self.is_ending = False
        path = commands_file(link.environment)
        assert path is not None
        self._lights = Lights(SETTINGS.lights, simulate=True)
        self._control = RemoteControl(SETTINGS, self._lights, path, log.write, print)

    def run(self) -> None:
        """Decide 20 times a second, until `is_ending`."""
        with self._lights:
            while not self.is_ending:
                signal_now = Signal.STOP if self.is_somebody_there else Signal.IDLE
                self._control.show(signal_now)
                self._control.on_decision(Decision(0.0, signal_now, (), {}, {}, [], found=()))
                time.sleep(0.05)


def _play_commands(hass: Hass, link: Link, door: EventLog) -> None:
    """Switch commands on, use them, and switch them off again."""

    def is_last(text: str) -> bool:
        return text in hass.states().get("sensor.doorlight_soak_command", "")

    def restart(*lines: str) -> None:
        link.signal(signal.SIGTERM)
        link.set(*lines)
        link.start()

    restart("commands = true")
    # Home Assistant drops what is asked of an entity that is not available yet.
    wait_for(
        "the entities for commands are there",
        lambda: all(hass.states().get(entity, "unavailable") != "unavailable" for entity in COMMANDS),
    )
    stand_in = StandIn(link, door)
    stand_in.start()
    hass.call("button/press", "button.doorlight_soak_test_lamps")
    wait_for("the lamps are tested", lambda: is_last("a test lights both lamps"))
    stand_in.is_somebody_there = True
    hass.call("button/press", "button.doorlight_soak_test_lamps")
    wait_for("a test is refused while someone is there", lambda: is_last("a face is in view"))
    hass.call("button/press", "button.doorlight_soak_silence")
    wait_for("the buzzer is silenced", lambda: hass.states()["number.doorlight_soak_silence_minutes"] == "10")
    hass.call("number/set_value", "number.doorlight_soak_silence_minutes", value=2)
    wait_for("for two minutes only", lambda: hass.states()["number.doorlight_soak_silence_minutes"] == "2")
    hass.call("number/set_value", "number.doorlight_soak_silence_minutes", value=0)
    wait_for("it sounds again", lambda: hass.states()["number.doorlight_soak_silence_minutes"] == "0")
    for entity in sorted(COMMANDS):
        print(f"    {entity}: {hass.states()[entity]}")
    stand_in.is_ending = True
    stand_in.join()
    restart()
    wait_for("they go when commands are switched off", lambda: not hass.states().keys() & COMMANDS)
    hass.stop()
    hass.start()
    wait_for("all others are there again", lambda: hass.states().keys() >= EXPECTED, 180)
    wait_for("and no commands", lambda: not hass.states().keys() & COMMANDS)


def _forget(link: Link) -> None:
    command = [
        sys.executable,
        "-m",
        "edge",
        "link",
        "--forget",
        "--config",
        str(link.settings),
        "--events",
        str(link.log),
    ]
    done = subprocess.run(command, env=link.environment, capture_output=True, text=True, check=False)
    print(f"    {done.stdout}{done.stderr}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
