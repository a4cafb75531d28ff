"""A real Mosquitto for the tests of the link."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleet.servers import MOSQUITTO, Mosquitto
from support.wait import wait_until

__all__ = ["MOSQUITTO", "Broker", "Listen", "Subscriber", "address", "send_when_the_server_has_ended"]


class Broker(Mosquitto):
    """A Mosquitto on a port of its own. `lines` are added to its settings."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        super().__init__(folder, "\n".join([f"allow_anonymous {'true' if anonymous else 'false'}", *lines]))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Stop it without closing its connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)


class Subscriber:
    """Collects what arrives on all topics: (topic, payload, retained)."""

    def __init__(self, port: int, *filters: str, username: str = "", password: str = "") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._filters = filters or ("#",)
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if username:
            self.client.username_pw_set(username, password)
        self.client.on_connect = lambda client, *_: client.subscribe(
            [(each, SubscribeOptions(qos=1)) for each in self._filters]
        )
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, bytes(message.payload), message.retain)
        )
        self.client.on_subscribe = lambda *_: self._subscribed.append(True)
        self._subscribed: list[bool] = []
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(lambda: bool(self._subscribed))

    def on(self, topic: str) -> list[bytes]:
        """Return the payloads of a topic, in order."""
        return [payload for name, payload, _ in list(self.messages) if name == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        del self.client


def send_when_the_server_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the MQTT clients of this process send their first message after the server has reset the connection."""
    send = paho.Client._send_connect

    def wait_and_send(client: paho.Client, keepalive: int) -> object:
        ended = select.poll()
        sock = client.socket()
        assert sock is not None
        ended.register(sock, 0)  # only errors and the end
        assert ended.poll(20_000)
        return send(client, keepalive)

    monkeypatch.setattr(paho.Client, "_send_connect", wait_and_send)


Listen = Callable[..., Subscriber]


def address(broker: Broker) -> str:
    """Return the line of [link] that names a broker."""
    return f'broker = "mqtt://{broker.address}"'
