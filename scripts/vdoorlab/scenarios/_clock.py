"""Clocks that jump while somebody stands at the door; shared by the clock scenarios.

"By the guest's clock" below is CLOCK_BOOTTIME, by which pins and orders are timed: it knows nothing of the clock on the wall.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vdoorlab.machine import LOG, Machine
from vdoorlab.report import Report

#: Milliseconds in 32 bits run over after 49.7 days, signed ones after 24.9.
WRAPS_S = {"2^32 ms (49.7 days)": 2**32 / 1000, "2^31 ms (24.9 days)": 2**31 / 1000}
ALARM_S = 6.0  # [policy] alarm_most_s
EVENTS = "/opt/doorlight/current/bin/doorlight events"
#: On a machine so busy that no picture comes for some tenths of a second somebody would be taken for gone, jump or not. A
#: jump by years shows with this as well.
GONE_S = 3.0
SETTINGS = f"[camera]\nsource = '/dev/video0'\n[tracker]\ngone_s = {GONE_S}\n"


@dataclass
class Clock:
    """A door whose clock is set now and then, and what was observed."""

    door: Machine
    report: Report
    jumps: list[tuple[int, int]] = field(default_factory=list)  # from the year, to the year
    green_s: list[float] = field(default_factory=list)
    dwell_s: list[float] = field(default_factory=list)  # what the log says, less gone_s and what was staged
    alarm_s: list[float] = field(default_factory=list)
    awake_s: list[float] = field(default_factory=list)

    def boot(self, wrap_s: float, after_s: float) -> dict[str, str]:
        """Boot with a clock years late, as a Raspberry Pi without network does, so that `wrap_s` comes `after_s` later."""
        self.wrap_s = wrap_s
        prepare = f'date --utc --set "2023-01-01 10:00"; printf "%s" "{SETTINGS}" >/etc/doorlight/doorlight.toml'
        self.door.boot(kernel=f"uptime={wrap_s - after_s:.0f}", early=prepare)
        service = self.door.wait_service()
        ready = float(service["ready"])
        self.report.check(
            ready < wrap_s,
            f"boot, {after_s:g} s before the monotonic clock reaches {wrap_s:.0f} s",
            "ready before",
            f"ready {wrap_s - ready:.1f} s before",
        )
        return service

    def jump(self, to: str) -> None:
        """Set the clock on the wall."""
        year = int(self.door.sh("date --utc +%Y"))
        self.door.set_clock(to)
        self.jumps.append((year, int(to[:4])))

    def passage(self, to: Sequence[str], each_s: float = 3.0, over_the_wrap: bool = False) -> None:
        """Somebody masked comes, the clock is set to each of `to`, `each_s` seconds apart, and they go.

        `over_the_wrap`: not before the monotonic clock has passed the time for which the machine was booted.
        """
        door, report = self.door, self.report
        seq = self.last_seq()
        came = door.camera.show("masked")
        green = door.wait_for("green", 10, since=came)
        for moment in to:
            self.jump(moment)
            time.sleep(each_s)
        if over_the_wrap:
            time.sleep(max(0.0, self.wrap_s + 4 - door.now()))
        left = door.camera.show("empty")
        lamps = {c.looks for c in door.changes(green.t + 0.001) if c.t < left}
        report.equal(
            lamps, {"green"}, f"somebody masked at the door, the clock is set to {', '.join(to) or 'nothing'}: lamps"
        )
        if over_the_wrap:
            report.check(
                green.t < self.wrap_s < left - 2,
                f"meanwhile the monotonic clock passes {self.wrap_s:.3f} s: when they came, when they went",
                "before, and after",
                f"{green.t - self.wrap_s:+.1f} s, {left - self.wrap_s:+.1f} s",
            )
        self.steady("off", left)
        dwell = [e["dwell_s"] for e in self.since(seq) if e["event"] == "cleared"]
        report.check(len(dwell) == 1, "they go: dwell_s of the cleared events", "one", dwell)
        self.green_s.append(green.t - came)
        self.dwell_s += [d - GONE_S - (left - came) for d in dwell]

    def alarm(self, to: str) -> None:
        """Somebody agitated comes, and in the middle of the alarm the clock is set."""
        door, report = self.door, self.report
        came = door.camera.show("agitated")
        first = door.wait_for("red+buzzer", 15, since=came)
        time.sleep(max(0.0, first.t + 2 - door.now()))
        self.jump(to)
        time.sleep(max(0.0, first.t + ALARM_S + 2 - door.now()))
        changes = door.changes(first.t + 0.001)
        sounds = [k for k, c in enumerate(changes) if c.looks == "red+buzzer"]
        last = changes[sounds[-1] + 1].t if sounds[-1] + 1 < len(changes) else door.now()
        report.equal(
            {c.looks for c in changes},
            {"red", "red+buzzer"},
            f"somebody agitated, and the clock set to {to} in the middle of the alarm: lamps",
        )
        self.alarm_s.append(last - first.t)
        self.steady("off", door.camera.show("empty"))

    def sleep(self, seconds: int) -> None:
        """The machine sleeps (suspend to idle) while somebody masked stands there, and they are there when it wakes."""
        door, report = self.door, self.report
        # The virtual machine wakes by the clock on the wall, which has to be right for that.
        self.jump(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        came = door.camera.show("masked")
        door.wait_for("green", 10, since=came)
        seq = self.last_seq()
        before = door.now()
        door.suspend(seconds)
        woke = door.now()
        again = self.steady("green", before)
        lamps = {c.looks for c in door.changes(before)}
        kinds = {e["event"] for e in self.since(seq)}
        slept = woke - before
        report.check(
            slept >= seconds - 1, f"the machine sleeps for {seconds} s", f"at least {seconds - 1} s", f"{slept:.1f} s"
        )
        # Here the monotonic clock goes on while it sleeps (a machine with real suspend stops it), so that the door wakes
        # without a picture for seconds, and may say so: FAULT.
        report.check(
            door.looks() == "green" and not lamps & {"red+buzzer"},
            "it wakes, they are still there: lamps",
            "green again",
            sorted(lamps),
        )
        report.equal(
            sorted(kinds & {"clock_set", "unmasked", "stopped", "started"}), [], "it wakes: wrong events in the log"
        )
        self.awake_s.append(max(0.0, again - woke))
        self.steady("off", door.camera.show("empty"))

    def log(self, service: dict[str, str]) -> None:
        """What the event log says of all this, and what `doorlight events --since` makes of it."""
        door, report = self.door, self.report
        found = door.events()
        seqs, ts = [e["seq"] for e in found], [e["t"] for e in found]
        report.check(
            all(b > a for a, b in itertools.pairwise(seqs)),
            "events in the log: seq",
            "strictly rising",
            f"{len(seqs)} events",
        )
        report.check(ts == sorted(ts), "events in the log: t", "never falling", f"{ts[0]} to {ts[-1]} s")
        told = [(_year(e["before"]), _year(e["time"])) for e in found if e["event"] == "clock_set"]
        report.equal(told, self.jumps, "clock_set in the log: from the year, to the year")
        # All of it happened within half an hour, whatever the clock showed.
        report.equal(self.shown("30m"), seqs, "doorlight events --since 30m: seq of what it shows")
        time.sleep(6)  # so that three seconds more or less, on a busy machine, make no difference
        mark = door.now()
        self.passage(())
        newer = [e["seq"] for e in door.events() if e["seq"] > seqs[-1]]
        ago = door.now() - mark
        report.equal(
            self.shown(f"{ago + 3:.1f}s"),
            newer,
            "the same with the seconds since the last passage began: seq of what it shows",
        )
        after = door.properties("MainPID", "NRestarts", "ActiveState")
        report.equal(
            after, {name: service[name] for name in after}, "after all of this: the service's process, restarts, state"
        )

    def steady(self, looks: str, since: float) -> float:
        """Wait until the lamps have looked so for a second; from when on they did."""

        def test() -> float | None:
            last = self.door.changes(since)[-1]
            return last.t if last.looks == looks and self.door.now() - last.t > 1 else None

        return self.door.wait_until(test, 20, lambda: f"no steady {looks}: {self.door.changes(since)[-8:]}")

    def last_seq(self) -> int:
        return max((e["seq"] for e in self.door.events()), default=0)

    def since(self, seq: int) -> list[dict[str, Any]]:
        return [e for e in self.door.events() if e["seq"] > seq]

    def shown(self, ago: str) -> list[int]:
        """The numbers of the events that the product's own command shows; it names none, but says how many, the last ones."""
        text = self.door.sh(f"{EVENTS} --since {ago} {LOG}")
        found = re.search(r"^(\d+) events?(,|$)", text, re.MULTILINE)
        seqs = [e["seq"] for e in self.door.events()]
        return seqs[len(seqs) - int(found[1]) :] if found else []


def measures(report: Report, clocks: Sequence[Clock]) -> None:
    """Put into the report what was measured."""
    green, dwell, alarm, awake = (
        [v for clock in clocks for v in getattr(clock, name)] for name in ("green_s", "dwell_s", "alarm_s", "awake_s")
    )
    report.measure("somebody masked there to green", green, "s", at_most=5)
    report.measure("dwell_s in the log, off what was staged (and gone_s) by", [abs(v) for v in dwell], "s", at_most=2)
    report.measure("from waking up to a right green", awake, "s", at_most=10)
    if alarm:
        report.measure("the alarm sounds for", alarm, "s", at_most=ALARM_S + 1)
        report.check(
            min(alarm) > ALARM_S - 1, "the alarm is not cut short", f"about {ALARM_S:g} s", f"{min(alarm):.2f} s"
        )


def _year(time_of_event: str) -> int:
    return datetime.fromisoformat(time_of_event).year
