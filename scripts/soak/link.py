"""Kill a broker and links at random while doors write events: each event must arrive, in order, as it is in the log.

    python -m soak.link                     5 doors, 5000 events; the broker is away for 60 s once; three minutes
    python -m soak.link --seed 7 --quick    2 doors, 400 events, half a minute

The exit code is 0 if every (door, seq) has arrived, byte for byte, each door's events in the order of their numbers, no gap
was reported, and the will of each link that was killed or frozen came in time.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edge.counted import counted
from edge.events import reader
from edge.events.record import encode
from edge.events.writer import EventLog
from edge.link.mqtt import KEEPALIVE_S
from edge.records import Event
from soak.parts import Gate, Link, Subscriber, make_broker

#: The broker publishes a will after 1.5 times the keep-alive without a sign of life; Mosquitto looks every few seconds.
WILL_WITHIN_S = 1.5 * KEEPALIVE_S + 10


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args(argv)
    doors, events, away_s, frozen = (2, 200, 5.0, False) if args.quick else (5, 1000, 60.0, True)
    with tempfile.TemporaryDirectory() as folder:
        return Soak(Path(folder), doors, events, away_s, args.seed).run(with_frozen=frozen)


class Soak:
    """`doors` write `events` each; the broker is away for `away_s` seconds in the middle."""

    def __init__(self, folder: Path, doors: int, events: int, away_s: float, seed: int) -> None:
        self._rng = random.Random(seed)
        self._events = events
        self._away_s = away_s
        self._broker = make_broker(folder)
        self._gate = Gate(self._broker.port)
        self._subscriber = Subscriber(self._broker.port)
        self._links = []
        for k in range(doors):
            (folder / f"d{k}" / "state").mkdir(parents=True)
            self._links.append(Link(folder / f"d{k}", f"d{k}", self._gate.port))
        self._broker_starts: list[float] = []
        self._killed: list[tuple[str, float]] = []
        self._frozen: list[tuple[str, float]] = []

    def run(self, *, with_frozen: bool) -> int:
        """Run all, and return the exit code."""
        self._gate.start()
        self._start_broker()
        began = time.monotonic()
        writers = [
            threading.Thread(target=self._write, args=(link.log, random.Random(self._rng.random())))
            for link in self._links
        ]
        for thread in writers:
            thread.start()
        for link in self._links:
            link.start()
        self._disturb(writers)
        for thread in writers:
            thread.join()
        written = time.monotonic() - began
        if with_frozen:
            self._freeze(self._links[0])
        self._wait()
        time.sleep(2)
        print(
            f"{self._events * len(self._links)} events written in {written:.0f} s, all in {time.monotonic() - began:.0f} s"
        )
        for link in self._links:
            link.signal(signal.SIGTERM)
        self._broker.kill()
        return self._judge()

    def _write(self, path: Path, rng: random.Random) -> None:
        """Write a door's events, in some runs, into a log that is rotated often."""
        left = self._events
        while left > 0:
            count = min(left, rng.randint(50, 300))
            left -= count
            with EventLog(path, 20_000, 1000) as log:
                log.write(Event("started", 0.0, {"live": True}))
                for k in range(count):
                    log.write(
                        Event("signal", k / 10, {"signal": rng.choice(["STOP", "PASS"]), "people": k % 3, "x": "é"})
                    )
                    time.sleep(rng.expovariate(10))
                if rng.random() < 0.5:  # otherwise it counts as a crash, and the next run skips numbers
                    log.write(Event("stopped", 99.0, {"reason": "terminated"}))

    def _disturb(self, writers: list[threading.Thread]) -> None:
        """Kill links and broker at random while the doors write."""
        is_away_due = True
        while any(thread.is_alive() for thread in writers):
            time.sleep(self._rng.uniform(0.5, 4))
            link = self._rng.choice(self._links)
            self._killed.append((link.door, time.monotonic()))
            link.signal(signal.SIGKILL)
            time.sleep(self._rng.choice([0.0, 0.2, 2.0]))
            link.start()
            if self._rng.random() < 0.25:
                self._kill_broker(self._away_s if is_away_due else self._rng.uniform(0, 3))
                is_away_due = False

    def _kill_broker(self, away_s: float) -> None:
        self._gate.is_open = False
        self._broker.kill()
        at = time.monotonic()
        # A broker that is away publishes no will.
        self._killed = [(door, when) for door, when in self._killed if at - when > 2]
        time.sleep(away_s)
        self._start_broker()

    def _start_broker(self) -> None:
        self._broker.start()
        self._broker_starts.append(time.monotonic())
        self._subscriber.attach()
        self._gate.is_open = True

    def _freeze(self, link: Link) -> None:
        """Stop a link without a word, as a network that is cut: its connection stays open."""
        time.sleep(5)
        self._frozen.append((link.door, time.monotonic()))
        link.signal(signal.SIGSTOP)
        time.sleep(WILL_WITHIN_S)
        link.signal(signal.SIGCONT)

    def _wait(self) -> None:
        """Wait until everything has arrived, for up to two minutes."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if all(self._expected(link).keys() <= self._arrived(link.door).keys() for link in self._links):
                return
            time.sleep(1)

    def _expected(self, link: Link) -> dict[int, bytes]:
        return {record["seq"]: encode(record)[:-1] for record in reader.read(link.log)}

    def _arrived(self, door: str) -> dict[int, bytes]:
        """Return what has arrived, in the order of the first arrivals."""
        found: dict[int, bytes] = {}
        for payload in self._payloads(f"doorlight/{door}/events"):
            found.setdefault(json.loads(payload)["seq"], payload)
        return found

    def _payloads(self, topic: str) -> list[bytes]:
        return [payload for _, name, payload in list(self._subscriber.messages) if name == topic]

    def _judge(self) -> int:
        is_good = True
        for link in self._links:
            expected, arrived = self._expected(link), self._arrived(link.door)
            sent = len(self._payloads(f"doorlight/{link.door}/events"))
            missing = expected.keys() - arrived.keys()
            in_order = list(arrived) == sorted(arrived)
            same = all(arrived[seq] == text for seq, text in expected.items() if seq in arrived)
            gaps = len(self._payloads(f"doorlight/{link.door}/gap"))
            print(
                f"{link.door}: {len(expected)} events, {len(missing)} missing, {sent - len(arrived)} repeated, "
                f"{'in order' if in_order else 'OUT OF ORDER'}, {'as logged' if same else 'CHANGED'}, {counted(gaps, 'gap')}"
            )
            is_good = is_good and not missing and in_order and same and not gaps and len(expected) >= self._events
        for what, at, limit_s in (("killed", self._killed, 2.0), ("frozen", self._frozen, WILL_WITHIN_S)):
            delays = [self._will_after(door, when) for door, when in at]
            late = [delay for delay in delays if delay > limit_s]
            most = max(delays, default=0.0)
            print(
                f"{len(delays)} links {what}: will after at most {most:.2f} s (limit {limit_s:g} s), {len(late)} late"
            )
            is_good = is_good and not late
        print("OK" if is_good else "NOT OK")
        return 0 if is_good else 1

    def _will_after(self, door: str, when: float) -> float:
        """Return after how many seconds a door was "offline". A link that was not connected when it was killed has no will."""
        topic = f"doorlight/{door}/availability"
        since = max(at for at in self._broker_starts if at <= when)
        known = [payload for at, name, payload in self._subscriber.messages if name == topic and since <= at <= when]
        if known[-1:] != [b"online"]:
            return 0.0
        offline = (
            at
            for at, name, payload in self._subscriber.messages
            if name == topic and at > when and payload == b"offline"
        )
        return next(offline, float("inf")) - when


if __name__ == "__main__":
    sys.exit(main())
