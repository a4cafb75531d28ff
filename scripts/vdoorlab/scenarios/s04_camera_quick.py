"""The camera is unplugged, freezes, is covered: FAULT within 3 s, never green while blind, back without a restart.

The short form, each once: see camera. A frozen camera is known by pictures that are the same to the last bit; until
FAULT shows, which is what is measured as "until FAULT", the door cannot know and the light stays as it was.
"""

from __future__ import annotations

from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._camera import BLACK, FROZEN, UNPLUGGED, Watch, same_process

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door(data_mb=32) as door:
        door.boot(camera={"show": "masked"})
        before = door.wait_service()
        watch = Watch(door, report)
        for failure in (FROZEN, BLACK, UNPLUGGED):
            watch.fails(failure, for_s=3)
        watch.measures()
        same_process(door, report, before)
