"""The clock jumps by years while a person is at the door, the monotonic clock passes 49.7 days, the machine sleeps.

Lamps, dwell times and alarms must not change. Times are CLOCK_BOOTTIME of the guest, which wall-clock changes do not
affect. The kernel's monotonic clock starts shortly before milliseconds exceed 31 or 32 bits. The door's own clock (`t`)
starts with the service; tests/test_uptime.py takes it over the same limits.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from virtual_door.door import INSTANT_S, LOG, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

#: Milliseconds exceed 32 bits after 49.7 days, signed ones after 24.9 days.
OVERFLOWS_S = {"2^32 ms (49.7 days)": 2**32 / 1000, "2^31 ms (24.9 days)": 2**31 / 1000}
ALARM_S = 6.0  # [policy] alarm_max_s
EVENTS = "/opt/doorlight/current/bin/doorlight events"
#: On a busy host, frames may be missing for some tenths of a second; the default would then end the track. A jump of
#: the clock by years shows with this value as well.
FORGET_AFTER_S = 3.0
SETTINGS = f"[camera]\nsource = '/dev/video0'\n[tracker]\nforget_after_s = {FORGET_AFTER_S}\n"


def test_clock_jumps(lab: Lab, report: Report) -> None:
    """Two jumps, over the overflow of 32 bits, and three seconds of sleep."""
    with lab.door(data_mb=32) as door:
        clock = ClockJumps(door, report)
        service = clock.boot(OVERFLOWS_S["2^32 ms (49.7 days)"], before_s=40)
        clock.visit(["2026-11-20 20:00", "1999-01-01 00:00"], over_the_overflow=True)
        clock.sleep(3)
        clock.check_log(service)
        _add_to_report(report, [clock])


@pytest.mark.slow
def test_many_clock_jumps(lab: Lab, report: Report) -> None:
    """Jumps between 1980 and 2099, also during alarms, over both overflows, and ten seconds of sleep."""
    clocks: list[ClockJumps] = []
    for overflow_s in OVERFLOWS_S.values():
        with lab.door(data_mb=32) as door:
            clock = ClockJumps(door, report)
            service = clock.boot(overflow_s, before_s=90)
            clock.visit(["2026-11-20 20:00", "1999-01-01 00:00", "2099-12-31 23:59:58"], over_the_overflow=True)
            clock.alarm("1980-01-01 00:00")
            clock.alarm("2036-02-07 06:28:10")  # the seconds of NTP overflow
            clock.visit(["2038-01-19 03:14:06"])  # signed 32-bit seconds overflow
            clock.sleep(10)
            clock.check_log(service)
            clocks.append(clock)
    _add_to_report(report, clocks)


@dataclass
class ClockJumps:
    """Set the clock of a door, check lamps and events, and collect what is measured."""

    door: Door
    report: Report
    overflow_s: float = 0.0
    jumps: list[tuple[int, int]] = field(default_factory=list)  # from year, to year
    green_after_s: list[float] = field(default_factory=list)
    dwell_errors_s: list[float] = field(default_factory=list)
    alarm_durations_s: list[float] = field(default_factory=list)
    awake_after_s: list[float] = field(default_factory=list)

    def boot(self, overflow_s: float, before_s: float) -> dict[str, str]:
        """Boot `before_s` seconds before the monotonic clock reaches `overflow_s`. The wall clock is years late, like
        that of a Raspberry Pi without a network. Return the service's properties."""
        self.overflow_s = overflow_s
        prepare = f'date --utc --set "2023-01-01 10:00"; printf "%s" "{SETTINGS}" >/etc/doorlight/doorlight.toml'
        self.door.boot(kernel=f"uptime={overflow_s - before_s:.0f}", early=prepare)
        service = self.door.wait_ready()
        ready = float(service["ready"])
        done = f"boot, {before_s:g} s before the monotonic clock reaches {overflow_s:.0f} s"
        self.report.check(ready < overflow_s, done, "ready before", f"ready {overflow_s - ready:.1f} s before")
        return service

    def jump(self, to: str) -> None:
        """Set the wall clock."""
        year = int(self.door.sh("date --utc +%Y"))
        self.door.set_clock(to)
        self.jumps.append((year, int(to[:4])))

    def visit(self, jumps: Sequence[str], each_s: float = 3.0, over_the_overflow: bool = False) -> None:
        """A masked person comes, the clock is set to each of `jumps`, `each_s` seconds apart, and the person goes.

        `over_the_overflow`: the person stays until the monotonic clock has passed `overflow_s`.
        """
        door, report = self.door, self.report
        seq = door.last_seq()
        came = door.camera.show("masked")
        green = door.wait_for_lamps("green", 10, since=came)
        for moment in jumps:
            self.jump(moment)
            time.sleep(each_s)
        if over_the_overflow:
            time.sleep(max(0.0, self.overflow_s + 4 - door.now()))
        left = door.camera.show("empty")
        lamps = {c.lamps for c in door.pin_changes(green.t + INSTANT_S) if c.t < left}
        done = f"masked person at the door, the clock is set to {', '.join(jumps) or 'nothing'}: lamps"
        report.equal(lamps, {"green"}, done)
        if over_the_overflow:
            report.check(
                green.t < self.overflow_s < left - 2,
                f"meanwhile the monotonic clock passes {self.overflow_s:.3f} s: arrival, departure",
                "before, and after",
                f"{green.t - self.overflow_s:+.1f} s, {left - self.overflow_s:+.1f} s",
            )
        self._wait_steady("off", left)
        dwell = [e["dwell_s"] for e in self._events_after(seq) if e["event"] == "cleared"]
        report.check(len(dwell) == 1, "the person goes: dwell_s of the cleared events", "one", dwell)
        self.green_after_s.append(green.t - came)
        self.dwell_errors_s += [abs(d - (left - came)) for d in dwell]

    def alarm(self, to: str) -> None:
        """An agitated person comes, and the clock is set during the alarm."""
        door, report = self.door, self.report
        came = door.camera.show("agitated")
        first = door.wait_for_lamps("red+buzzer", 15, since=came)
        time.sleep(max(0.0, first.t + 2 - door.now()))
        self.jump(to)
        time.sleep(max(0.0, first.t + ALARM_S + 2 - door.now()))
        changes = door.pin_changes(first.t + INSTANT_S)
        sounds = [k for k, c in enumerate(changes) if c.lamps == "red+buzzer"]
        end = changes[sounds[-1] + 1].t if sounds[-1] + 1 < len(changes) else door.now()
        done = f"agitated person, the clock is set to {to} during the alarm: lamps"
        report.equal({c.lamps for c in changes}, {"red", "red+buzzer"}, done)
        self.alarm_durations_s.append(end - first.t)
        self._wait_steady("off", door.camera.show("empty"))

    def sleep(self, seconds: int) -> None:
        """The machine sleeps (suspend to idle) while a masked person stands at the door."""
        door, report = self.door, self.report
        # The wall clock wakes the virtual machine, so it must be right.
        self.jump(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        came = door.camera.show("masked")
        door.wait_for_lamps("green", 10, since=came)
        seq = door.last_seq()
        before = door.now()
        door.suspend(seconds)
        woke = door.now()
        green_again = self._wait_steady("green", before)
        lamps = {c.lamps for c in door.pin_changes(before)}
        kinds = {e["event"] for e in self._events_after(seq)}
        done = f"the machine sleeps for {seconds} s"
        report.check(woke - before >= seconds - 1, done, f"at least {seconds - 1} s", f"{woke - before:.1f} s")
        # In this machine the monotonic clock runs during sleep (real suspend stops it), so the door wakes without
        # frames for seconds and may show FAULT.
        is_right = door.lamps() == "green" and "red+buzzer" not in lamps
        report.check(is_right, "after sleep, the person still there: lamps", "green again", sorted(lamps))
        wrong = sorted(kinds & {"clock_set", "unmasked", "stopped", "started"})
        report.equal(wrong, [], "after sleep: wrong events in the log")
        self.awake_after_s.append(max(0.0, green_again - woke))
        self._wait_steady("off", door.camera.show("empty"))

    def check_log(self, service: dict[str, str]) -> None:
        """Check the event log and `doorlight events --since` after all jumps."""
        door, report = self.door, self.report
        events = door.events()
        seqs, ts = [e["seq"] for e in events], [e["t"] for e in events]
        increases = all(b > a for a, b in itertools.pairwise(seqs))
        report.check(increases, "events in the log: seq", "strictly increasing", f"{len(seqs)} events")
        report.check(ts == sorted(ts), "events in the log: t", "never decreases", f"{ts[0]} to {ts[-1]} s")
        logged = [(_year(e["before"]), _year(e["time"])) for e in events if e["event"] == "clock_set"]
        report.equal(logged, self.jumps, "clock_set in the log: from year, to year")
        # All events happened within half an hour, whatever the wall clock showed.
        report.equal(self._seqs_since("30m"), seqs, "doorlight events --since 30m: seq of its events")
        time.sleep(6)  # on a busy host, three seconds more or less then make no difference
        mark = door.now()
        self.visit(())
        newer = [e["seq"] for e in door.events() if e["seq"] > seqs[-1]]
        ago_s = door.now() - mark
        done = "doorlight events --since the last visit: seq of its events"
        report.equal(self._seqs_since(f"{ago_s + 3:.1f}s"), newer, done)
        after = door.properties("MainPID", "NRestarts", "ActiveState")
        expected = {name: service[name] for name in after}
        report.equal(after, expected, "at the end: PID, restarts and state of the service")

    def _wait_steady(self, lamps: str, since: float) -> float:
        """Wait until the lamps have not changed for a second. Return the time of their last change."""

        def steady_since() -> float | None:
            last = self.door.pin_changes(since)[-1]
            return last.t if last.lamps == lamps and self.door.now() - last.t > 1 else None

        text = f"{lamps} is not steady; the lamps"
        return self.door.wait_until(steady_since, 20, lambda: f"{text}: {self.door.pin_changes(since)[-8:]}")

    def _events_after(self, seq: int) -> list[dict[str, Any]]:
        return [e for e in self.door.events() if e["seq"] > seq]

    def _seqs_since(self, duration: str) -> list[int]:
        """Return `seq` of the events that `doorlight events --since` prints.

        It prints no seq, but the number of events.
        """
        text = self.door.sh(f"{EVENTS} --since {duration} {LOG}")
        count = re.search(r"^(\d+) events?(,|$)", text, re.MULTILINE)
        seqs = [e["seq"] for e in self.door.events()]
        return seqs[len(seqs) - int(count[1]) :] if count else []


def _add_to_report(report: Report, clocks: Sequence[ClockJumps]) -> None:
    """Add what was measured to the report."""

    def all_of(name: str) -> list[float]:
        return [value for clock in clocks for value in getattr(clock, name)]

    report.measure("masked person to green", all_of("green_after_s"), "s", at_most=5)
    name = "dwell_s in the log minus the staged time, absolute"
    report.measure(name, all_of("dwell_errors_s"), "s", at_most=2)
    report.measure("end of sleep to green", all_of("awake_after_s"), "s", at_most=10)
    if alarms := all_of("alarm_durations_s"):
        report.measure("duration of the alarm", alarms, "s", at_most=ALARM_S + 1)
        shortest = min(alarms)
        report.check(shortest > ALARM_S - 1, "shortest alarm", f"about {ALARM_S:g} s", f"{shortest:.2f} s")


def _year(iso_time: str) -> int:
    return datetime.fromisoformat(iso_time).year
