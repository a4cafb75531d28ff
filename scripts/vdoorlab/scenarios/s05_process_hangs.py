"""Every way for the process to hang: red blinks within seconds, the watchdog ends it, and the journal says where it was.

Stopped (SIGSTOP), a dead loop, a deadlock, an inference that never comes back, with Python's lock (GIL) and without. While it
hangs other threads of it run on (camera, Edge TPU, event log), and none of them feeds the watchdog.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._process import HANGS_S, SIGSTOP, arm, order, pids, send, trouble

QUICK = False
#: What is ordered, and what the journal must show of it.
HANGS = {
    "loop": "in loop",
    "deadlock": "in deadlock",
    "inference_hangs_alone": "in <lambda>",
    "inference_hangs_and_keeps_the_gil": "in <lambda>",
}
BACK_S = 60


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        arm(door)
        door.start_service()
        trouble(
            door, report, "stopped (SIGSTOP)", lambda: send(door, SIGSTOP, pids(door)[0]),
            result="watchdog", safe_within_s=HANGS_S, back_within_s=BACK_S,
        )  # fmt: skip
        for fault, where in HANGS.items():
            what = fault.replace("_", " ")
            said = trouble(
                door, report, what, lambda fault=fault: order(door, fault),
                result="watchdog", safe_within_s=HANGS_S, back_within_s=BACK_S,
            )  # fmt: skip
            report.check(
                "Fatal Python error: Aborted" in said and where in said, f"{what}: the journal", where, said[-500:]
            )
