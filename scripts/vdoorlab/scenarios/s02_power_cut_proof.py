"""The test of the test: a log that is not synced, and a disk that is not told to flush, must be found out.

The same cuts as in power_cut, in a machine where os.fsync does nothing (door and hammer); and as in power_cut_cache, on a disk
that was mounted without barriers, so that ext4 never tells it to empty its cache. Both must show events missing that were
older than a second; where they do not, the other scenarios prove nothing.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._power import PROMISE_S, Plug

QUICK = False
CUTS = 2


def run(lab: Lab, report: Report) -> None:
    cases = {
        "os.fsync does nothing": {"broken": True},
        "mounted with barrier=0, on a disk with a cache": {"cache": True, "options": "-o barrier=0"},
    }
    for what, how in cases.items():
        with lab.door(data_mb=32) as door:
            plug = Plug(door, report, **how)
            for _ in range(CUTS):
                plug.cut_while_it_works()
            plug.last_boot()
        for book in plug.books:
            late = max(book.missing)
            seen = (
                f"{len(book.faults)} faults, the oldest event lost was {late:.1f} s old; {'; '.join(book.faults[:1])}"
            )
            report.check(
                late > PROMISE_S and book.faults, f"{what}: {book.name} after power cuts", "found out", seen, CUTS
            )
