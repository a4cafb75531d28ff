"""Cold boot, then a masked, an unmasked and an agitated person: the pins go as they should, and how soon.

The machine is switched on with somebody masked before the camera, again with nobody there, and shown one after the other.
Measured: from power-on, and from the service's start, to READY and to the first right lamp.
"""

from __future__ import annotations

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = True
BOOTS = 3


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        _boots(door, report)
        _people(door, report)


def _boots(door: Machine, report: Report) -> None:
    """Somebody masked waits while the machine boots."""
    ready, started, lit, first = [], [], [], []
    for _ in range(BOOTS):
        door.boot(camera={"show": "masked"})
        service = door.wait_service()
        green = door.wait_for("green", 60, since=0)
        before = [c for c in door.changes() if c.t < green.t and c.looks not in ("off", "no chip")]
        started.append(door.since_power_on(float(service["started"])))
        ready.append(door.since_power_on(float(service["ready"])))
        lit.append(door.since_power_on(green.t))
        first.append(green.t - float(service["started"]))
        report.equal(
            [c.looks for c in before], [], "power on, somebody masked at the door: lamps lit before the first green"
        )
        door.power_cut()
    report.check(len(lit) == BOOTS, "power on, somebody masked at the door", "green", f"{len(lit)} times green", BOOTS)
    report.measure("power-on to the service's start", started, "s")
    report.measure("power-on to READY", ready, "s")
    # No limits: how long an emulated machine takes to boot says nothing about a Raspberry Pi.
    report.measure("power-on to the first right lamp", lit, "s")
    report.measure("the service's start to the first right lamp", first, "s")


def _people(door: Machine, report: Report) -> None:
    """Nobody, then one after the other, each with nobody in between."""
    door.boot(wait_for="ready")
    report.equal(door.looks(), "off", "booted with nobody at the door: the lamps")
    delays: dict[str, list[float]] = {}
    for clip, looks in (("masked", "green"), ("unmasked", "red"), ("agitated", "red+buzzer")):
        shown = door.camera.show(clip)
        lit = door.wait_for(looks, 10, since=shown)
        delays.setdefault(looks, []).append(lit.t - shown)
        gone = door.camera.show("empty")
        off = door.wait_for("off", 20, since=gone)
        lamps = {c.looks for c in door.changes(shown)}
        report.equal(
            lamps,
            {"off", looks} | ({"red"} if clip == "agitated" else set()),
            f"{clip} at the door, then nobody: lamps",
        )
        delays.setdefault("off", []).append(off.t - gone)
    for looks, values in delays.items():
        report.measure(f"somebody {'gone' if looks == 'off' else 'there'} to {looks}", values, "s", at_most=5)
    report.equal([e for e in door.events() if "damaged" in e], [], "damaged lines in the event log")
