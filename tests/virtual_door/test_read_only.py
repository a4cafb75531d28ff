"""A read-only root: scripts/install.sh --read-only, a short day, an update, --read-write, with its own kernel and initramfs."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from support.virtual_door.read_only import (
    CHANGE_S,
    DATA_DISK,
    DATA_MB,
    INSTALLER,
    Written,
    boot,
    root_digest,
    share_installer,
    shorten_trial,
    shorten_trial_of_installed,
    snapshot,
    written_to_root,
)
from support.virtual_door.updates import INSTALL_S, NEWER, TRIAL, TRIAL_S, Updates, facts, now
from virtual_door.build import chosen_suite
from virtual_door.door import CONFIG, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

NOTHING = Written(0, 0)
#: A day: the wall clock and the person at the door at each boot. The timers of the night are between the last two.
DAY = (
    ("2026-12-01 08:59:50", "masked", "green"),
    ("2026-12-01 15:30:00", "unmasked", "red"),
    ("2026-12-02 04:09:55", "agitated", "red+buzzer"),
)
SYSTEM_FILE = "/etc/of-the-system"
INSTALL_A_PACKAGE = """\
mkdir -p /tmp/p/DEBIAN
printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: m\\nDescription: d\\n' >/tmp/p/DEBIAN/control
dpkg-deb -b /tmp/p /tmp/p.deb && apt-get install -y /tmp/p.deb
"""
#: What differs after the way back: the version and the settings, and what systemd and Debian write for themselves.
CHANGED = re.compile(
    r"(\d+ \d+ )?(opt/doorlight/|etc/doorlight/doorlight\.toml|etc/systemd/system/doorlight\.service( |$))"
)


def test_read_only_root(lab: Lab, report: Report) -> None:
    """Make the root read-only; a day with power cuts; an update that is kept, after 40 s, and a power cut; the way back.

    The machine boots with Debian's initramfs, whose overlayroot makes the overlay. The kernel counts the writes to the root's
    disk, and the disk's blocks are compared. In the end, the system's files are as they were, except for version and settings.
    """
    if chosen_suite().name != "trixie":
        pytest.skip("a read-only root is offered on Debian 13")
    with lab.door(data_mb=DATA_MB, has_initramfs=True) as door:
        share_installer(door)
        updates = Updates(door)
        bundle = updates.make(NEWER, shorten_trial)
        boot(door)
        report.equal(_root(door), "/dev/ubda ext4 rw", "an initramfs: the root before --read-only")
        updates.trust()
        shorten_trial_of_installed(door)
        before = snapshot(door)
        door.sh(f"{INSTALLER} --read-only --data {DATA_DISK} --without-start", CHANGE_S)
        door.power_off()
        digest = root_digest(door)
        settings = _day(door, report)
        report.equal(root_digest(door), digest, "the day: the blocks of the root")
        _update(door, report, bundle, settings)
        report.equal(root_digest(door), digest, "the update: the blocks of the root")
        _go_back(door, report, settings)
        after = snapshot(door)
        different = sorted(line for line in before ^ after if not CHANGED.match(line))
        report.equal(different, [], "--read-write, boot: files that are not as before --read-only")


def _day(door: Door, report: Report) -> str:
    """Let a day pass on a read-only root, with a power cut after each boot. Return the checksum of the changed settings."""
    settings = ""
    for number, (when, clip, lamps) in enumerate(DAY):
        boot(door)
        door.set_clock(when)
        if number == 0:
            _check_overlay(door, report)
            door.sh(f"printf '\n# changed with a read-only root\n' >>{CONFIG}; echo x >{SYSTEM_FILE}; sync")
            settings = door.sh(f"cksum <{CONFIG}").strip()
        report.equal(door.sh(f"cksum <{CONFIG}").strip(), settings, "changed settings after a power cut")
        shown = door.camera.show(clip)
        door.wait_for_lamps(lamps, 30, since=shown)
        door.camera.show("empty")
        door.wait_for_lamps("off", 30)
        door.sh("systemctl start doorlight-hours.service; doorlight doctor >/dev/null; logger of-the-system; sync", 180)
        report.equal(_wrong_events(door), [], "the events of the day: damaged lines, and seq that does not increase")
        report.equal(written_to_root(door), NOTHING, "a boot of the day: writes to the root (requests, sectors)")
        door.power_cut()
    return settings


def _check_overlay(door: Door, report: Report) -> None:
    """Check what the first boot says of the read-only root. apt is refused."""
    report.equal(_root(door), "overlayroot overlay rw", "--read-only, boot: the root")
    report.equal(door.run("systemctl --failed --plain --no-legend").out, "", "--read-only, boot: failed units")
    done = door.run("doorlight doctor --json", 120)
    found = [line.strip() for line in done.out.splitlines() if "the root is" in line]
    says_so = any("the root is read-only, nothing is written to it" in line for line in found)
    report.check(says_so, "doctor with a read-only root", "the root is read-only, nothing is written to it", found)
    refused = door.run(INSTALL_A_PACKAGE, 120)
    text = refused.out + refused.err
    report.check(
        refused.code != 0 and "the root is read-only" in text, "apt with a read-only root", "refused", text[-300:]
    )


def _update(door: Door, report: Report, bundle: str, settings: str) -> None:
    """Update the door on its read-only root, and cut the power when the new version is kept."""
    boot(door)
    report.equal(
        door.run(["test", "-e", SYSTEM_FILE]).code, 1, "a changed file of the system after a boot: exit code of test -e"
    )
    door.sh(f"doorlight update {bundle}", INSTALL_S)
    report.equal(now(door).version, NEWER, "doorlight update: the version on trial")
    door.wait_until(lambda: door.run(["test", "-e", TRIAL]).code == 1, TRIAL_S, "the new version is not kept")
    report.equal(written_to_root(door), NOTHING, "an update that is kept: writes to the root (requests, sectors)")
    door.power_cut()
    boot(door)
    found = facts(door)
    report.equal(found.faults(settings), [], "the update is kept, power cut, boot: contradictions")
    report.equal(found.version, NEWER, "the update is kept, power cut, boot: the version that runs")
    report.equal(written_to_root(door), NOTHING, "that boot: writes to the root (requests, sectors)")
    door.power_cut()


def _go_back(door: Door, report: Report, settings: str) -> None:
    """Make the root writable again. The machine is on afterwards."""
    boot(door)
    lines = door.event_lines()
    door.sh(f"{INSTALLER} --read-write --without-start", CHANGE_S)
    door.power_off()
    boot(door)
    found = facts(door)
    report.equal(_root(door), "/dev/ubda ext4 rw", "--read-write, boot: the root")
    report.equal(found.faults(settings), [], "--read-write, boot: contradictions")
    report.equal(found.version, NEWER, "--read-write, boot: the version that runs")
    report.equal(_wrong_events(door), [], "--read-write, boot: damaged lines, and seq that does not increase")
    lines_after = door.event_lines()
    seen = f"{len(lines_after)} lines"
    report.check(
        lines_after[: len(lines)] == lines and len(lines_after) > len(lines),
        "--read-write, boot: the log goes on", f"the same {len(lines)} lines, and more", seen,
    )  # fmt: skip


def _wrong_events(door: Door) -> list[object]:
    """Return what is wrong in the log. After a power cut, numbers are skipped."""
    events = door.events()
    damaged = [event for event in events if "damaged" in event]
    return [*damaged, *((a, b) for a, b in pairwise(event.get("seq", -1) for event in events) if b <= a)]


def _root(door: Door) -> str:
    """Return source, file system and first option of the root."""
    source, kind, options = door.sh("findmnt -n -r -o SOURCE,FSTYPE,OPTIONS /").split()
    return f"{source} {kind} {options.split(',')[0]}"
