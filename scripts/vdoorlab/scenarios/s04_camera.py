"""Every way in which a camera fails, again and again, short and long: FAULT within 3 s, never green, back without a restart.

Unplugged (the feeder lets go; the driver's module is taken away), hung, frozen, black, white, and as slow as 2 pictures a
second. A frozen camera is known by pictures that are the same to the last bit; until FAULT shows,
which is what is measured as "until FAULT", the door cannot know and the light stays as it was.
"""

from __future__ import annotations

import time

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._camera import BACK_S, BLACK, BRIGHT, FAULT_S, FROZEN, HUNG, UNPLUGGED, Watch, same_process

QUICK = False
#: How long each failure lasts (seconds): shorter and longer than the pauses between attempts to reopen the camera, which
#: grow to 8 s. A frozen camera is so reopened while it is still frozen.
LASTS = (1.0, 12.0)
DRIVER = "/root/vdoor/kernel/v4l2loopback.ko video_nr=0 exclusive_caps=1 card_label=door"
REMOVALS = 3


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        door.boot(camera={"show": "masked"})
        before = door.wait_service()
        watch = Watch(door, report)
        for failure in (FROZEN, BLACK, BRIGHT, HUNG, UNPLUGGED):
            for for_s in LASTS:
                watch.fails(failure, for_s)
        watch.slow(2, 10)
        watch.measures()
        _removed(door, report)
        same_process(door, report, before)


def _removed(door: Machine, report: Report) -> None:
    """A camera that is gone with its /dev/video0, as when a USB plug is pulled."""
    fault_s, back_s = [], []
    for _ in range(REMOVALS):
        shown = door.camera.show("masked")
        door.wait_for("green", BACK_S, since=shown)
        began = door.now()
        door.camera.plug(False)
        # The kernel gives a module back only while nobody holds its device: between two attempts of the door to open it.
        door.sh("until rmmod v4l2loopback 2>/dev/null; do sleep 0.1; done", 60)
        gone = door.run("ls /dev/video0").code != 0
        fault = door.wait_for("red", FAULT_S + 10, since=began)
        time.sleep(10)
        mended = door.now()
        blind = {c.looks for c in door.changes(fault.t + 0.001) if c.t < mended}
        door.sh(f"insmod {DRIVER}")
        door.camera.plug(True)
        back = door.wait_for("green", BACK_S, since=mended)
        report.equal((gone, sorted(blind)), (True, ["off", "red"]), "module removed: /dev/video0 is gone, lamps")
        fault_s.append(fault.t - began)
        back_s.append(back.t - mended)
    report.measure("module removed: until FAULT", fault_s, "s", at_most=FAULT_S)
    report.measure("module there again: to the right light", back_s, "s", at_most=BACK_S)
