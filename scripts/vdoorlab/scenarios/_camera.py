"""A camera that fails with somebody before it: what the lamps do meanwhile and afterwards; shared by the camera scenarios."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

from vdoorlab.machine import Change, Machine
from vdoorlab.report import Report

#: With the camera's default settings (timeout_s = 2): from the last picture worth the name until the door says so.
FAULT_S = 3.0
#: Back-off grows to 8 s (reopen_most_s), then somebody has to be decided about; on a busy machine all that takes longer.
BACK_S = 30.0


@dataclass(frozen=True)
class Failure:
    """A way of failing: the orders that begin and end it, and a word of the reason that the event log must give."""

    name: str
    begin: dict[str, Any]
    end: dict[str, Any]
    reason: str


UNPLUGGED = Failure("unplugged (the feeder lets go)", {"plugged": False}, {"plugged": True}, "/dev/video0")
HUNG = Failure("hung: there, but without pictures", {"hang": True}, {"hang": False}, "no new picture")
FROZEN = Failure("frozen: one picture for ever", {"freeze": True}, {"freeze": False}, "frozen")
BLACK = Failure("covered: black", {"show": "black"}, {"show": "masked"}, "the picture is black")
BRIGHT = Failure("blinded: white", {"show": "bright"}, {"show": "masked"}, "the picture is white")


@dataclass
class Watch:
    """Somebody masked stands before a door whose camera fails; collects what is measured."""

    door: Machine
    report: Report
    fault_s: dict[str, list[float]] = field(default_factory=dict)
    green_s: dict[str, list[float]] = field(default_factory=dict)
    back_s: dict[str, list[float]] = field(default_factory=dict)

    def fails(self, failure: Failure, for_s: float) -> None:
        """Green; then the camera fails, and after `for_s` seconds of FAULT it is well again."""
        door, report, name = self.door, self.report, f"camera {failure.name}"
        seq = self._last_seq()
        self._steady("green")
        began = door.now()
        door.camera.order(**failure.begin)
        fault = door.wait_for("red", FAULT_S + 10, since=began)
        time.sleep(max(0.0, fault.t + for_s - door.now()))
        mended = door.now()
        door.camera.order(**failure.end)
        door.wait_for("green", BACK_S, since=mended)
        changes = door.changes(began)
        # The lamps may have been off for a moment before: nobody is seen in a black picture.
        dark = next(c.t for c in changes if c.looks != "green")
        green = next(c.t for c in changes if c.t >= mended and c.looks == "green")
        blind = [c for c in door.changes(fault.t + 0.001) if c.t < mended]
        report.equal(
            sorted({c.looks for c in blind}), ["off", "red"], f"{name}: lamps from FAULT until it is well again"
        )
        report.check(
            len(blind) >= 2 * for_s - 2,
            f"{name}: red blinks, half a second on, half off",
            "so",
            f"{len(blind)} changes in {for_s:g} s",
        )
        events = [e for e in door.events() if e.get("seq", 0) > seq]
        kinds = [e["signal"] if e["event"] == "signal" else e["event"] for e in events]
        told = [kind for kind in kinds if kind in ("camera_lost", "FAULT", "camera_back", "PASS", "STOP", "ALARM")]
        told = told[told.index("camera_lost") :] if "camera_lost" in told else told
        report.equal(told, ["camera_lost", "FAULT", "camera_back", "PASS"], f"{name}: events")
        lost = next((e for e in events if e["event"] == "camera_lost"), {})
        report.check(
            failure.reason in lost.get("reason", ""), f"{name}: the reason", f"… {failure.reason} …", lost.get("reason")
        )
        self.fault_s.setdefault(failure.name, []).append(fault.t - began)
        self.green_s.setdefault(failure.name, []).append(dark - began)
        self.back_s.setdefault(failure.name, []).append(green - mended)

    def measures(self) -> None:
        """Put into the report what was measured."""
        for name, values in self.fault_s.items():
            self.report.measure(f"camera {name}: until FAULT", values, "s", at_most=FAULT_S)
        for name, values in self.green_s.items():
            self.report.measure(f"camera {name}: green stayed lit for", values, "s", at_most=FAULT_S)
        for name, values in self.back_s.items():
            self.report.measure(f"camera {name}: from being well again to the right light", values, "s", at_most=BACK_S)

    def slow(self, fps: float, seconds: float) -> None:
        """A camera that gives only `fps` pictures a second: the door decides, and keeps what it decided."""
        door, report, name = self.door, self.report, f"{fps:g} pictures a second"
        seq = self._last_seq()
        door.camera.order(show="empty", fps=fps)
        self._steady("off")
        for clip, looks in (("masked", "green"), ("unmasked", "red")):
            shown = door.camera.show(clip)
            lit = door.wait_for(looks, 15, since=shown)
            time.sleep(seconds)
            then = door.now()
            changes = [c for c in door.changes(lit.t + 0.001) if c.t < then]
            lasts = [b.t - a.t for a, b in itertools.pairwise([*changes, Change(then, "")])]
            share = sum(s for c, s in zip(changes, lasts, strict=True) if c.looks == looks) / sum(lasts)
            # A picture that comes 0.2 s late makes the pause longer than [tracker] gone_s: they are somebody new, and for a
            # moment nobody is decided.
            report.check(
                {c.looks for c in changes} <= {looks, "off"} and share > 0.7,
                f"{name}, {clip}: lamps for {seconds:g} s after the first {looks}",
                f"{looks} or off, {looks} for most of the time",
                f"{sorted({c.looks for c in changes})}, {looks} for {share:.0%}",
            )
            report.measure(f"{name}: {clip} at the door to {looks}", lit.t - shown, "s", at_most=6)
            gone = door.camera.show("empty")
            off = door.wait_for("off", 15, since=gone)
            report.measure(f"{name}: nobody there to off", off.t - gone, "s", at_most=6)
        kinds = {e["event"] for e in door.events() if e.get("seq", 0) > seq}
        report.equal(
            sorted(kinds & {"camera_lost", "camera_back"}), [], f"{name}: camera_lost or camera_back in the log"
        )
        door.camera.fps(15)

    def _steady(self, looks: str) -> None:
        """Wait until the lamps have looked so for a second, as is to be before a failure begins."""

        def test() -> bool:
            last = self.door.changes()[-1]
            return last.looks == looks and self.door.now() - last.t > 1

        self.door.wait_until(test, BACK_S, lambda: f"no steady {looks}; the lamps: {self.door.changes()[-8:]}")

    def _last_seq(self) -> int:
        return max((e.get("seq", 0) for e in self.door.events()), default=0)


def same_process(door: Machine, report: Report, before: dict[str, str]) -> None:
    """State whether the service is the process that it was."""
    after = door.properties("MainPID", "NRestarts", "ActiveState")
    report.equal(
        {name: after[name] for name in after},
        {name: before[name] for name in after},
        "after all of this: the service's process, restarts, state",
    )
