"""Every way for a Coral to go wrong, in use and at the start: the CPU serves within 1 s, events and status say so, then back.

The library is a stand-in (tests/fake_libedgetpu.c), a real TFLite delegate that fails, hangs, crashes or aborts on order;
the device a file that the door takes for a Coral. What real hardware does beyond that is not shown here.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._coral import behave, cannot_start, fails, plug, prepare, serves

QUICK = False
IN_USE = {"fail": "failed", "hang": "no answer in 0.5 s", "crash": "killed by signal 11", "abort": "killed by signal 6"}
AT_START = {"load-crash": "killed by signal 11", "absent": "", "load-hang": "hangs when it is probed"}


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        door.boot(service=False)
        prepare(door)
        for how, reason in AT_START.items():
            cannot_start(door, report, how, reason)
        behave(door, "ok")
        door.camera.show("empty")
        door.start_service()
        plug(door, True)  # late, as at boot
        serves(door)
        for how, reason in IN_USE.items():
            fails(door, report, how, reason)
