"""Broken settings: a running door ignores them; a door that starts reports them and works after the repair.

The settings file of a running door is replaced by broken ones: the door must continue (settings are read at start, the
unit has no reload). Then the door is restarted with each of them: it must exit with code 78 and name the file, systemd
must not restart it, and the lamps must be off and never green.
"""

from __future__ import annotations

import pytest

from virtual_door.door import CONFIG, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

BROKEN: dict[str, bytes] = {
    "an unknown key": b'[camera]\nsource = "/dev/video0"\n[lights]\ngrin = 5\n',
    "a wrong type": b'[camera]\nsource = "/dev/video0"\nwidth = "wide"\n',
    "an impossible value": b'[camera]\nsource = "/dev/video0"\n[lights]\ngreen = 17\nred = 17\n',
    "an incomplete file": b'[camera]\nsource = "/dev/vid',
    "bytes that are no text": bytes(range(128, 256)) * 16,
}


def test_broken_settings(lab: Lab, report: Report) -> None:
    """Five kinds of broken file, while the door runs and at its start."""
    with lab.door() as door:
        door.boot(wait_for="ready", camera={"show": "masked"})
        door.wait_for_lamps("green", 60, since=0)
        good = door.read(CONFIG)
        _check_at_work(door, report)
        for what, text in BROKEN.items():
            _check_at_start(door, report, what, text)
        door.write(CONFIG, good)
        repaired = door.now()
        door.sh("systemctl restart doorlight.service", 150)
        lit = door.wait_for_lamps("green", 60, since=repaired)
        done = "settings repaired, restarted, masked person at the door"
        report.check(True, done, "green", f"green after {lit.t - repaired:.1f} s")


def _check_at_work(door: Door, report: Report) -> None:
    pid = door.properties("MainPID")["MainPID"]
    began = door.now()
    for text in BROKEN.values():
        door.write(CONFIG, text)
        door.run("systemctl reload doorlight.service")
    after = door.properties("MainPID", "ActiveState")
    expected = {"MainPID": pid, "ActiveState": "active"}
    report.equal(after, expected, "broken settings and systemctl reload while the door runs", len(BROKEN))
    lamps = {c.lamps for c in door.pin_changes(began)}
    report.equal(lamps, {"green"}, "the lamps meanwhile, masked person at the door")


def _check_at_start(door: Door, report: Report, what: str, text: bytes) -> None:
    door.write(CONFIG, text)
    door.sh("systemctl stop doorlight.service; systemctl reset-failed doorlight.service", 60)
    began = door.now()
    door.run("systemctl start doorlight.service", 150)
    door.wait_until(lambda: door.properties("ActiveState")["ActiveState"] == "failed", 60, "it did not fail")
    seen = door.properties("ActiveState", "ExecMainStatus", "NRestarts")
    expected = {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    report.equal(seen, expected, f"started with {what}")
    journal = door.journal("doorlight.service", "--since", "-60s")
    last_lines = journal.strip().splitlines()[-6:]
    report.check(CONFIG in journal, f"started with {what}: the journal", f"names {CONFIG}", last_lines)
    lamps = {c.lamps for c in door.pin_changes(began)}
    is_safe = "green" not in lamps and door.lamps() == "off"
    report.check(is_safe, f"started with {what}: lamps", "never green, off at the end", lamps)
