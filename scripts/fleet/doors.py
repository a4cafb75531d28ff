"""A thousand simulated doors in one process: each has a log, a connection, and a cursor that moves at the acknowledgement.

    python -m fleet.doors --ports 1883 --doors 1000 --rate 500 --seconds 60 --seed 16 --out doors.json

The file has the number of events of each door, once the broker has acknowledged them all.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import selectors
import ssl
import sys
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.events.record import encode, utc_text
from fleet.servers import listens

#: As `doorlight link`.
IN_FLIGHT = 20
KEEPALIVE_S = 30
#: How long (seconds) all doors together may make connections, before those that are connected are served again.
MAX_CONNECT_S = 2.0
#: After the last event, the broker must have acknowledged all within this time.
DRAIN_S = 300.0


class SimulatedDoor:
    """A door with a log that is not on a disk: lines that the broker has not acknowledged stay."""

    def __init__(self, name: str, ports: list[int], rng: random.Random, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.written = 0
        self.reconnections = -1
        self.sent_bytes = 0
        self._tls = tls
        self.lines: deque[tuple[int, bytes]] = deque()
        self._rng = rng
        self._ports = deque(ports)
        self._ports.rotate(rng.randrange(len(ports)))
        self._client: paho.Client | None = None
        self._socket: Any = None
        self._sent: dict[int, int] = {}
        self._acknowledged: set[int] = set()
        self._is_open = False
        self._next_attempt = 0.0
        self._last_person = 0

    def write(self) -> None:
        """Write the next event, as a door does when people pass."""
        self.written += 1
        kind = ("masked", "signal", "cleared", "signal")[self.written % 4]
        self._last_person += kind == "masked"
        if kind == "masked":
            data: dict[str, object] = {"person": self._last_person, "evidence": 2.431, "decision_s": 0.733}
        elif kind == "cleared":
            data = {"person": self._last_person, "verdict": "masked", "dwell_s": 4.266}
        else:
            data = {"signal": self._rng.choice(("PASS", "IDLE", "STOP", "ALARM")), "before": "IDLE", "people": 1}
        now = time.time()
        record = {"seq": self.written, "time": utc_text(now), "t": round(now % 1e5, 3), "event": kind, **data}
        self.lines.append((self.written, encode(record).rstrip(b"\n")))

    def connect(self, selector: selectors.BaseSelector) -> None:
        """If there is no connection, make one."""
        now = time.monotonic()
        if self._client is not None or now < self._next_attempt:
            return
        self._next_attempt = now + self._rng.uniform(1, 4)
        if not listens(self._ports[0]):
            self._ports.rotate(-1)
            return
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.max_inflight_messages_set(0)
        client.will_set(f"doorlight/{self.name}/availability", b"offline", qos=1, retain=True)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_connect, client.on_publish = self._on_connect, self._on_publish
        try:
            client.connect("127.0.0.1", self._ports[0], KEEPALIVE_S)
        except OSError:
            self._ports.rotate(-1)
            return
        self._client, self._is_open = client, False
        self._sent, self._acknowledged = {}, set()
        self._socket = client.socket()
        selector.register(self._socket, selectors.EVENT_READ, self)

    def read(self, selector: selectors.BaseSelector) -> None:
        """Receive what is there, and notice the end of the connection."""
        self._check(selector, lambda client: client.loop_read())
        # The selector does not know of what TLS has decrypted already.
        while self._client is not None and self._tls is not None and self._socket.pending():
            self._check(selector, lambda client: client.loop_read())

    def tick(self, selector: selectors.BaseSelector) -> None:
        """Send what may be sent, and keep the connection alive."""
        self._check(selector, lambda client: client.loop_misc())
        if self._client is None or not self._is_open:
            return
        sent = set(self._sent.values())
        for seq, line in islice(self.lines, IN_FLIGHT):
            if seq not in sent and seq not in self._acknowledged:
                # Type, length, topic and its length, packet id, no properties; the acknowledgement has 4 bytes.
                self.sent_bytes += 3 + 2 + len(f"doorlight/{self.name}/events") + 3 + len(line) + 4
                self._sent[self._client.publish(f"doorlight/{self.name}/events", line, qos=1).mid] = seq

    def notice_end(self, selector: selectors.BaseSelector) -> None:
        """Notice an end of the connection that `publish` has met."""
        self._check(selector, lambda client: paho.MQTT_ERR_SUCCESS)

    def _check(self, selector: selectors.BaseSelector, step: Any) -> None:
        if self._client is None:
            return
        code = step(self._client)
        if code != paho.MQTT_ERR_SUCCESS or self._client.socket() is None:
            selector.unregister(self._socket)  # the client may have closed it, in a call of `publish`
            self._client.on_connect = self._client.on_publish = None
            self._client = None
            self._ports.rotate(-1)

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if not reason.is_failure:
            self._is_open = True
            self.reconnections += 1
            client.publish(f"doorlight/{self.name}/availability", b"online", qos=1, retain=True)

    def _on_publish(self, _client: object, _data: object, mid: int, reason: Any, _properties: object) -> None:
        seq = self._sent.pop(mid, None)
        if seq is None or reason.is_failure:
            return
        self._acknowledged.add(seq)
        while self.lines and self.lines[0][0] in self._acknowledged:
            self._acknowledged.discard(self.lines.popleft()[0])


def play(doors: list[SimulatedDoor], rate: float, seconds: float, rng: random.Random) -> dict[str, float]:
    """Let the doors write `rate` events a second for `seconds`, and wait until all are acknowledged."""
    selector = selectors.DefaultSelector()
    begin = time.monotonic()
    end, drained = begin + seconds, 0.0
    written = most_waiting = 0
    tick_at = 0.0
    while True:
        now = time.monotonic()
        due = int((min(now, end) - begin) * rate)
        active = set()
        for _ in range(due - written):
            door = rng.choice(doors)
            door.write()
            active.add(door)
        written = due
        for key, _ in selector.select(0.02):
            key.data.read(selector)
            active.add(key.data)
        if now - tick_at > 0.5:
            tick_at = now
            waiting = sum(len(door.lines) for door in doors)
            most_waiting = max(most_waiting, waiting)
            for door in doors:
                door.tick(selector)
            # A new connection may have the number of one that has ended: unregister all of those first.
            for door in doors:
                door.notice_end(selector)
            for door in doors:
                # A thousand handshakes of TLS take longer than a keep-alive: the doors that are connected must not wait.
                if time.monotonic() - now > MAX_CONNECT_S:
                    break
                door.connect(selector)
            if now > end and not waiting:
                drained = now - end
                break
            if now > end + DRAIN_S:
                raise TimeoutError(f"the broker has not acknowledged {waiting} events within {DRAIN_S:.0f} s")
        for door in active:
            door.tick(selector)
    return {"events": written, "seconds": seconds, "most_waiting": most_waiting, "drained_s": round(drained, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", required=True, help="ports of the broker's nodes on 127.0.0.1, with commas")
    parser.add_argument("--doors", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second, of all doors together")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--ca", help="certificate of the broker's authority: connect with TLS (default: without)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rng = random.Random(args.seed)
    ports = [int(port) for port in args.ports.split(",")]
    tls = ssl.create_default_context(cafile=args.ca) if args.ca else None
    doors = [SimulatedDoor(f"door-{k:04}", ports, random.Random(f"{args.seed} {k}"), tls) for k in range(args.doors)]
    figures = play(doors, args.rate, args.seconds, rng)
    figures["reconnections"] = sum(max(door.reconnections, 0) for door in doors)
    figures["bytes_per_event"] = sum(door.sent_bytes for door in doors) / max(figures["events"], 1)
    content = {"figures": figures, "events": {door.name: door.written for door in doors}}
    args.out.write_text(json.dumps(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
