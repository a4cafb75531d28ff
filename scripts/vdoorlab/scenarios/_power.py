"""Power cuts, and the books that are kept of them outside the machine; shared by the scenarios that pull the plug.

What the door says of itself (one line an event) goes from systemd's journal to the console, and so to a file on the host,
with times: that is known of a cut-off machine without asking its disk. A second program writes many more events through
the product's own `EventLog`, told in the same way; two more read both logs as they grow.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge.events import words
from vdoorlab import clips, logwrites
from vdoorlab.machine import STATE, Machine, MachineError
from vdoorlab.report import Report

#: On the disk within a second of happening: what the door promises.
PROMISE_S = 1.0
#: A loaded machine takes its time.
BOOT_S = 240.0
CONFIG = "/etc/doorlight/doorlight.toml"
PYTHON = "/opt/doorlight/current/bin/python"
CONSOLE = "systemd.journald.forward_to_console=1"
_TOLD = re.compile(r"\[ *(\d+\.\d+)\] doorlight\[\d+\]: +\d+\.\d\d s  (.*)")
_STAMP = re.compile(r"\[ *(\d+\.\d+)\] ", re.MULTILINE)


@dataclass
class Book:
    """What is known of one log from outside, over all power cuts; `faults` says what should not be."""

    name: str
    file: str
    told: list[tuple[float, str]] = field(default_factory=list)  # since the last cut: when, and what
    lines: list[bytes] = field(default_factory=list)  # whole lines, as the last boot found them
    numbers: dict[int, bytes] = field(default_factory=dict)  # every line ever seen, by its seq
    faults: list[str] = field(default_factory=list)
    missing: list[float] = field(default_factory=list)  # at each cut: age of the oldest event that was lost, seconds
    torn: int = 0
    written: int = 0
    cuts: int = 0

    def fault(self, text: str) -> None:
        self.faults.append(f"cut {self.cuts}, {self.name}: {text}")

    def followed(self, text: str) -> None:
        """Take in what somebody saw who followed the log; the last line may be a half one."""
        for line in text.split("\n")[:-1]:
            self._number(line.partition(" ")[2].encode() + b"\n")

    def _number(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            seq = json.loads(line)["seq"]
            if self.numbers.setdefault(seq, line) != line:
                self.fault(f"seq {seq} was given twice: {self.numbers[seq]!r}, {line!r}")

    def cut(self, at: float, folder: Path) -> None:
        """Compare with what the next boot finds in `folder`, after the power was cut at `at`."""
        self.lines = self.compare(at, folder, self.told, self.lines)
        self.told = []

    def compare(self, at: float, folder: Path, told: Sequence[tuple[float, str]], before: list[bytes]) -> list[bytes]:
        """The log's whole lines in `folder`, as a power cut at `at` has left it, against what is known of it.

        `told`: what was told from power-on to the cut; `before`: the lines that were there at power-on.
        """
        self.cuts += 1
        lines, rest = read(folder / self.file)
        found = [parsed(line) for line in lines]
        # A torn end may hold a line break by chance: what counts is that nothing whole comes after it.
        while found and found[-1] is None:
            rest = lines.pop() + rest
            found.pop()
        self.torn += bool(rest)
        for line, event in zip(lines, found, strict=True):
            if event is None:
                self.fault(f"a damaged line amid others: {line!r}")
        seqs = [event["seq"] for event in found if event is not None]
        if any(b <= a for a, b in pairwise(seqs)):
            self.fault(f"seq does not rise: {[(a, b) for a, b in pairwise(seqs) if b <= a][:5]}")
        for line in lines:
            self._number(line)
        if lines[: len(before)] != before:
            lost = [line for line in before if line not in lines]
            self.fault(f"{len(lost)} lines are gone that were there at power-on: {lost[:2]}")
        fresh = [
            key(event) for event in found[len(before) :] if event is not None and not event["event"].startswith("log_")
        ]
        for there, (t, text) in zip(fresh, told, strict=False):
            if there != text:
                self.fault(f"{text!r} was told at {t:.3f} s, in its place there is {there!r}")
                break
        age = max(0.0, at - told[len(fresh)][0]) if len(fresh) < len(told) else 0.0
        self.missing.append(age)
        if age > PROMISE_S:
            self.fault(
                f"of {len(told)} events told, those from the {len(fresh)}th on are missing; the oldest was {age:.2f} s old"
            )
        self.written += len(fresh)
        return lines


def read(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a log, rotated files too, the oldest first; and what comes after the last line break."""
    files = sorted(path.parent.glob(f"{path.name}*"), key=lambda p: -int(p.suffix[1:]) if p.suffix[1:].isdigit() else 0)
    *lines, rest = b"".join(file.read_bytes() for file in files).split(b"\n")
    return [line + b"\n" for line in lines], rest


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line of a log; None if it is damaged."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and isinstance(event.get("seq"), int) and isinstance(event.get("event"), str):
            return event
    return None


def key(event: dict[str, Any]) -> str:
    """What is told of an event."""
    return str(event["n"]) if event["event"] == "hammered" else words(event)


def rush(door: Machine) -> None:
    """A clip named "rush": people come and go as fast as the door can decide about them."""
    frames = clips.video()
    empty = frames[clips.EMPTY[0] : clips.EMPTY[1] + 1]
    pictures = []
    for first, last in clips.STANDING.values():
        pictures += [*empty, *empty[:5], *frames[first : last + 1]]
    clips.write(door.session / "frames" / "rush.yuyv", pictures)


class Plug:
    """A door whose plug is pulled again and again.

    `cache`: its disk has a cache that a power cut empties (dm-log-writes). `broken`: fsync does nothing, in the door and in
    the hammer. `options`: for mount.
    """

    def __init__(
        self, door: Machine, report: Report, *, cache: bool = False, broken: bool = False, options: str = ""
    ) -> None:
        self.door = door
        self.report = report
        self.books = [Book("the door's log", "events.jsonl"), Book("the hammer's log", "hammer.jsonl")]
        self.lit: list[float] = []
        self.dark: list[str] = []
        self.cuts = 0
        self.chance = random.Random(20261120)
        self._cache, self._broken, self._options = cache, broken, options
        self.writes = door.session / "writes.log"
        self.base = door.session / "base.ext4"
        self._console = self._hammered = 0
        self._cut_at: float | None = None
        rush(door)
        self._boot(service=False)
        # Small files, so that cuts fall between two of them, and none is thrown away.
        door.sh(f"printf '[events]\\nrotate_bytes = 4096\\nkeep = 1000\\n' >>{CONFIG}; cat {CONFIG}")
        if broken:
            folder = "/etc/systemd/system/doorlight.service.d"
            door.sh(f"mkdir -p {folder} /opt/broken")
            door.write(f"{folder}/broken.conf", "[Service]\nEnvironment=PYTHONPATH=/opt/broken\n")
            door.write("/opt/broken/sitecustomize.py", "import os\nos.fsync = os.fdatasync = lambda file: None\n")
        door.sh("sync")
        door.power_off()

    def _boot(self, **settings: Any) -> None:
        """Switch on; what the disk holds is in at_boot then."""
        kernel, early, data = CONSOLE, "", "/dev/ubdb"
        if self._cache:
            shutil.copyfile(self.door.session / "data.ext4", self.base)
            with self.writes.open("wb") as file:
                file.truncate(256 << 20)
            kernel += f" ubd2={self.writes}"
            early = 'dmsetup create data --table "0 $(blockdev --getsz /dev/ubdb) log-writes /dev/ubdb /dev/ubdc"'
            data = "/dev/mapper/data"
        self._console = (self.door.session / "console.log").stat().st_size if self.cuts else 0
        settings = {"within_s": BOOT_S, **settings}
        self.door.boot(kernel=kernel, early=early, data=data, data_options=self._options, **settings)

    def _check(self) -> None:
        """Compare what the boot has found with what was told before the last cut."""
        if self._cut_at is not None:
            for book in self.books:
                book.cut(self._cut_at, self.door.session / "at_boot")
            self._cut_at = None

    def cut_while_it_boots(self) -> None:
        """Switch on, and off again before it is up."""
        try:
            self._boot(camera={"show": "rush"}, within_s=self.chance.uniform(0.5, 15))
        except MachineError:
            pass
        else:
            self._check()
        self._cut()

    def cut_while_it_works(self) -> None:
        """Boot, see that the light is right, let events flow for some seconds, pull the plug."""
        clip, looks = self.chance.choice((("masked", "green"), ("unmasked", "red")))
        self._boot(camera={"show": clip})
        self._check()
        self.hammer()
        lit = self.door.wait_for(looks, BOOT_S, since=0)
        self.lit.append(self.door.since_power_on(lit.t))
        self.dark += [c.looks for c in self.door.changes() if c.t < lit.t and c.looks not in ("off", "no chip")]
        self.door.camera.show("rush")
        time.sleep(self.chance.uniform(0, 6) if not self._broken else 8)
        self._cut()

    def hammer(self) -> None:
        """Start the second writer, and those who follow both logs."""
        self._hammered += 1
        wrapped = "env PYTHONPATH=/opt/broken " if self._broken else ""
        log = f"{STATE}/hammer.jsonl"
        self.door.spawn(
            f"exec {wrapped}{PYTHON} -B /root/vdoor/guest/hammer.py {log} {self._hammered * 10**6}", "hammer.log"
        )
        for name, path in (("door.log", f"{STATE}/events.jsonl"), ("hammered.log", log)):
            self.door.spawn(["/usr/bin/python3", "-I", "-B", "/root/vdoor/guest/follower.py", path], name)
        if self._cache:
            self.door.spawn(["/usr/bin/python3", "-I", "-B", "/root/vdoor/guest/marks.py", "data"], "marks.log")

    def _cut(self) -> None:
        latest = _guest_time(self.door) if self.door.on else 0.0
        self.door.power_cut()
        self.cuts += 1
        with (self.door.session / "console.log").open("rb") as file:
            file.seek(self._console)
            console = file.read().decode(errors="replace").replace("\r", "")
        out = self.door.session / "out"
        # It lived at least until the last thing that was heard of it.
        heard = [float(t) for t in _STAMP.findall(console)[-1:]]
        door, hammer = self.books
        door.told += [(float(t), text.rstrip()) for t, text in _TOLD.findall(console)]
        for line in _whole_lines(out / "hammer.log"):
            t, number = line.split()
            hammer.told.append((float(t), number))
        heard += [t for t, _ in hammer.told[-1:]]
        # Cut off once more before anybody looked: what was told before the first cut is as old as it was then, at least.
        self._cut_at = max([self._cut_at or 0.0, latest, *heard])
        for book, name in ((door, "door.log"), (hammer, "hammered.log")):
            with contextlib.suppress(FileNotFoundError):
                book.followed((out / name).read_text(errors="replace"))
        for file in out.glob("*.log"):
            file.unlink()
        if self._cache and self.writes.read_bytes()[:1]:
            self._empty_the_cache()

    def _empty_the_cache(self) -> None:
        """The disk forgets what it was not told to flush."""
        disk = bytearray(self.base.read_bytes())
        with contextlib.suppress(ValueError):  # cut off before there was a log: as it was
            logwrites.lay(disk, logwrites.entries(self.writes))
        (self.door.session / "data.ext4").write_bytes(disk)

    def last_boot(self) -> None:
        """Boot once more, look at everything, and let the service say that it is well."""
        self._boot(camera={"show": "masked"})
        self._check()
        self.door.wait_for("green", BOOT_S, since=0)
        self.door.wait_service(BOOT_S)
        damaged = [event for event in self.door.events() if "damaged" in event]
        self.report.equal(damaged, [], "after the last cut, the door runs: damaged lines in its log")

    def state(self) -> None:
        """State in the report what became of it."""
        for book in self.books:
            what = f"power cut at a random moment, {book.name} ({book.written} events)"
            self.report.check(
                not book.faults,
                what,
                "whole lines, seq rising, all before the last second",
                _some(book.faults),
                book.cuts,
            )
            self.report.measure(f"{book.name}: age of the oldest event lost at a cut", book.missing, "s", PROMISE_S)
            self.report.note(f"{book.name}: {book.torn} of {book.cuts} cuts left a torn last line.")
        self.report.equal(
            self.dark,
            [],
            "boot after a power cut with somebody at the door: lamps lit before the right one",
            len(self.lit),
        )
        self.report.measure("power-on after a cut to the right lamp", self.lit, "s")


def _guest_time(door: Machine) -> float:
    """A time that the guest's clock has surely reached."""
    with contextlib.suppress(MachineError):
        return float(door.ask({"do": "hello"}, 10)["boottime"])
    return 0.0


def _whole_lines(path: Path) -> Sequence[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _some(faults: Sequence[str]) -> str:
    return f"{len(faults)} faults: " + "; ".join(faults[:3]) if faults else "as expected"
