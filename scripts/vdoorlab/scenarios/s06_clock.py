"""The clock jumps by years to and fro, also in the middle of alarms; 24.9 and 49.7 days; sleep: no lamp, dwell or alarm minds.

The kernel's own monotonic clock is made to begin shortly before the time at which milliseconds no longer fit into 31 or 32
bits. The source's own clock (`t`), which begins with the service, is taken over the same brinks by tests/test_uptime.py.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._clock import WRAPS_S, Clock, measures

QUICK = False


def run(lab: Lab, report: Report) -> None:
    clocks: list[Clock] = []
    for wrap_s in WRAPS_S.values():
        with lab.door(data_mb=32) as door:
            clock = Clock(door, report)
            service = clock.boot(wrap_s, after_s=90)
            clock.passage(["2026-11-20 20:00", "1999-01-01 00:00", "2099-12-31 23:59:58"], over_the_wrap=True)
            clock.alarm("1980-01-01 00:00")
            clock.alarm("2036-02-07 06:28:10")  # NTP's own seconds run over here
            clock.passage(["2038-01-19 03:14:06"])  # and those of 32 bits
            clock.sleep(10)
            clock.log(service)
            clocks.append(clock)
    measures(report, clocks)
