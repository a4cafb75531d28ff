"""The same, 50 times: at work, and while the machine still boots."""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._power import Plug

QUICK = False
CUTS = 50
IN_BOOT = 4  # every fourth


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=64) as door:
        plug = Plug(door, report)
        for k in range(1, CUTS + 1):
            if k % IN_BOOT:
                plug.cut_while_it_works()
            else:
                plug.cut_while_it_boots()
        plug.last_boot()
        plug.state()
