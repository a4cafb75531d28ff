"""The page's service beside the door: both boot; the page is killed, stopped, starved and fuzzed, and the door goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from virtual_door.door import CONFIG, STATE, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

PAGE = "doorlight-web.service"
SOCKET = "/run/doorlight/view.sock"
PROGRAM = "/usr/local/lib/vdoor-page-client.py"
CLIENT = f"/usr/bin/python3 -I -B {PROGRAM}"
#: Another user must be able to read it.
PREPARE = f"install -m 755 /root/vdoor/guest/page_client.py {PROGRAM}"
SETTINGS = "\n[web]\nenabled = true\nmay_configure = true\n"
#: A corner of the picture: the people of the clips stand in the middle.
FAR_RIGHT = "0.98 0, 1 0, 1 0.1"


def ask(door: Door, token: str, *words: str, within_s: float = 120.0, user: str = "") -> dict[str, Any]:
    """Run the client in the guest, and return what it prints."""
    as_user = f"runuser -u {user} -- " if user else ""
    arguments = " ".join(f"'{word}'" for word in (token, *words))
    found: dict[str, Any] = json.loads(door.sh(f"{as_user}{CLIENT} {arguments}", within_s))
    return found


def test_page_beside_the_door(lab: Lab, report: Report) -> None:
    """Both services boot. The page shows, explains and changes areas; killed, stopped and fuzzed, it does not hold up the door."""
    with lab.door() as door:
        door.boot(camera={"show": "unmasked"}, service=False)
        door.sh(f"{PREPARE}; printf '{SETTINGS}' >>{CONFIG}; systemctl enable {PAGE}")
        token = door.sh("doorlight web --new-link", 60).partition("token=")[2].split()[0]
        door.start_service()
        door.wait_until(lambda: door.properties("ActiveState", unit=PAGE)["ActiveState"] == "active", 60)
        main = door.properties("MainPID")["MainPID"]
        door.wait_for_lamps("red", 60, since=0)
        _check_page(door, report, token)
        _check_strangers(door, report)
        _check_areas(door, report, token)
        _check_failures(door, report, token)
        report.equal(door.properties("MainPID")["MainPID"], main, "after everything: the door's process")
        report.equal(door.restarts(), 0, "restarts of the door")
        kinds = [event["event"] for event in door.events()]
        report.check("view" in kinds, "the event log", "has when somebody watched", sorted(set(kinds)))
        report.equal([kind for kind in kinds if kind in ("fault", "log_lost", "camera_lost")], [], "faults of the door")
        report.measure("memory of both services' processes", _memory_mib(door), "MiB", at_most=300)


def _check_page(door: Door, report: Report, token: str) -> None:
    """Watch, and ask why, in the sandboxes of both units."""
    door.wait_until(lambda: door.run(f"{CLIENT} '{token}' watch 1", 60).code == 0, 120, "the page does not answer")
    seen = ask(door, token, "watch", "8")
    report.check(seen["frames"] >= 10, "live frames in 8 s", "at least 10", seen)
    report.equal((seen["signal"], seen["hidden"]), ("STOP", True), "the last decision; faces are hidden")
    explained = ask(door, token, "why", within_s=150)
    is_right = "no mask" in str(explained["verdict"]) and explained["words"]
    report.check(bool(is_right), "why the light is red, in words", "no mask, and regions", explained)
    report.measure("explanation", explained["seconds"], "s", at_most=60)
    child = door.run("ps -eo comm,ni,user | grep doorlight-why").out.split()
    report.equal(child[1:], ["19", "doorlight"], "the process that explains: priority, user")
    adjusted = door.run("cat /proc/$(pgrep -x doorlight-why)/oom_score_adj").out.strip()
    report.equal(adjusted, "1000", "and it is the first to be killed when memory ends")
    door.wait_until(lambda: not door.run("pgrep -x doorlight-why").out, 60, "the process that explains stays")


def _check_strangers(door: Door, report: Report) -> None:
    """Other users of the machine get nothing."""
    refused = ask(door, "-", "connect", SOCKET, user="nobody")
    report.equal(refused, {"error": "PermissionError"}, "another user at the door's socket")
    answer = door.sh("python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:8080/live\")' 2>&1 || true")
    report.check("401" in answer, "the page without a token", "401", answer[-100:])


def _check_areas(door: Door, report: Report, token: str) -> None:
    """The page changes the zone while the door runs."""
    applied = door.now()
    report.equal(
        ask(door, token, "apply", FAR_RIGHT), {"status": 200, "done": True}, "a zone without people is applied"
    )
    door.wait_for_lamps("off", 10, since=applied)
    owner = door.sh(f"stat -c '%U %a' {STATE}/areas.toml").strip()
    report.equal(owner, "doorlight 644", "owner and mode of the file")
    notes = door.run(f"doorlight check-config {CONFIG}", 60).out
    report.check("were set on the page" in notes, "check-config", "says so", notes)
    undone = door.now()
    report.equal(ask(door, token, "apply", "undo"), {"status": 200, "done": True}, "and undone")
    door.wait_for_lamps("red", 15, since=undone)
    changes = [event for event in door.events() if event["event"] == "areas_set"]
    report.equal([(e["by"], e.get("undone", False)) for e in changes], [("page", False), ("page", True)], "in the log")


def _check_failures(door: Door, report: Report, token: str) -> None:
    """Kill, stop, starve and fuzz the page; the lamps follow the camera as before."""
    for _ in range(3):
        door.sh(f"systemctl kill --signal=KILL {PAGE}")
        _check_light(door, report, "the page is killed")
    door.wait_until(lambda: door.run(f"{CLIENT} '{token}' watch 1", 60).code == 0, 120, "the page does not come back")
    report.check(True, "killed three times", "the page is back", "back")
    door.spawn(f"{CLIENT} '{token}' watch 60")
    door.sh(f"systemctl kill --signal=STOP {PAGE}")
    _check_light(door, report, "the page is stopped while somebody watches")
    door.sh(f"systemctl kill --signal=CONT {PAGE}")
    door.sh(f"systemctl set-property --runtime {PAGE} MemoryHigh=20M CPUWeight=1")
    _check_light(door, report, "the page is starved of memory and processor time")
    door.sh(f"systemctl set-property --runtime {PAGE} MemoryHigh=infinity CPUWeight=100")
    door.spawn(f"{CLIENT} - fuzz 40 {SOCKET} >/tmp/fuzz.json", "fuzz.log")
    # Connections queue up meanwhile: more than the page may have open.
    door.sh(f"systemctl kill --signal=STOP {PAGE}")
    for _ in range(3):
        _check_light(door, report, "page and socket are fuzzed while the page is stopped")
    door.sh(f"systemctl kill --signal=CONT {PAGE}")
    for _ in range(3):
        _check_light(door, report, "page and socket are fuzzed")
    door.wait_until(lambda: door.run("cat /tmp/fuzz.json").out, 120, "the client does not end")
    sent = json.loads(door.read("/tmp/fuzz.json"))
    report.measure("broken requests to the page", sent["http"], "")
    report.measure("broken requests to the socket", sent["socket"], "")
    door.wait_until(
        lambda: door.run(f"{CLIENT} '{token}' watch 1", 60).code == 0,
        120,
        lambda: f"the page does not recover: {_journal(door)[-2000:]}",
    )
    report.equal(_journal(door).count("Too many open files"), 0, "how often open files ran out")
    seen = ask(door, token, "watch", "8")
    report.check(seen["frames"] >= 5, "afterwards: live frames in 8 s", "at least 5", seen)


def _check_light(door: Door, report: Report, what: str) -> None:
    """Let the person go and come back."""
    gone = door.camera.show("empty")
    door.wait_for_lamps("off", 15, since=gone)
    shown = door.camera.show("unmasked")
    red = door.wait_for_lamps("red", 15, since=shown)
    report.measure(f"{what}: unmasked to red", red.t - shown, "s", at_most=2)


def _journal(door: Door) -> str:
    """Return what the page's service has written."""
    return door.sh(f"journalctl --unit {PAGE} --output cat --no-pager")


def _memory_mib(door: Door) -> float:
    """Return the resident memory of all processes of both services."""
    rows = door.sh("ps -u doorlight,doorlight-web -o rss=").split()
    return sum(map(int, rows)) / 1024
