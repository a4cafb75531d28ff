"""Each pin taken by another program, the chip missing at boot and taken away at work: said, never green, well by itself.

No chip at boot, for as long as several starts of the service. Taken away while green is lit (no Raspberry Pi does that) and
brought back. With a second chip before it, so that the number changes: the header's is known by its label.
"""

from __future__ import annotations

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._gpio import BUZZER, GREEN, RED, UNBIND, chip, held, missing, refusals
from vdoorlab.scenarios._process import green

QUICK = False


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        _at_boot(door, report)
        _at_work(door, report)
        door.sh("systemctl stop doorlight", 40)
        missing(door, report, for_s=20)
        _another_number(door, report)
        door.sh("systemctl stop doorlight", 40)
        for pin, key in ((GREEN, "green"), (RED, "red"), (BUZZER, "buzzer")):
            held(door, report, pin, key)


def _at_boot(door: Machine, report: Report) -> None:
    door.boot(camera={"show": "masked"}, early=f"echo header >{UNBIND}")
    door.wait_until(lambda: len(refusals(door, 0)) >= 3, 90, "it was not started three times")
    door.properties("NRestarts")
    report.equal(
        {c.looks for c in door.changes(1)} & {"green", "red"}, set(), "no chip at boot: the lamps that were lit"
    )
    came = chip(door, True)
    lit = door.wait_for("green", 60, since=came)
    report.measure("no chip at boot, then it comes: green after", lit.t - came, "s", at_most=40)


def _at_work(door: Machine, report: Report) -> None:
    green(door)
    restarts = int(door.properties("NRestarts")["NRestarts"])
    gone = chip(door, False)
    door.camera.show("unmasked")
    door.wait_until(lambda: int(door.properties("NRestarts")["NRestarts"]) > restarts, 40, "it does not notice")
    said = refusals(door, gone)
    report.check(
        "the lights fail" in said[0], "the chip is taken away at work: the journal", "the lights fail: …", said[0]
    )
    came = chip(door, True)
    red = door.wait_for("red", 60, since=came)
    report.equal(
        {c.looks for c in door.changes(came)} - {"off", "no chip"}, {"red"}, "back, somebody unmasked: lamps lit"
    )
    report.measure("the chip is back: red after", red.t - came, "s", at_most=40)
    door.camera.show("masked")
    green(door)


def _another_number(door: Machine, report: Report) -> None:
    """A second chip (made through configfs) takes the first number while the header's is away."""
    door.sh("systemctl stop doorlight", 40)
    chip(door, False)
    door.sh(
        "mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config; cd /sys/kernel/config/gpio-sim; "
        "mkdir -p other/bank0; echo 8 >other/bank0/num_lines; echo other >other/bank0/label; echo 1 >other/live"
    )
    t = chip(door, True)
    names = door.sh("for c in /sys/bus/gpio/devices/gpiochip*; do echo $(basename $c); done; ls /dev/gpiochip*").split()
    door.sh("systemctl start --no-block doorlight")
    lit = door.wait_for("green", 60, since=t)
    report.check(lit.looks == "green", "the header's chip has another number", "green all the same", ", ".join(names))
