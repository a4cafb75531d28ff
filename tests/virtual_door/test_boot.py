"""Boot the door and let three persons come."""

from __future__ import annotations

import pytest

from virtual_door.door import Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

BOOTS = 3


def test_cold_boot(lab: Lab, report: Report) -> None:
    """Cold boot with a masked person at the door, then masked, unmasked and agitated persons: lamps and delays.

    Measured are the times from power-on, and from the start of the service, to READY and to the first right lamp.
    """
    with lab.door() as door:
        _boots(door, report)
        _people(door, report)


def _boots(door: Door, report: Report) -> None:
    """A masked person waits while the machine boots."""
    ready, started, lit, lit_after_start = [], [], [], []
    for _ in range(BOOTS):
        door.boot(camera={"show": "masked"})
        service = door.wait_ready()
        green = door.wait_for_lamps("green", 60, since=0)
        wrong = [c.lamps for c in door.pin_changes() if c.t < green.t and c.lamps not in ("off", "no chip")]
        started.append(door.since_power_on(float(service["started"])))
        ready.append(door.since_power_on(float(service["ready"])))
        lit.append(door.since_power_on(green.t))
        lit_after_start.append(green.t - float(service["started"]))
        report.equal(wrong, [], "power on with a masked person at the door: lamps before the first green")
        door.power_cut()
    done = "power on with a masked person at the door"
    report.check(len(lit) == BOOTS, done, "green", f"{len(lit)} times green", BOOTS)
    # No limits: the boot time of an emulated machine says nothing about a Raspberry Pi.
    report.measure("power-on to the start of the service", started, "s")
    report.measure("power-on to READY", ready, "s")
    report.measure("power-on to the first right lamp", lit, "s")
    report.measure("start of the service to the first right lamp", lit_after_start, "s")


def _people(door: Door, report: Report) -> None:
    """One person after the other, with nobody in between."""
    door.boot(wait_for="ready")
    report.equal(door.lamps(), "off", "booted with nobody at the door: the lamps")
    delays: dict[str, list[float]] = {}
    for clip, lamps in (("masked", "green"), ("unmasked", "red"), ("agitated", "red+buzzer")):
        shown = door.camera.show(clip)
        lit = door.wait_for_lamps(lamps, 10, since=shown)
        delays.setdefault(lamps, []).append(lit.t - shown)
        gone = door.camera.show("empty")
        off = door.wait_for_lamps("off", 20, since=gone)
        seen = {c.lamps for c in door.pin_changes(shown)}
        expected = {"off", lamps} | ({"red"} if clip == "agitated" else set())
        report.equal(seen, expected, f"{clip} at the door, then nobody: lamps")
        delays.setdefault("off", []).append(off.t - gone)
    for lamps, values in delays.items():
        report.measure(f"person {'gone' if lamps == 'off' else 'there'} to {lamps}", values, "s", at_most=5)
    report.equal([e for e in door.events() if "damaged" in e], [], "damaged lines in the event log")
