"""A Coral that serves, then crashes or hangs while somebody comes: the CPU decides in time, and it comes back.

The short form, with a stand-in for the library (a real TFLite delegate): see s09_coral.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._coral import behave, fails, plug, prepare

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        door.boot(service=False)
        prepare(door)
        behave(door, "ok")
        plug(door, True)
        door.start_service()
        fails(door, report, "crash", "killed by signal 11")
        fails(door, report, "hang", "no answer in 0.5 s")
