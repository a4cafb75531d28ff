"""Upgrade, downgrade and uninstall a running door with scripts/install.sh; a masked person stands at the door all the
time.

First come upgrades that fail before the switch: a package is missing, the power is cut while packages are unpacked, the
settings do not fit; the door must continue. Then an upgrade that works, followed by a power cut; one whose program does
not start: the previous version must run again; a downgrade with and without a setting that only the newer version has.
At the end both ways to uninstall, with a new installation in between.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from support.virtual_door import messages
from support.virtual_door.processes import wait_green
from support.virtual_door.versions import Versions, add_setting, break_start
from virtual_door.build import chosen_suite
from virtual_door.door import CONFIG, STATE, Door, PinChange
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

CURRENT = "/opt/doorlight/current"
UNPACKED = f"/opt/doorlight/releases/*/lib/python{chosen_suite().python}/site-packages/cv2"
OLDER, NEWER, BROKEN = "0.0.9", "0.2.0", "0.3.0"
#: Installing packages takes long in an emulated machine.
INSTALL_S = 900
#: Limit for the time without light: one door stops and another starts; in this machine that takes 2 to 9 s.
MAX_DARK_S = 15.0
#: Limit if two doors start, the first of which blinks red for 5 s before it ends.
MAX_BACK_S = 40.0
#: The lock of install.sh is in memory, and gone after the next boot.
LOCK = "/run/doorlight-install.lock"
FIND = "find / /run /dev -xdev -iname '*doorlight*' -not -path '/root/*' | sort -u"


def test_upgrade_downgrade_uninstall(lab: Lab, report: Report) -> None:
    """All of it in one machine, in the order of this module's description."""
    with lab.door() as door:
        upgrade = Upgrade(door, report)
        upgrade.versions.make(OLDER)
        upgrade.versions.make(NEWER, add_setting)
        upgrade.versions.make(BROKEN, break_start)
        _boot(door)
        upgrade.edit_settings(door.read(CONFIG) + "\n# Written by the owner.\n[policy]\nmin_signal_s = 1.0\n")
        door.sh("systemctl restart doorlight", 150)
        wait_green(door)
        upgrade.lines = door.event_lines()
        _check_package_missing(upgrade)
        _check_power_cut_while_unpacking(upgrade)
        _check_settings_do_not_fit(upgrade)
        _check_upgrade(upgrade)
        _check_broken_version(upgrade)
        _check_downgrade(upgrade)
        _check_uninstall(upgrade)


class Upgrade:
    """A door, its versions, and the log and the settings that must not change."""

    def __init__(self, door: Door, report: Report) -> None:
        self.door = door
        self.report = report
        self.versions = Versions(door)
        self.lines: list[str] = []
        self.settings = ""

    def edit_settings(self, settings: str) -> None:
        """Write the settings as their owner does."""
        self.settings = settings
        self.door.write(CONFIG, settings)

    def identity(self) -> tuple[str, str]:
        """Return the door's PID and the installed program."""
        return self.door.properties("MainPID")["MainPID"], self.door.sh(f"readlink {CURRENT}").strip()

    def check_untouched(self, what: str, before: tuple[str, str], since: float) -> None:
        """Check that the same process has shown green all the time."""
        self.report.equal(self.identity(), before, f"{what}: PID and program")
        self.check_always_green(what, since)
        self.check_kept(what)

    def check_always_green(self, what: str, since: float) -> None:
        changes = self.door.pin_changes(since)
        seen = "; ".join(f"{c.t - since:.1f} s {c.lamps}" for c in changes)
        self.report.check({c.lamps for c in changes} == {"green"}, f"{what}: the lamps meanwhile", "green", seen)

    def check_kept(self, what: str) -> None:
        """Check that all earlier lines are in the log, `seq` increases, no line is damaged, and the settings are the
        same."""
        lines = self.door.event_lines()
        events = self.door.events()
        self.report.check(
            lines[: len(self.lines)] == self.lines and len(lines) >= len(self.lines),
            f"{what}: earlier lines of the event log",
            f"the same {len(self.lines)}",
            f"{sum(line in lines for line in self.lines)} of them, {len(lines) - len(self.lines)} more",
        )
        seqs = [event.get("seq", -1) for event in events]
        wrong = [(a, b) for a, b in pairwise(seqs) if b <= a] + [e for e in events if "damaged" in e]
        self.report.equal(wrong, [], f"{what}: damaged lines, and seq that does not increase")
        self.report.equal(self.door.read(CONFIG), self.settings, f"{what}: the settings")
        self.lines = lines

    def check_switched(self, what: str, code: int | None, version: str, changes: list[PinChange]) -> None:
        """Check that the door is of this version, and was dark only while it started."""
        self.report.equal(code, 0, f"{what}: exit code")
        lamps = [c.lamps for c in changes]
        seen = "; ".join(f"{c.t - changes[0].t:.1f} s {c.lamps}" for c in changes)
        self.report.check(lamps == ["green", "off", "green"], f"{what}: the lamps meanwhile", "green, off, green", seen)
        self.report.measure(f"{what}: no light for", _not_green_s(changes), "s", at_most=MAX_DARK_S)
        self.check_works(what, version)

    def check_works(self, what: str, version: str) -> None:
        """Check that the door runs, and that program, unit and defaults are of this version."""
        door, report = self.door, self.report
        report.equal(door.wait_for_lamps("green", 60).lamps, "green", f"{what}: the lamps")
        report.equal(door.sh("doorlight --version").strip(), f"doorlight {version}", f"{what}: doorlight --version")
        pid, program = self.identity()
        mapped = door.sh(f"grep -o '/opt/doorlight/releases/[0-9]*' /proc/{pid}/maps | sort -u").split()
        report.equal(mapped, [program], f"{what}: the running program is the installed one")
        unit = door.read("/etc/systemd/system/doorlight.service").splitlines()[-1]
        report.equal(unit, f"# of {version}", f"{what}: the unit")
        has_setting = "porch" in door.read("/etc/doorlight/defaults.toml")
        report.equal(has_setting, version == NEWER, f"{what}: defaults.toml has the newer version's setting")
        self.check_kept(what)


def _not_green_s(changes: list[PinChange]) -> float:
    """Return the seconds from the first change away from green to the last change to green."""
    green = [c.t for c in changes if c.lamps == "green"]
    dark = next(c.t for c in changes if c.lamps != "green")
    return green[-1] - dark


def _boot(door: Door) -> None:
    """Boot without a separate disk for the log, as on a Raspberry Pi: uninstalling can then remove its folder."""
    door.boot(wait_for="ready", camera={"show": "masked"}, data="")
    wait_green(door)


def _check_package_missing(upgrade: Upgrade) -> None:
    door, report, what = upgrade.door, upgrade.report, "upgrade, a package is missing"
    before, began = upgrade.identity(), door.now()
    command = upgrade.versions.choose(NEWER)
    wheel = upgrade.versions.remove_wheel("msgspec")
    done = door.run(command, INSTALL_S)
    upgrade.versions.restore_wheel(wheel)
    report.equal(done.code, 69, f"{what}: exit code")
    report.check("msgspec" in done.err, f"{what}: the message", "msgspec …", done.err[-300:])
    upgrade.check_untouched(what, before, began)


def _check_power_cut_while_unpacking(upgrade: Upgrade) -> None:
    door, what = upgrade.door, "upgrade, power cut while packages are unpacked"
    before, began = upgrade.identity(), door.now()
    door.spawn(upgrade.versions.choose(NEWER), "cut.log")
    door.wait_until(lambda: door.run(f"ls -d {UNPACKED}").out.count("\n") > 1, INSTALL_S, "no package was unpacked")
    upgrade.check_always_green(f"{what}, until the cut", began)
    door.power_cut()
    _boot(door)
    upgrade.report.equal(upgrade.identity()[1], before[1], f"{what}, booted: the program")
    upgrade.check_kept(f"{what}, booted")


def _check_settings_do_not_fit(upgrade: Upgrade) -> None:
    door, report, what = upgrade.door, upgrade.report, "upgrade, the settings do not fit"
    before, began, good = upgrade.identity(), door.now(), upgrade.settings
    door.write(CONFIG, good + "grin = 5\n")
    done = door.run(upgrade.versions.choose(NEWER), INSTALL_S)
    door.write(CONFIG, good)
    report.equal(done.code, 78, f"{what}: exit code")
    report.check("grin" in done.err, f"{what}: the message", "grin …", done.err[-300:])
    upgrade.check_untouched(what, before, began)


def _check_upgrade(upgrade: Upgrade) -> None:
    door, report, began = upgrade.door, upgrade.report, upgrade.door.now()
    done = door.run(upgrade.versions.choose(NEWER), INSTALL_S)
    changes = door.pin_changes(began)
    door.power_cut()
    _boot(door)
    upgrade.check_switched("upgrade, then a power cut and a boot", done.code, NEWER, changes)
    began = door.now()
    done = door.run(upgrade.versions.choose(NEWER), INSTALL_S)
    upgrade.check_switched("the same version again", done.code, NEWER, door.pin_changes(began))
    writes_nothing = messages.INSTALL_UP_TO_DATE in done.out and messages.INSTALL_WROTE not in done.out
    report.check(writes_nothing, "the same version again", "no file is written", done.out)


def _check_broken_version(upgrade: Upgrade) -> None:
    door, report, began = upgrade.door, upgrade.report, upgrade.door.now()
    program, what = upgrade.identity()[1], "upgrade to a version that does not start"
    done = door.run(upgrade.versions.choose(BROKEN), INSTALL_S)
    report.equal(done.code, 69, f"{what}: exit code")
    is_reported = messages.INSTALL_WENT_BACK in done.err and "this version is broken" in done.err
    expected = f"the error of the new version, and '{messages.INSTALL_WENT_BACK}'"
    report.check(is_reported, f"{what}: the message", expected, done.err[-500:])
    report.equal(upgrade.identity()[1], program, f"{what}: the program")
    changes = door.pin_changes(began)
    is_safe = {c.lamps for c in changes} <= {"green", "off", "red"}
    report.check(is_safe, f"{what}: lamps", "green, off or FAULT", changes)
    upgrade.check_works(what, NEWER)
    report.measure(f"{what}: no green for", _not_green_s(door.pin_changes(began)), "s", at_most=MAX_BACK_S)


def _check_downgrade(upgrade: Upgrade) -> None:
    door, report, good = upgrade.door, upgrade.report, upgrade.settings
    upgrade.edit_settings(good.replace("wait = true", "wait = true\nporch = true"))
    before, began = upgrade.identity(), door.now()
    done = door.run(upgrade.versions.choose(OLDER), INSTALL_S)
    what = "downgrade, with a setting that only the newer version has"
    report.equal(done.code, 78, f"{what}: exit code")
    report.check("porch" in done.err, f"{what}: the message", "porch …", done.err[-300:])
    upgrade.check_untouched(what, before, began)
    upgrade.edit_settings(good)
    began = door.now()
    done = door.run(upgrade.versions.choose(OLDER), INSTALL_S)
    upgrade.check_switched("downgrade", done.code, OLDER, door.pin_changes(began))
    programs = door.sh("ls /opt/doorlight/releases | wc -l").strip()
    report.equal(programs, "1", "downgrade: number of programs on the disk")


def _check_uninstall(upgrade: Upgrade) -> None:
    door, report = upgrade.door, upgrade.report
    command = upgrade.versions.choose(OLDER)
    script = command.split()[0]
    kept = ["/etc/doorlight", CONFIG, LOCK, STATE]
    _check_removed(upgrade, "uninstall, the event log kept", f"echo n | {script} --uninstall", kept)
    upgrade.check_kept("uninstall, the event log kept")

    done = door.run(command, INSTALL_S)
    report.equal(done.code, 0, "new installation: exit code")
    upgrade.check_works("new installation", OLDER)

    _check_removed(upgrade, "uninstall everything", f"echo y | {script} --uninstall", [LOCK])
    report.equal(door.run("getent passwd doorlight; getent group doorlight").out, "", "uninstall everything: the user")
    door.power_off()
    door.boot(camera={"show": "masked"}, data="")
    door.wait_until(lambda: door.run("systemctl is-system-running").out.strip() in ("running", "degraded"), 120)
    report.equal(door.run("systemctl --failed --plain --no-legend").out, "", "uninstalled, booted: failed units")
    report.equal(door.sh(FIND).split(), [], "uninstalled, booted: files of Doorlight")
    report.equal({c.lamps for c in door.pin_changes()}, {"off"}, "uninstalled, booted: the lamps")


def _check_removed(upgrade: Upgrade, what: str, command: str, left: list[str]) -> None:
    """Uninstall while a masked person stands at the door: the lamps go off within seconds and stay off."""
    door, report = upgrade.door, upgrade.report
    wait_green(door)
    began = door.now()
    done = door.run(command, 120)
    report.equal((done.code, done.err), (0, ""), f"{what}: exit code, errors")
    off = door.wait_for_lamps("off", 10, since=began)
    report.measure(f"{what}: green for", off.t - began, "s", at_most=10)
    door.wait_until(lambda: door.now() > off.t + 8, 20)
    lamps = [c.lamps for c in door.pin_changes(began)]
    report.equal(lamps, ["green", "off"], f"{what}: the lamps until 8 s later")
    report.equal(door.sh(FIND).split(), left, f"{what}: remaining files")
    report.equal(door.run("pgrep -fa [d]oorlight").out, "", f"{what}: processes")
    units = door.run("systemctl status doorlight; systemctl --failed --plain --no-legend").out
    report.equal(units, "", f"{what}: units in systemd")
