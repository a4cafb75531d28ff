"""Measure what the page costs the door: nobody watches, viewers, hostile clients, explanations, memory.

    python -m speed.page                              # all parts, 3 rounds
    python -m speed.page --only quiet --old FOLDER    # beside an older checkout, in turn
    python -m speed.page --only memory --seconds 3600

Each round runs a door on the demo video as a camera with 30 frames/s, and the page's process beside it. The door's main
thread has realtime priority if that is allowed, because a busy machine is no property of the door; the page, its clients
and explanations have none. Processor time is that of the door's process, in per cent of a core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from edge.view import protocol
from edge.web import server
from speed.compare import CLIP
from speed.target import TargetResult

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("quiet", "viewers", "hostile", "why", "memory")
#: Targets: frame to pin, and what three viewers may cost the door.
MAX_P99_MS, MAX_VIEWERS_PERCENT = 33.0, 3.0
VIEWERS, SLOW_LORIS, BROKEN = 3, 30, 10_000
#: Growth that is not different from noise (MB).
MAX_GROWTH_MB = 3.0


class Run:
    """One door and, with `page`, its page; `result` is what watched_door prints."""

    def __init__(self, folder: Path, seconds: float, enabled: bool, checkout: Path = ROOT) -> None:
        self.settings = folder / "door.toml"
        self.settings.write_text("[web]\nenabled = true\n" if enabled else "")
        self.socket = folder / "doorlight" / protocol.SOCKET_NAME
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "scripts")]),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_STATE_HOME": str(folder),
        }
        command = [sys.executable, ROOT / "scripts/speed/watched_door.py", CLIP, self.settings, seconds]
        self._door = subprocess.Popen(
            [str(word) for word in command], env=self.environment, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    @contextlib.contextmanager
    def page(self) -> Iterator[tuple[int, str, int]]:
        """Yield the page's port, token and process."""
        with server.open_socket("127.0.0.1", 0) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "edge", "web", "--for", "4h", "--listen", address]
        command += ["--config", str(self.settings), "--events", f"{self.settings}.log"]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True, cwd="/") as page:
            assert page.stdout is not None
            link = next(line for line in page.stdout if "token=" in line)
            try:
                yield int(address.rpartition(":")[2]), link.strip().partition("token=")[2], page.pid
            finally:
                page.terminate()

    def result(self) -> dict[str, Any]:
        """Wait for the end of the door."""
        out, _ = self._door.communicate()
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    @property
    def is_running(self) -> bool:
        return self._door.poll() is None


# ---- Clients ---------------------------------------------------------------------------------------------------------


def view(run: Run, port: int, token: str, frames: list[int]) -> None:
    """Watch the live page as a browser does, until the door ends."""
    number = "0"
    while run.is_running:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        with contextlib.suppress(OSError, HTTPException):
            while run.is_running:
                connection.request("GET", f"/live/next?after={number}", headers={"Cookie": f"doorlight-token={token}"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    number = answer.getheader("Doorlight-Number", "0")
                    frames.append(1)
                elif answer.status == 429:
                    time.sleep(1)
        connection.close()


def stall(run: Run) -> None:
    """Watch over the socket, and read nothing."""
    while run.is_running:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(run.socket))
            client.sendall(protocol.WATCH)
            while run.is_running:
                time.sleep(0.5)
        time.sleep(0.2)


def drip(run: Run, port: int) -> None:
    """Send a request byte by byte, on many connections."""
    while run.is_running:
        clients = []
        with contextlib.suppress(OSError):
            for _ in range(SLOW_LORIS):
                client = socket.create_connection(("127.0.0.1", port), 5)
                clients.append(client)
            for letter in b"GET /live HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 1000:
                if not run.is_running:
                    break
                time.sleep(0.5)
                for client in clients:
                    client.send(bytes([letter]))
        for client in clients:
            client.close()


def break_requests(run: Run, port: int, counts: dict[str, int]) -> None:
    """Send broken requests to the page and to the socket, the same ones each time."""
    chance = random.Random(15)
    whole = b"POST /why/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nform_key=1&stage=mask"
    asked = protocol.WATCH + protocol.encode_request({"id": 1, "ask": "explain", "stage": "mask", "t": 1.5})
    for _ in range(BROKEN):
        if not run.is_running:
            break
        for name, text in (("http", whole), ("socket", asked)):
            data = bytearray(text if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 200)))
            for _ in range(chance.randrange(5)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            with contextlib.suppress(OSError):
                if name == "http":
                    client = socket.create_connection(("127.0.0.1", port), 5)
                else:
                    client = socket.socket(socket.AF_UNIX)
                with client:
                    client.settimeout(5)
                    if name == "socket":
                        client.connect(str(run.socket))
                    client.sendall(bytes(data[: chance.randrange(len(data) + 1)]))
            counts[name] = counts.get(name, 0) + 1


def ask_why(run: Run, answers: list[str]) -> None:
    """Ask for an explanation of the newest frame, again and again, and faster than the door explains."""
    while run.is_running:
        with contextlib.suppress(OSError, ValueError, struct.error), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(run.socket))
            client.sendall(protocol.WATCH)
            reader = client.makefile("rb")
            asked_at = 0.0
            while run.is_running:
                first, second = protocol.HEADER.unpack(reader.read(protocol.HEADER.size))
                values = json.loads(reader.read(first & ~protocol.ANSWER))
                reader.read(second)
                if first & protocol.ANSWER:
                    answers.append(values["state"])
                if time.monotonic() - asked_at > 0.4:
                    asked_at = time.monotonic()
                    client.sendall(protocol.encode_request({"id": 1, "ask": "explain", "stage": "mask"}))


# ---- Parts -----------------------------------------------------------------------------------------------------------


def measure(
    seconds: float, enabled: bool, parts: Sequence[str] = (), checkout: Path = ROOT
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a door for some seconds with these clients; return its result, and what the clients and the page say."""
    said: dict[str, Any] = {"frames": [], "answers": [], "counts": {}, "page_mb": []}
    with tempfile.TemporaryDirectory(prefix="page") as name, contextlib.ExitStack() as stack:
        run = Run(Path(name), seconds, enabled, checkout)
        threads: list[threading.Thread] = []

        def start(function: Any, *arguments: object) -> None:
            threads.append(threading.Thread(target=function, args=(run, *arguments), daemon=True))
            threads[-1].start()

        if parts:
            port, token, page = stack.enter_context(run.page())
            for _ in range(VIEWERS):
                start(view, port, token, said["frames"])
            start(_sample, page, said["page_mb"])
            if "hostile" in parts:
                start(stall)
                start(drip, port)
                start(break_requests, port, said["counts"])
            if "why" in parts:
                start(ask_why, said["answers"])
        result = run.result()
        for thread in threads:
            thread.join(30)
    return result, said


def _sample(run: Run, page: int, found: list[float]) -> None:
    """Note the memory of the page now and then."""
    while run.is_running:
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{page}/statm").read_text().split()[1])
            found.append(round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1))
        for _ in range(20):
            if run.is_running:
                time.sleep(0.5)


def _spread(results: Sequence[dict[str, Any]], key: str) -> str:
    values = sorted(result[key] for result in results)
    return f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def _median(results: Sequence[dict[str, Any]], key: str) -> float:
    return float(sorted(result[key] for result in results)[len(results) // 2])


def check_quiet(seconds: float, rounds: int, old: Path | None) -> list[TargetResult]:
    """Compare doors that nobody watches: off, on, and an older one, in turn."""
    found: dict[str, list[dict[str, Any]]] = {"off": [], "on": [], "old": []}
    for _ in range(rounds):
        if old is not None:
            found["old"].append(measure(seconds, False, checkout=old)[0])
        found["off"].append(measure(seconds, False)[0])
        found["on"].append(measure(seconds, True)[0])
    texts = [
        f"{name}: {_spread(each, 'cpu_percent')} % of a core, p99 {_spread(each, 'p99_ms')} ms"
        for name, each in found.items()
        if each
    ]
    before = found["old"] or found["off"]
    spread = max(r["cpu_percent"] for r in before) - min(r["cpu_percent"] for r in before)
    grown = _median(found["on"], "cpu_percent") - _median(before, "cpu_percent")
    met = grown <= max(spread, 0.5) and _median(found["on"], "p99_ms") <= MAX_P99_MS
    return [TargetResult("nobody watches: processor time and p99 unchanged", "; ".join(texts), met)]


def check_clients(part: str, seconds: float, rounds: int) -> list[TargetResult]:
    """Compare a watched door with one that nobody watches, in turn."""
    quiet, busy = [], []
    said: dict[str, Any] = {}
    for _ in range(rounds):
        quiet.append(measure(seconds, True)[0])
        result, said = measure(seconds, True, (part,))
        busy.append(result)
    cost = _median(busy, "cpu_percent") - _median(quiet, "cpu_percent")
    rate = len(said["frames"]) / VIEWERS / seconds
    text = (
        f"door +{cost:.2f} % of a core; p99 {_spread(busy, 'p99_ms')} ms, at most {_spread(busy, 'max_ms')}, "
        f"unwatched {_spread(quiet, 'p99_ms')}; {rate:.1f} frames/s a viewer"
    )
    if said["counts"]:
        text += f"; {said['counts']} broken requests"
    if said["answers"]:
        states = {state: said["answers"].count(state) for state in sorted(set(said["answers"]))}
        text += f"; answers {states}"
    met = _median(busy, "p99_ms") <= MAX_P99_MS and (part != "viewers" or cost <= MAX_VIEWERS_PERCENT)
    names = {
        "viewers": "three viewers: ≤ 3 % of a core, p99 ≤ 33 ms",
        "hostile": "and a stalled reader, slow-loris clients, broken requests: p99 ≤ 33 ms",
        "why": "and explanations without a pause: p99 ≤ 33 ms",
    }
    return [TargetResult(names[part], text, met)]


def check_memory(seconds: float) -> list[TargetResult]:
    """Watch the memory of door and page under viewers, hostile clients and explanations."""
    result, said = measure(seconds, True, ("hostile", "why"))
    targets = []
    for name, values in (("door", result["rss_mb"]), ("page", said["page_mb"])):
        settled = values[len(values) // 4 :]
        growth = settled[-1] - settled[0]
        text = f"{settled[0]:.1f} to {settled[-1]:.1f} MB, at most {max(values):.1f}, in {seconds:g} s"
        targets.append(TargetResult(f"memory of the {name} is flat", text, growth <= MAX_GROWTH_MB))
    return targets


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a target is not met."""
    parser = argparse.ArgumentParser(prog="speed.page", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (default: all)")
    parser.add_argument("--old", type=Path, metavar="FOLDER", help="an older checkout to compare with (default: none)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each run (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind, in turn (default: 3)")
    args = parser.parse_args(argv)
    is_met = True
    for part in args.only or PARTS:
        if part == "quiet":
            targets = check_quiet(args.seconds, args.rounds, args.old)
        elif part == "memory":
            targets = check_memory(args.seconds)
        else:
            targets = check_clients(part, args.seconds, args.rounds)
        for target in targets:
            print(f"{target.target:72} {'yes' if target.met else 'NO':4} {target.measured}", flush=True)
            is_met &= bool(target.met)
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
