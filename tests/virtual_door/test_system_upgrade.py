"""The system is upgraded from Debian 12 to 13: the program was installed for a Python that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.virtual_door import messages
from support.virtual_door.versions import Versions
from virtual_door.build import build_command, cache_folder, chosen_suite
from virtual_door.door import CONFIG, Door
from virtual_door.lab import Lab
from virtual_door.machine import link_or_copy
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

FORMER = "bookworm"
NEWER = "0.2.0"
KEYS = "/etc/doorlight/update-keys"
INSTALL_S, BOOT_S = 900, 240.0
#: Replaces the program and its units by those of the Debian 12 on the machine's third disk.
BACK_TO_FORMER = """
systemctl stop doorlight
mount -o ro /dev/ubdc /mnt
rm -rf /opt/doorlight /etc/systemd/system/doorlight*
cp -a /mnt/opt/doorlight /opt/
cp -a /mnt/etc/systemd/system/doorlight* /etc/systemd/system/
umount /mnt
sync
"""


def test_upgrade_of_the_system(lab: Lab, report: Report) -> None:
    """A door of Debian 12 after the upgrade to 13: every command says what is wrong, systemd does not restart in vain, and
    install.sh mends it. Settings, log, areas and keys are kept.
    """
    image = next((cache_folder().parent / FORMER).glob("product-*/root.ext4"), None)
    if chosen_suite().name == FORMER or image is None:
        pytest.skip(f"needs Debian 13, and that of Debian 12 beside it: {build_command(FORMER)}")
    with lab.door() as door:
        versions = Versions(door)
        versions.make(NEWER)
        disk = f"ubd2={_link(door, image)}"
        door.boot(wait_for="ready", camera={"show": "masked"}, kernel=disk, within_s=BOOT_S)
        door.wait_for_lamps("green", BOOT_S, since=0)
        door.write(CONFIG, door.read(CONFIG) + "\n# Written by the owner.\n")
        door.write(KEYS, "# no key yet\n")
        door.sh(BACK_TO_FORMER, 300)
        door.power_off()
        door.boot(camera={"show": "masked"}, kernel=disk, within_s=BOOT_S)
        kept, lines = _kept(door), door.event_lines()
        _check_refusal(door, report)
        done = door.run(versions.choose(NEWER), INSTALL_S)
        report.check(done.code == 0, "install.sh", "exit code 0", f"{done.code}: {done.err[-500:]}")
        for what in ("install.sh", "install.sh, then a power cut and a boot"):
            report.equal(door.wait_for_lamps("green", 60, since=0).lamps, "green", f"{what}: the lamps")
            report.equal(door.sh("doorlight --version").strip(), f"doorlight {NEWER}", f"{what}: the version")
            report.equal(_kept(door), kept, f"{what}: settings and keys")
            report.equal(door.event_lines()[: len(lines)], lines, f"{what}: earlier lines of the event log", len(lines))
            status = door.run("doorlight update --status")
            report.check(
                f"version {NEWER} runs" in status.out, f"{what}: update --status", f"version {NEWER} runs", status.out
            )
            if not what.endswith("boot"):
                door.power_cut()
                door.boot(wait_for="ready", camera={"show": "masked"}, within_s=BOOT_S)
        left = door.sh("ls /opt/doorlight/releases | wc -l").strip()
        report.equal(left, "1", "install.sh: programs that are left")


def _check_refusal(door: Door, report: Report) -> None:
    """Check what a door says whose Python is gone, and that it stays off."""

    def failed() -> dict[str, str] | None:
        found = door.properties("ActiveState", "ExecMainStatus", "NRestarts")
        return found if found["ActiveState"] == "failed" else None

    found = door.wait_until(failed, BOOT_S, lambda: f"the service has not failed: {door.journal()[-2000:]}")
    report.equal((found["ExecMainStatus"], found["NRestarts"]), ("71", "0"), "after the upgrade: exit code, restarts")
    journal = door.journal()
    report.check(
        messages.WRONG_PYTHON in journal, "after the upgrade: the journal", messages.WRONG_PYTHON, journal[-500:]
    )
    report.check("Traceback" not in journal, "after the upgrade: the journal", "no traceback", journal[-500:])
    report.equal({c.lamps for c in door.pin_changes()} - {"no chip"}, {"off"}, "after the upgrade: the lamps")
    for command in ("doctor", "events", "update --status"):
        done = door.run(f"doorlight {command}")
        what = f"after the upgrade: doorlight {command}"
        says = "sudo scripts/install.sh" in done.err and messages.WRONG_PYTHON in done.err
        report.check(done.code == 71 and says, what, f"71, {messages.WRONG_PYTHON}", f"{done.code}, {done.err}")


def _kept(door: Door) -> tuple[str, str]:
    return door.read(CONFIG), door.read(KEYS)


def _link(door: Door, image: Path) -> str:
    """Make the image of Debian 12 a disk of the machine, and return it as the kernel's argument."""
    link_or_copy(image, door.session / "former.ext4")
    return f"{door.session}/former.cow,{door.session}/former.ext4"
