"""A Mosquitto, links and a subscriber as processes and threads, for the soak tests."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from fleet.servers import MissingError, Mosquitto


def make_broker(folder: Path) -> Mosquitto:
    """Return a Mosquitto that can be killed. It stores nothing. Ends the program if it is not installed."""
    try:
        return Mosquitto(folder, "allow_anonymous true")
    except MissingError as error:
        sys.exit(str(error))


class Gate(threading.Thread):
    """Passes connections on to the broker while it is open.

    A link that is back before the subscriber would send to nobody, and the broker would acknowledge it.
    """

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True)
        self.is_open = False
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Pass connections on until the process ends."""
        while True:
            connection, _ = self._listener.accept()
            try:
                if not self.is_open:
                    raise ConnectionRefusedError
                target = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                connection.close()
                continue
            target.settimeout(None)
            threading.Thread(target=_pass_on, args=(connection, target), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes both ways until an end closes."""
    with one, other, contextlib.suppress(OSError):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (other if ready is one else one).sendall(data)


class Link:
    """A `doorlight link` for a door, as a process that can be killed."""

    def __init__(self, folder: Path, door: str, port: int, *lines: str) -> None:
        """`lines` are further settings of [link]."""
        self.door = door
        self.log = folder / "events.jsonl"
        self.folder = folder
        self.settings = folder / "door.toml"
        self._lines = ["[link]", f'door = "{door}"', f'broker = "mqtt://127.0.0.1:{port}"']
        self.set(*lines)
        self._output = (folder / "link.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def set(self, *lines: str) -> None:
        """Write its settings, with `lines` of [link]. They count at its next start."""
        self.settings.write_text("\n".join([*self._lines, *lines]) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: its state is in its folder."""
        folders = {"STATE_DIRECTORY": str(self.folder / "state"), "XDG_RUNTIME_DIR": str(self.folder / "runtime")}
        return {**os.environ, **folders}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge", "link", "--config", self.settings, "--events", self.log],
            stdout=self._output,
            stderr=self._output,
            env=self.environment,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. After SIGKILL and SIGTERM it is gone."""
        assert self._process is not None
        self._process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._process.wait(30)


class Subscriber:
    """Collects (monotonic time, topic, payload) of everything that doors publish. It has QoS 0: it owes the broker nothing."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[float, str, bytes]] = []
        self._port = port
        self._client: paho.Client | None = None

    def attach(self) -> None:
        """Connect, and return when the subscription counts."""
        ready = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False)
        client.on_connect = lambda client, *_: client.subscribe("doorlight/#", qos=0)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._add
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        if not ready.wait(10):
            sys.exit("the subscriber cannot connect")
        self._client = client

    def _add(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.messages.append((time.monotonic(), message.topic, bytes(message.payload)))


def peak_memory_mb(pid: int) -> float:
    """Return the highest resident memory of a process so far."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) / 1024
    return 0.0
