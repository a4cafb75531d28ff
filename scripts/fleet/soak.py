"""Is each event of a thousand doors in the database, once, although nodes of the broker and collectors are killed?

    python -m fleet.soak --broker mosquitto --seconds 60
    python -m fleet.soak --broker rabbitmq --root /srv/debian13 --seconds 600
    python -m fleet.soak --broker mosquitto --seconds 60 --tls
    python -m fleet.soak --broker rabbitmq --root /srv/debian13 --seconds 60 --rate 2000 --kill-every 0     what is the limit?

Starts PostgreSQL, the broker (one Mosquitto, or three nodes of RabbitMQ 4) and two collectors on loopback, lets the doors of
`fleet.doors` write, and kills at random: a collector, or a node of RabbitMQ, never two nodes at a time. Mosquitto is not
killed: it keeps in memory what it has acknowledged. Prints the figures as JSON, with the processor time of each part: at the
limit, the part that needs a whole core is what limits. The exit code is 1 if an event is missing or
twice, 69 if a program is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.servers import OPEN_BROKER, MissingError, Mosquitto, Postgres, RabbitNode, Server, rabbit_cluster

#: Events of a day with 2630 visits, as scripts/virtual_door plays it: about four for each visit.
EVENTS_PER_DAY = 10_600
#: After the last acknowledgement to a door, the database must have everything within this time.
SETTLE_S = 300.0


class CollectorProcess(Server):
    """`doorlight collect` as a process."""

    def __init__(self, name: str, ports: Sequence[int], database: str, log: Path, ca: Path | None = None) -> None:
        super().__init__()
        broker = ",".join(f"127.0.0.1:{port}" for port in ports)
        self._command = [
            sys.executable,
            "-m",
            "edge",
            "collect",
            "--name",
            name,
            "--broker",
            broker,
            "--database",
            database,
            *(["--ca", str(ca)] if ca is not None else []),
        ]
        self._log = log

    def start(self) -> None:
        """Start it, and return at once."""
        self._spawn(self._command, self._log)


class Killer:
    """Kills one of the servers at random times, and starts it again some seconds later. Nodes: one at a time."""

    def __init__(
        self, collectors: Sequence[CollectorProcess], nodes: Sequence[RabbitNode], every_s: float, seed: int
    ) -> None:
        self.kills = {"collectors": 0, "nodes": 0}
        self._collectors, self._nodes = collectors, nodes
        self._every_s = every_s
        self._rng = random.Random(seed)
        self._next_at = time.monotonic() + every_s / 2
        self._down: list[tuple[float, CollectorProcess | RabbitNode]] = []

    def step(self) -> None:
        """Kill or start what is due."""
        now = time.monotonic()
        for back_at, server in list(self._down):
            if now >= back_at:
                server.start()
                self._down.remove((back_at, server))
        if now < self._next_at or not self._every_s:
            return
        self._next_at = now + self._rng.uniform(0.5, 1.5) * self._every_s
        down = [server for _, server in self._down]
        nodes_are_whole = all(node.is_running and node not in down for node in self._nodes)
        kind = self._rng.choice(("collectors", "nodes")) if self._nodes and nodes_are_whole else "collectors"
        choices = [each for each in (self._collectors if kind == "collectors" else self._nodes) if each not in down]
        if choices:
            server = self._rng.choice(choices)
            server.kill()
            self.kills[kind] += 1
            # Long enough that the other nodes notice it, and that the doors go elsewhere.
            pause_s = self._rng.uniform(1, 5) if kind == "collectors" else self._rng.uniform(5, 20)
            self._down.append((now + pause_s, server))

    def finish(self) -> None:
        """Start everything that is down."""
        for _, server in self._down:
            server.start()
        self._down.clear()


def soak(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything, and return the figures."""
    (folder / "postgres").mkdir()
    os.chmod(folder, 0o711)
    database = Postgres(folder / "postgres", is_durable=True)
    servers: list[Server] = [database]
    nodes: list[RabbitNode] = []
    try:
        database.start()
        address = database.new_database()
        if args.broker == "rabbitmq":
            nodes += rabbit_cluster(args.root)
            servers += nodes
        ports = [node.port for node in nodes]
        ca = make_certificates(folder) if args.tls else None
        brokers: list[Server] = [*nodes]
        if not nodes:
            settings = f"{OPEN_BROKER}\nmax_inflight_messages 0"
            broker = Mosquitto(folder, settings + (TLS_SETTINGS.format(folder=folder) if ca is not None else ""))
            servers.append(broker)
            brokers.append(broker)
            broker.start()
            ports = [broker.port]
        collectors = [CollectorProcess(f"collect-{k}", ports, address, folder / f"collect-{k}.log", ca) for k in (1, 2)]
        servers += collectors
        for collector in collectors:
            collector.start()
        # They subscribe before the doors write: a broker keeps nothing for a subscriber that it does not know.
        time.sleep(10)
        killer = Killer(collectors, nodes, args.kill_every, args.seed)
        kinds: dict[str, Sequence[Server]] = {"broker": brokers, "collectors": collectors, "database": [database]}
        before = {kind: sum(map(processor_s, each)) for kind, each in kinds.items()}
        written, figures, doors_s = _play(args, ports, folder, killer, ca)
        settled_s = _settle(address, sum(written.values()))
        # Without what was killed: its time is lost with it.
        processor = {kind: round(sum(map(processor_s, each)) - before[kind], 1) for kind, each in kinds.items()}
        return {
            **figures,
            "processor_s": {**processor, "doors": round(doors_s, 1)},
            "kills": killer.kills,
            "settled_s": settled_s,
            **_check(address, written),
            "load": os.getloadavg()[1],
        }
    finally:
        for server in reversed(servers):
            server.kill()
        for node in nodes[:1]:
            node.end_names()


def processor_s(server: Server) -> float:
    """Return the processor time (seconds) so far of a server, and of the processes that it has started and their own."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            process = int(path.parent.name)
            # Its own, and of children that have ended.
            ticks[process] = sum(map(int, fields[11:15]))
            children.setdefault(int(fields[1]), []).append(process)
    total, todo = 0, [server.pid] if server.is_running else []
    while todo:
        process = todo.pop()
        total += ticks.get(process, 0)
        todo += children.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")


#: Mosquitto with the certificates of `make_certificates`.
TLS_SETTINGS = "\ncafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key"


def make_certificates(folder: Path) -> Path:
    """Make an authority and the certificate of a broker on 127.0.0.1. Return the authority's file."""
    key = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    sign = ["openssl", "x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    for command in (
        [*key, "-x509", "-days", "2", "-subj", "/CN=Soak", "-keyout", "ca.key", "-out", "ca.pem"],
        [*key, "-subj", "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr"],
        [*sign, "-in", "broker.csr", "-extfile", "names", "-out", "broker.pem"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem"


def _play(
    args: argparse.Namespace, ports: Sequence[int], folder: Path, killer: Killer, ca: Path | None
) -> tuple[dict[str, int], dict[str, float], float]:
    """Let the doors write. Return the number of events of each, the figures, and the processor time of the doors."""
    out = folder / "doors.json"
    command = [sys.executable, "-m", "fleet.doors", "--ports", ",".join(map(str, ports)), "--out", str(out)]
    for name in ("doors", "rate", "seconds", "seed"):
        command += [f"--{name}", str(getattr(args, name))]
    if ca is not None:
        command += ["--ca", str(ca)]
    before = os.times()
    end = time.monotonic() + args.seconds
    with subprocess.Popen(command) as doors:
        while doors.poll() is None:
            if time.monotonic() < end:
                killer.step()
            else:
                killer.finish()
            time.sleep(0.2)
    if doors.returncode:
        raise SystemExit(f"fleet.soak: the doors have failed with exit code {doors.returncode}")
    killer.finish()
    after = os.times()
    content = json.loads(out.read_text())
    doors_s = after.children_user + after.children_system - before.children_user - before.children_system
    return content["events"], content["figures"], doors_s


def _settle(address: str, count: int) -> float:
    """Wait until the database has `count` events, or for SETTLE_S. Return the seconds that it took."""
    import psycopg

    begin = time.monotonic()
    with psycopg.connect(address, autocommit=True) as database:
        while time.monotonic() - begin < SETTLE_S:
            row = database.execute("SELECT count(*) FROM doorlight.events").fetchone()
            if row is not None and row[0] >= count:
                break
            time.sleep(0.5)
    return round(time.monotonic() - begin, 1)


def _check(address: str, written: dict[str, int]) -> dict[str, Any]:
    """Compare the table with what the doors have written."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as database:
        rows = database.execute(
            "SELECT door, count(*), count(DISTINCT seq), min(seq), max(seq) FROM doorlight.events GROUP BY door"
        ).fetchall()
        size = database.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'doorlight.events'::regclass"
        ).fetchone()
        rejected = database.execute("SELECT count(*) FROM doorlight.rejected").fetchone()
    assert size is not None
    assert rejected is not None
    found = {door: (count, distinct, first, last) for door, count, distinct, first, last in rows}
    missing = sum(max(count - found.get(door, (0, 0))[1], 0) for door, count in written.items())
    twice = sum(count - distinct for count, distinct, _, _ in found.values())
    wrong = [door for door, (_, _, first, last) in found.items() if first != 1 or last != written.get(door)]
    total = sum(count for count, *_ in found.values())
    return {
        "rows": total,
        "missing": missing,
        "twice": twice,
        "wrong_doors": len(wrong),
        "rejected": rejected[0],
        "table_bytes_per_event": round(float(size[0]) / max(total, 1)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=("mosquitto", "rabbitmq"), default="mosquitto")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="folder of a Debian 13 with rabbitmq-server (default: /)"
    )
    parser.add_argument("--doors", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second, of all doors together")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--kill-every", type=float, default=20.0, metavar="SECONDS", help="on average; 0: never (default: 20)"
    )
    parser.add_argument("--tls", action="store_true", help="TLS between doors, Mosquitto and collectors")
    parser.add_argument("--seed", type=int, default=16)
    args = parser.parse_args()
    if args.tls and args.broker != "mosquitto":
        parser.error("--tls: with Mosquitto only")
    with tempfile.TemporaryDirectory(prefix="doorlight-soak-", ignore_cleanup_errors=True) as name:
        try:
            figures = soak(args, Path(name))
        except MissingError as error:
            print(f"fleet.soak: {error}", file=sys.stderr)
            return 69
        logs = {file.name: file.read_text().splitlines()[-5:] for file in Path(name).glob("collect-*.log")}
    figures["events_per_second"] = round(
        figures["events"] / (figures["seconds"] + figures["drained_s"] + figures["settled_s"]), 1
    )
    figures["bytes_per_door_and_day"] = {
        "mqtt": round(figures["bytes_per_event"] * EVENTS_PER_DAY),
        "table": figures["table_bytes_per_event"] * EVENTS_PER_DAY,
    }
    print(json.dumps({"arguments": {**vars(args), "root": str(args.root)}, **figures}, indent=1))
    is_right = not (figures["missing"] or figures["twice"] or figures["wrong_doors"])
    if not is_right:
        print(json.dumps(logs, indent=1), file=sys.stderr)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
