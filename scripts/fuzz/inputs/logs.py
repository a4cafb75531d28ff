"""Broken event logs: read them, append to them, follow them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .breaking import broken, written
from .cases import MAX_MIB, Case, Material, Random, kind
from .names import impossible

TIMES = (
    "2026-11-20T19:34:46.000Z",
    "2026-11-20T19:34:46",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01",
    "1583-01-01T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "20261120T193446Z",
    "",
    "\x1b[2J",
)
ODD_JSON = (
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "-1",
    "0",
    "9223372036854775808",
    "1" * 4000,
    "9" * 4300,
    "1" * 5000,
    '"\\ud800"',
    '"\\u001b[2J"',
    '"\\n"',
    '"' + "x" * 20_000 + '"',
    "[" * 300 + "]" * 300,
    "[" * 985 + "]" * 985,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 950 + "1" + "}" * 950,
    "{}",
    "[]",
    '""',
    '"\u202e"',
)
EVENTS = ("started", "signal", "unmasked", "cleared", "camera_lost", "log_lost", "log_repaired", "stopped", "new_one")


def log_text(rng: Random, seq: int = 1, longest: int = 1 << 27) -> bytes:
    """Return a log with errors, or bytes that resemble one, with a line of up to `longest` bytes."""
    many = 200_000 if longest > 1 << 22 else 2000
    what = rng.randrange(14)
    if what == 0:
        return rng.choice(
            (b"", b"\n", b"\n" * many, b"{}\n" * (many // 10), b"\0" * 100_000, rng.randbytes(5000), b"x", b"{")
        )
    if what == 1:
        return (
            rng.choice((b"{", b'{"event":"', b"[" * 30, b"\0"))
            + b"x" * rng.choice((1 << 20, 1 << 22, longest))
            + rng.choice((b"", b"\n"))
        )
    lines = []
    for number in range(seq, seq + rng.choice((1, 3, 10, 40))):
        line: dict[str, object] = {"seq": number, "time": "2026-11-20T19:34:46.000Z", "t": number / 10}
        line |= {"event": rng.choice(EVENTS), "person": 1, "evidence": -1.5, "signal": "STOP", "count": 3}
        text = json.dumps(line)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            key = rng.choice(("seq", "time", "t", "event", "signal", "person", "count", "extra\x1b[2J"))
            value = json.dumps(rng.choice(TIMES)) if key == "time" and rng.random() < 0.8 else rng.choice(ODD_JSON)
            text = text[:-1] + f", {json.dumps(key)}: {value}}}"
        lines.append(text.encode("utf-8", "surrogatepass"))
    data = b"\n".join(lines) + rng.choice((b"\n", b"\n", b"\n", b"", b"\r\n", b"\n\0\0\0\0"))
    if rng.random() < 0.5:
        data = broken(rng, data, (b"\xff\xfe", b"\x1b[2J", b"\n", b"\xed\xa0\x80"))
    if rng.random() < 0.05:
        data = data.decode("utf-8", "replace").encode("utf-16")
    return data


def _logs(rng: Random) -> str:
    """Write a broken log, sometimes with rotated files, and return its name."""
    written("x.jsonl", log_text(rng, 100))
    for ending in (".1", ".2", ".3", ".01", ".1٣", ".999999999999999999999", ".1.gz"):
        if rng.random() < 0.15:
            name = f"x.jsonl{ending}"
            if rng.random() < 0.2:
                impossible(rng, os.fsencode(name))
            else:
                written(name, log_text(rng))
    return "x.jsonl"


@kind(share=24)
def log(rng: Random, material: Material) -> Case:
    """`events` of a broken log."""
    argv = ["events", _logs(rng)]
    if rng.random() < 0.3:
        argv += ["--since", rng.choice(("1h", "0s", "9" * 300 + "d", "1" * 400 + "s", "1.5m"))]
    if rng.random() < 0.3:
        argv += ["--kind", rng.choice(EVENTS)]
    return Case(argv, frozenset({0, 66}))


@kind(share=10)
def repair(rng: Random, material: Material) -> Case:
    """A door appends to a broken log: at the end its last line is complete, and seq increases."""
    path = _logs(rng)
    before = Path(path).stat().st_size
    still = written("x.jpg", material.pictures["small.jpg"])

    def check() -> Iterator[str]:
        data = Path(path).read_bytes()
        if not data.endswith(b"\n"):
            yield "the log ends with an incomplete line"
        # Between the two, the person in the picture is decided.
        last = [json.loads(line) for line in data.rstrip(b"\n").split(b"\n")[-4:]]
        if [last[0]["event"], last[-1]["event"]] != ["started", "stopped"]:
            yield f"the log ends with {last}"
        if not 0 < last[0]["seq"] < last[1]["seq"] < 1 << 53:
            yield f"seq does not increase: {last}"

    def check_if_changed() -> Iterator[str]:
        # A file that is no log is not changed, and reported.
        return iter(()) if Path(path).stat().st_size == before else check()

    argv = ["run", "--simulate", "--source", still, "--events", path]
    return Case(argv, frozenset({0, 74}), max_mib=MAX_MIB, check=check_if_changed)


@kind(share=3, waits=True)
def follow(rng: Random, material: Material) -> Case:
    """`events --follow` of a log that grows by random bytes, is truncated, and is rotated."""
    path = _logs(rng)

    @contextlib.contextmanager
    def writing() -> Iterator[None]:
        def work() -> None:
            for _ in range(rng.randrange(1, 12)):
                time.sleep(0.05)
                with contextlib.suppress(OSError):
                    what = rng.randrange(6)
                    if what <= 3:
                        with open(path, "ab") as file:
                            file.write(log_text(rng, 1000, 1 << 22))
                    elif what == 4:
                        os.truncate(path, rng.randrange(2000))
                    else:
                        os.rename(path, f"{path}.1")

        thread = threading.Thread(target=work)
        thread.start()
        yield
        thread.join()

    return Case(
        ["events", "--follow", path], frozenset({0, 66, 130}), stop_s=1.5, stop_by=(signal.SIGINT,), around=writing
    )
