"""Cut the power of a door again and again, and compare its logs with records that are kept outside the machine.

The door prints one line an event; systemd's journal forwards it to the console, which is a file on the host, with
times. So the events of a machine without power are known without its disk. A second program (guest/hammer.py) writes
many more events through the product's `EventLog`, recorded in the same way; two more programs follow both logs while
they grow.
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

from edge.events.text import describe_without_time
from edge.events.write_ahead import missing
from virtual_door import clips, logwrites
from virtual_door.agent_client import MachineError
from virtual_door.door import CONFIG, STATE, Door, rotation_number
from virtual_door.report import Report

#: The door guarantees that an event is on disk after this time.
MAX_LOST_S = 1.0
#: A boot may be slow on a busy host.
BOOT_S = 240.0
PYTHON = "/opt/doorlight/current/bin/python"
CONSOLE = "systemd.journald.forward_to_console=1"
_EVENT_LINE = re.compile(r"\[ *(\d+\.\d+)\] doorlight\[\d+\]: +\d+\.\d\d s  (.*)")
_TIMESTAMP = re.compile(r"\[ *(\d+\.\d+)\] ", re.MULTILINE)


@dataclass
class LogRecord:
    """What is known outside the machine about one log, over all power cuts; `faults` lists everything that is wrong."""

    name: str
    file: str
    expected: list[tuple[float, str]] = field(default_factory=list)  # since the last cut: time and text of each event
    lines: list[bytes] = field(default_factory=list)  # complete lines, as the last boot found them
    line_of_seq: dict[int, bytes] = field(default_factory=dict)  # all lines ever seen
    faults: list[str] = field(default_factory=list)
    lost_ages_s: list[float] = field(default_factory=list)  # for each cut: age of the oldest lost event
    torn: int = 0
    events: int = 0
    cuts: int = 0

    def add_fault(self, text: str) -> None:
        self.faults.append(f"cut {self.cuts}, {self.name}: {text}")

    def add_followed(self, text: str) -> None:
        """Add the output of guest/follower.py; its last line may be incomplete."""
        for line in text.split("\n")[:-1]:
            self._add_seq(line.partition(" ")[2].encode() + b"\n")

    def _add_seq(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            seq = json.loads(line)["seq"]
            if self.line_of_seq.setdefault(seq, line) != line:
                self.add_fault(f"seq {seq} was used twice: {self.line_of_seq[seq]!r}, {line!r}")

    def check_after_cut(self, cut_at: float, folder: Path) -> None:
        """Compare with the log that the next boot found in `folder`, after a power cut at `cut_at`."""
        self.lines = self.compare(cut_at, folder, self.expected, self.lines)
        self.expected = []

    def compare(
        self, cut_at: float, folder: Path, expected: Sequence[tuple[float, str]], before: list[bytes]
    ) -> list[bytes]:
        """Compare the log in `folder`, as a power cut at `cut_at` has left it, and return its complete lines.

        `expected`: the events from power-on to the cut; `before`: the lines that were on disk at power-on.
        """
        self.cuts += 1
        lines, rest = read_log(folder / self.file)
        events = [parse(line) for line in lines]
        # An incomplete end may contain a line break; no complete line may follow it.
        while events and events[-1] is None:
            rest = lines.pop() + rest
            events.pop()
        self.torn += bool(rest)
        for line, event in zip(lines, events, strict=True):
            if event is None:
                self.add_fault(f"a damaged line between others: {line!r}")
        seqs = [event["seq"] for event in events if event is not None]
        if any(b <= a for a, b in pairwise(seqs)):
            self.add_fault(f"seq does not increase: {[(a, b) for a, b in pairwise(seqs) if b <= a][:5]}")
        for line in lines:
            self._add_seq(line)
        if lines[: len(before)] != before:
            lost = [line for line in before if line not in lines]
            self.add_fault(f"{len(lost)} lines that were on disk at power-on are missing: {lost[:2]}")
        new = [
            text_of(event)
            for event in events[len(before) :]
            if event is not None and not event["event"].startswith("log_")
        ]
        self._compare_new(cut_at, new, expected)
        return lines

    def _compare_new(self, cut_at: float, new: Sequence[str], expected: Sequence[tuple[float, str]]) -> None:
        """Compare the events that are new in the log with the expected ones: only the newest may be missing."""
        for found, (t, text) in zip(new, expected, strict=False):
            if found != text:
                self.add_fault(f"the event at {t:.3f} s is {text!r}, in the log it is {found!r}")
                break
        age_s = max(0.0, cut_at - expected[len(new)][0]) if len(new) < len(expected) else 0.0
        self.lost_ages_s.append(age_s)
        if age_s > MAX_LOST_S:
            self.add_fault(
                f"of {len(expected)} events, those from number {len(new)} on are missing; the oldest was {age_s:.2f} s old"
            )
        self.events += len(new)


def read_log(path: Path) -> tuple[list[bytes], bytes]:
    """Return the complete lines of a log, rotated files included, oldest first, and the rest after the last line
    break. Lines that only the write-ahead file has are among them: the next start restores them."""
    files = sorted(path.parent.glob(f"{path.name}*"), key=rotation_number, reverse=True)
    parts = [file.read_bytes() for file in files]
    if path.exists():
        with path.open("rb") as file:
            lost = missing(file.fileno(), path)
        if lost is not None:
            end = lost.position + len(lost.lines)
            parts[-1] = parts[-1][: lost.position] + lost.lines + parts[-1][end:]
    *lines, rest = b"".join(parts).split(b"\n")
    return [line + b"\n" for line in lines], rest


def parse(line: bytes) -> dict[str, Any] | None:
    """Parse a line of a log; None if it is damaged."""
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and isinstance(event.get("seq"), int) and isinstance(event.get("event"), str):
            return event
    return None


def text_of(event: dict[str, Any]) -> str:
    """Return an event as it is recorded outside the machine."""
    return str(event["n"]) if event["event"] == "hammered" else describe_without_time(event)


def make_rush_clip(door: Door) -> None:
    """Make the clip "rush": people come and go as fast as the door can decide."""
    frames = clips.video()
    empty = frames[clips.EMPTY[0] : clips.EMPTY[1] + 1]
    pictures = []
    for first, last in clips.STANDING.values():
        pictures += [*empty, *empty[:5], *frames[first : last + 1]]
    clips.write(door.session / "frames" / "rush.yuyv", pictures)


class PowerCuts:
    """A door whose power is cut again and again.

    `cache`: its disk has a cache that a power cut empties (dm-log-writes). `no_fsync`: os.fsync and os.fdatasync do
    nothing, and writes are not direct, in the door and in the hammer. `options`: mount options of the disk.
    """

    def __init__(
        self, door: Door, report: Report, *, cache: bool = False, no_fsync: bool = False, options: str = ""
    ) -> None:
        self.door = door
        self.report = report
        self.records = [LogRecord("the door's log", "events.jsonl"), LogRecord("the hammer's log", "hammer.jsonl")]
        self.lit_after_s: list[float] = []
        self.wrong_lamps: list[str] = []
        self.cuts = 0
        self.rng = random.Random(20261120)
        self.write_log = door.session / "writes.log"
        self.disk_at_boot = door.session / "base.ext4"
        self._has_cache, self._no_fsync, self._options = cache, no_fsync, options
        self._console_offset = self._hammer_starts = 0
        self._cut_at: float | None = None
        make_rush_clip(door)
        self._boot(service=False)
        # Small files, so that some cuts happen during a rotation; all files are kept.
        door.sh(f"printf '[events]\\nrotate_bytes = 4096\\nkeep_files = 1000\\n' >>{CONFIG}; cat {CONFIG}")
        if no_fsync:
            folder = "/etc/systemd/system/doorlight.service.d"
            door.sh(f"mkdir -p {folder} /opt/broken")
            door.write(f"{folder}/broken.conf", "[Service]\nEnvironment=PYTHONPATH=/opt/broken\n")
            # Direct writes need no sync on a disk without a cache.
            broken = "import os\nos.fsync = os.fdatasync = lambda file: None\nos.O_DIRECT = 0\n"
            door.write("/opt/broken/sitecustomize.py", broken)
        door.sh("sync")
        door.power_off()

    def _boot(self, **settings: Any) -> None:
        """Power on. Afterwards the folder at_boot holds the log as it was on disk."""
        kernel, early, data = CONSOLE, "", "/dev/ubdb"
        if self._has_cache:
            shutil.copyfile(self.door.session / "data.ext4", self.disk_at_boot)
            with self.write_log.open("wb") as file:
                file.truncate(256 << 20)
            kernel += f" ubd2={self.write_log}"
            early = 'dmsetup create data --table "0 $(blockdev --getsz /dev/ubdb) log-writes /dev/ubdb /dev/ubdc"'
            data = "/dev/mapper/data"
        self._console_offset = (self.door.session / "console.log").stat().st_size if self.cuts else 0
        settings = {"within_s": BOOT_S, **settings}
        self.door.boot(kernel=kernel, early=early, data=data, data_options=self._options, **settings)

    def _check(self) -> None:
        """Compare the log that this boot found with the records of the time before the last cut."""
        if self._cut_at is not None:
            for record in self.records:
                record.check_after_cut(self._cut_at, self.door.session / "at_boot")
            self._cut_at = None

    def cut_during_boot(self) -> None:
        """Power on, and cut the power before the boot is complete."""
        try:
            self._boot(camera={"show": "rush"}, within_s=self.rng.uniform(0.5, 15))
        except MachineError:
            pass
        else:
            self._check()
        self._cut()

    def cut_at_work(self) -> None:
        """Boot, check the lamps, let events happen for some seconds, cut the power."""
        clip, lamps = self.rng.choice((("masked", "green"), ("unmasked", "red")))
        self._boot(camera={"show": clip})
        self._check()
        self._start_writers()
        lit = self.door.wait_for_lamps(lamps, BOOT_S, since=0)
        self.lit_after_s.append(self.door.since_power_on(lit.t))
        earlier = [c.lamps for c in self.door.pin_changes() if c.t < lit.t]
        self.wrong_lamps += [found for found in earlier if found not in ("off", "no chip")]
        self.door.camera.show("rush")
        time.sleep(self.rng.uniform(0, 6) if not self._no_fsync else 8)
        self._cut()

    def _start_writers(self) -> None:
        """Start the hammer and the programs that follow both logs."""
        self._hammer_starts += 1
        environment = "env PYTHONPATH=/opt/broken " if self._no_fsync else ""
        log, first = f"{STATE}/hammer.jsonl", self._hammer_starts * 10**6
        self.door.spawn(f"exec {environment}{PYTHON} -B /root/vdoor/guest/hammer.py {log} {first}", "hammer.log")
        for name, path in (("door.log", f"{STATE}/events.jsonl"), ("hammered.log", log)):
            self.door.spawn(["/usr/bin/python3", "-I", "-B", "/root/vdoor/guest/follower.py", path], name)
        if self._has_cache:
            self.door.spawn(["/usr/bin/python3", "-I", "-B", "/root/vdoor/guest/marks.py", "data"], "marks.log")

    def _cut(self) -> None:
        last_answer = _guest_time(self.door) if self.door.is_on else 0.0
        self.door.power_cut()
        self.cuts += 1
        with (self.door.session / "console.log").open("rb") as file:
            file.seek(self._console_offset)
            console = file.read().decode(errors="replace").replace("\r", "")
        out = self.door.session / "out"
        # The machine was on at least until its last sign of life.
        signs_of_life = [float(t) for t in _TIMESTAMP.findall(console)[-1:]]
        door, hammer = self.records
        door.expected += [(float(t), text.rstrip()) for t, text in _EVENT_LINE.findall(console)]
        for line in _complete_lines(out / "hammer.log"):
            t, number = line.split()
            hammer.expected.append((float(t), number))
        signs_of_life += [t for t, _ in hammer.expected[-1:]]
        # After a second cut without a check, the events before the first cut are at least as old as they were then.
        self._cut_at = max([self._cut_at or 0.0, last_answer, *signs_of_life])
        for record, name in ((door, "door.log"), (hammer, "hammered.log")):
            with contextlib.suppress(FileNotFoundError):
                record.add_followed((out / name).read_text(errors="replace"))
        for log in out.glob("*.log"):
            log.unlink()
        if self._has_cache and self.write_log.read_bytes()[:1]:
            self._empty_disk_cache()

    def _empty_disk_cache(self) -> None:
        """Rebuild the disk without the writes that were not flushed."""
        disk = bytearray(self.disk_at_boot.read_bytes())
        with contextlib.suppress(ValueError):  # the power was cut before the log began: nothing was written
            logwrites.apply(disk, logwrites.entries(self.write_log))
        (self.door.session / "data.ext4").write_bytes(disk)

    def boot_last(self) -> None:
        """Boot once more, check the log, and wait until the service is ready."""
        self._boot(camera={"show": "masked"})
        self._check()
        self.door.wait_for_lamps("green", BOOT_S, since=0)
        self.door.wait_ready(BOOT_S)
        damaged = [event for event in self.door.events() if "damaged" in event]
        self.report.equal(damaged, [], "after the last cut, the door runs: damaged lines in its log")

    def add_to_report(self) -> None:
        """Add the results of all cuts to the report."""
        for record in self.records:
            what = f"power cut at a random moment, {record.name} ({record.events} events)"
            expected = "complete lines, seq increases, all events older than a second"
            self.report.check(not record.faults, what, expected, _summary(record.faults), record.cuts)
            name = f"{record.name}: age of the oldest event lost at a cut"
            self.report.measure(name, record.lost_ages_s, "s", MAX_LOST_S)
            self.report.note(f"{record.name}: {record.torn} of {record.cuts} cuts left an incomplete last line.")
        what = "boot after a power cut with a person at the door: lamps before the right one"
        self.report.equal(self.wrong_lamps, [], what, len(self.lit_after_s))
        self.report.measure("power-on after a cut to the right lamp", self.lit_after_s, "s")


def _guest_time(door: Door) -> float:
    """Return a time that the guest's clock has reached."""
    with contextlib.suppress(MachineError):
        return float(door.ask({"do": "hello"}, 10)["boottime"])
    return 0.0


def _complete_lines(path: Path) -> Sequence[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _summary(faults: Sequence[str]) -> str:
    return f"{len(faults)} faults: " + "; ".join(faults[:3]) if faults else "as expected"
