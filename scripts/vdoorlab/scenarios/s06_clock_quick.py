"""The clock jumps by years, the machine sleeps, the monotonic clock passes 49.7 days: no lamp, dwell or alarm minds.

The short form: see clock. The kernel's own clocks begin 49.7 days after power-on, less 40 s.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._clock import WRAPS_S, Clock, measures

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        clock = Clock(door, report)
        service = clock.boot(WRAPS_S["2^32 ms (49.7 days)"], after_s=40)
        clock.passage(["2026-11-20 20:00", "1999-01-01 00:00"], over_the_wrap=True)
        clock.sleep(3)
        clock.log(service)
        measures(report, [clock])
