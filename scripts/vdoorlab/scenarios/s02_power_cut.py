"""Power cuts at random moments while events flow: no line damaged, nothing missing that is older than 1 s, seq never repeats.

The short form, with few cuts: see power_cut_many.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._power import Plug

QUICK = True
CUTS = 4


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        plug = Plug(door, report)
        for _ in range(CUTS):
            plug.cut_while_it_works()
        plug.last_boot()
        plug.state()
