"""A read-only root: scripts/install.sh --read-only and --read-write."""

from __future__ import annotations

import pytest

from support.virtual_door.power_cuts import BOOT_S
from support.virtual_door.read_only import (
    CHANGE_S,
    DATA_MB,
    INSTALLER,
    SNAPSHOT,
    ReadOnlyPowerCuts,
    Written,
    make_read_only,
    prepare,
    root_digest,
    storage_finding,
    written,
)
from support.virtual_door.updates import INSTALL_S, NEWER, TRIAL, TRIAL_S, Updates, facts, now
from virtual_door.door import CONFIG, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

CUTS = 50
#: Every fourth of them happens during the boot.
BOOT_CUT_PERIOD = 4
NOTHING = Written(0, 0)
#: The wall clock of the simulated day: the timers of the night are among it.
DAY = ("2026-12-01 04:09:55", "2026-12-01 09:00", "2026-12-01 15:30", "2026-12-01 23:59:50")


def test_read_only_root(lab: Lab, report: Report) -> None:
    """--read-only, a day, changed settings, an update that a power cut takes back and one that is kept, --read-write.

    The root is an overlay by Debian's overlayroot. The kernel counts the writes to the root's disk, and the disk's blocks are
    compared. In the end, the system's files are as they were, except for the version and the settings.
    """
    with lab.door(data_mb=DATA_MB) as door:
        prepare(door)
        updates = Updates(door)
        bundle = updates.make(NEWER)
        door.boot(data="", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        updates.trust()
        before = door.sh(SNAPSHOT, 120)
        make_read_only(door)
        digest = root_digest(door)
        _day(door, report)
        settings = door.sh(["cksum", CONFIG])
        door.power_cut()
        report.equal(root_digest(door), digest, "the day and a power cut: the blocks of the root")

        door.boot(data="", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        report.equal(door.sh(["cksum", CONFIG]), settings, "changed settings after a power cut")
        report.equal(door.run("test -e /etc/of-the-system").code, 1, "a changed file of the system after a boot")
        old = now(door)
        _update(door, bundle)
        report.equal(now(door).version, NEWER, "doorlight update with a read-only root: the version on trial")
        door.power_cut()
        door.boot(data="", within_s=BOOT_S)
        found = facts(door)
        report.equal(
            found.faults(old.others["settings"]), [], "a power cut during the trial, then a boot: contradictions"
        )
        report.equal(found.version, old.version, "a power cut during the trial, then a boot: the version that runs")

        _update(door, bundle)
        door.wait_until(lambda: door.run(["test", "-e", TRIAL]).code == 1, TRIAL_S, "the new version is not kept")
        report.equal(written(door), NOTHING, "an update that is kept: writes to the root")
        door.power_cut()
        door.boot(data="", within_s=BOOT_S)
        found = facts(door)
        report.equal(found.faults(old.others["settings"]), [], "the update is kept, power cut, boot: contradictions")
        report.equal(found.version, NEWER, "the update is kept, power cut, boot: the version that runs")
        report.equal(written(door), NOTHING, "that boot: writes to the root")
        last = door.last_seq()

        door.sh(f"{INSTALLER} --read-write --without-start", CHANGE_S)
        door.power_off()
        door.boot(data="", within_s=BOOT_S)
        found = facts(door)
        report.equal(door.sh("findmnt -n -o FSTYPE /").strip(), "ext4", "--read-write, boot: the root")
        report.equal(found.faults(old.others["settings"]), [], "--read-write, boot: contradictions")
        report.equal(found.version, NEWER, "--read-write, boot: the version that runs")
        report.check(door.last_seq() > last, "--read-write, boot: the log goes on", f"after {last}", door.last_seq())
        after = door.sh(SNAPSHOT, 120)
        report.equal(_differences(before, after), [], "--read-write: files that are not as before --read-only")


def _day(door: Door, report: Report) -> None:
    """Boot with the read-only root several times, and let a day pass; the machine is on afterwards."""
    for number, when in enumerate(DAY):
        door.boot(data="", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        if number == 0:
            report.equal(door.sh("findmnt -n -o FSTYPE /").strip(), "overlay", "--read-only, boot: the root")
            finding = storage_finding(door)
            report.check("the root is read-only" in finding, "doctor with a read-only root", "says so", finding)
            refused = door.run("apt-get install -y --reinstall --no-download base-files; dpkg --version >/dev/null")
            report.note(f"apt with a read-only root: {(refused.out + refused.err)[-300:]}")
            door.sh(f"printf '\\n# changed with a read-only root\\n' >>{CONFIG}; sync; echo x >/etc/of-the-system")
        door.set_clock(when)
        shown = door.camera.show(("masked", "unmasked")[number % 2])
        door.wait_for_lamps(("green", "red")[number % 2], 30, since=shown)
        door.camera.show("empty")
        door.wait_for_lamps("off", 30)
        door.sh("systemctl start doorlight-hours.service; doorlight doctor >/dev/null; sync", 180)
        if number + 1 < len(DAY):
            report.equal(written(door), NOTHING, f"a day with a read-only root, boot {number + 1}: writes to the root")
            door.power_cut() if number % 2 else door.power_off()
    report.equal(written(door), NOTHING, f"a day with a read-only root, boot {len(DAY)}: writes to the root")
    seqs = [event["seq"] for event in door.events()]
    report.equal(seqs, list(range(1, len(seqs) + 1)), "the day's events: seq")


def _update(door: Door, bundle: str) -> None:
    door.sh(f"doorlight update {bundle}", INSTALL_S)


def _differences(before: str, after: str) -> list[str]:
    """Return lines that only one snapshot has, without those of versions, settings and updates, which have changed."""
    both = set(before.splitlines()) ^ set(after.splitlines())
    changed = ("opt/doorlight/", "etc/doorlight/doorlight.toml", "etc/systemd/system/doorlight.service ")
    # Debian's own: the package database's copies, the clock.
    own = ("etc/.updated", "etc/machine-id", "var/lib/systemd")
    return sorted(line for line in both if not line.startswith(changed + own))


def test_fifty_power_cuts_with_a_read_only_root(lab: Lab, report: Report) -> None:
    """50 power cuts, at work and during the boot, of a door with a read-only root and its data on a disk of its own."""
    with lab.door(data_mb=DATA_MB) as door:
        prepare(door)
        door.boot(data="", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        make_read_only(door)
        digest = root_digest(door)
        power = ReadOnlyPowerCuts(door, report)
        for k in range(1, CUTS + 1):
            if k % BOOT_CUT_PERIOD:
                power.cut_at_work()
            else:
                power.cut_during_boot()
        power.boot_last()
        power.add_to_report()
        report.equal(set(power.root_writes), {NOTHING}, "writes to the root until each cut", len(power.root_writes))
        door.power_cut()
        report.equal(root_digest(door), digest, "after the cuts: the blocks of the root")
