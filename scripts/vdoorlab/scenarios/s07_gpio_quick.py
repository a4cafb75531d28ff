"""A pin is taken by another program, the chip is missing and comes later: said in one line, never green, well by itself.

The short form, a pin and a chip each once: see s07_gpio.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._gpio import GREEN, held, missing

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        door.boot(camera={"show": "masked"}, service=False)
        held(door, report, GREEN, "green")
        missing(door, report, for_s=1)
