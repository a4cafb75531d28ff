"""Broken settings: a running door does not mind, one that starts says what is wrong, and is well once it is mended.

The settings file of a door at work is replaced by broken ones, one after the other: the door must go on (the unit has no
reload: settings are read at start). Then it is restarted with each: it must end with exit code 78 and name the file, must
not be started again and again, must never show green, and must leave the lamps off.
"""

from __future__ import annotations

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = False
FILE = "/etc/doorlight/doorlight.toml"

BROKEN: dict[str, bytes] = {
    "an unknown key": b'[camera]\nsource = "/dev/video0"\n[lights]\ngrin = 5\n',
    "a wrong type": b'[camera]\nsource = "/dev/video0"\nwidth = "wide"\n',
    "an impossible value": b'[camera]\nsource = "/dev/video0"\n[lights]\ngreen = 17\nred = 17\n',
    "torn off in the middle": b'[camera]\nsource = "/dev/vid',
    "bytes that are no text": bytes(range(128, 256)) * 16,
}


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(wait_for="ready", camera={"show": "masked"})
        door.wait_for("green", 60, since=0)
        good = door.read(FILE)
        _at_work(door, report)
        for what, text in BROKEN.items():
            _at_start(door, report, what, text)
        door.write(FILE, good)
        mended = door.now()
        door.sh("systemctl restart doorlight.service", 150)
        lit = door.wait_for("green", 60, since=mended)
        report.check(
            True,
            "settings mended, restarted, somebody masked at the door",
            "green",
            f"green after {lit.t - mended:.1f} s",
        )


def _at_work(door: Machine, report: Report) -> None:
    pid = door.properties("MainPID")["MainPID"]
    began = door.now()
    for text in BROKEN.values():
        door.write(FILE, text)
        door.run("systemctl reload doorlight.service")
    after = door.properties("MainPID", "ActiveState")
    report.equal(
        after,
        {"MainPID": pid, "ActiveState": "active"},
        "settings broken under a door at work, reload asked for",
        len(BROKEN),
    )
    report.equal({c.looks for c in door.changes(began)}, {"green"}, "the lamps meanwhile, somebody masked at the door")


def _at_start(door: Machine, report: Report, what: str, text: bytes) -> None:
    door.write(FILE, text)
    door.sh("systemctl stop doorlight.service; systemctl reset-failed doorlight.service", 60)
    began = door.now()
    door.run("systemctl start doorlight.service", 150)
    names = ("ActiveState", "ExecMainStatus", "NRestarts")
    door.wait_until(lambda: door.properties("ActiveState")["ActiveState"] == "failed", 60, "it did not fail")
    seen = door.properties(*names)
    expected = {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    report.equal(seen, expected, f"started with {what}")
    said = door.journal("doorlight.service", "--since", "-60s")
    report.check(
        FILE in said, f"started with {what}: what the journal says", f"names {FILE}", said.strip().splitlines()[-6:]
    )
    lamps = {c.looks for c in door.changes(began)}
    report.check(
        "green" not in lamps and door.looks() == "off",
        f"started with {what}: lamps",
        "never green, and off in the end",
        lamps,
    )
