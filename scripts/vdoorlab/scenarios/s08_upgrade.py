"""A running door is upgraded, downgraded and taken away: right again within seconds, its log and settings untouched.

scripts/install.sh as people run it, under the live systemd, somebody masked at the door all the time. First upgrades that
come to nothing: a package is missing, the plug is pulled while packages are unpacked, the settings do not fit: the door goes
on. Then one that works, and the plug pulled at its end; one whose program does not start, upon which the door before must be
on again; a downgrade, with settings that only the newer one knows and without. In the end both ways to uninstall, with an
installation from nothing in between.
"""

from __future__ import annotations

from itertools import pairwise

from vdoorlab.machine import STATE, Change, Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._process import green
from vdoorlab.scenarios._versions import Versions, that_does_not_start, with_a_setting

QUICK = False
SETTINGS = "/etc/doorlight/doorlight.toml"
CURRENT = "/opt/doorlight/current"
UNPACKED = "/opt/doorlight/releases/*/lib/python3.11/site-packages/cv2"
OLDER, NEWER, BROKEN = "0.0.9", "0.2.0", "0.3.0"
#: Installing packages takes long on a machine that is a program.
INSTALL_S = 900
#: A door that ends and one that starts, on this machine, where that takes 2 to 9 s.
DARK_S = 15.0
#: Two that start, the first of which blinks red for 5 s before it ends.
BACK_S = 40.0
#: The lock of installations is in memory, and gone at the next boot.
LOCK = "/run/doorlight-install.lock"
FIND = "find / /run /dev -xdev -iname '*doorlight*' -not -path '/root/*' | sort -u"


class Bench:
    """A door, its versions, and what must not change."""

    def __init__(self, door: Machine, report: Report) -> None:
        self.door = door
        self.report = report
        self.versions = Versions(door)
        self.lines: list[str] = []
        self.settings = ""

    def set(self, settings: str) -> None:
        """Somebody edits the settings."""
        self.settings = settings
        self.door.write(SETTINGS, settings)

    def identity(self) -> tuple[str, str]:
        """Which process is the door, and which program is installed."""
        return self.door.properties("MainPID")["MainPID"], self.door.sh(f"readlink {CURRENT}").strip()

    def untouched(self, what: str, before: tuple[str, str], since: float) -> None:
        """The door of before has shown green all the time."""
        self.report.equal(self.identity(), before, f"{what}: the process and the program")
        self.green_all_the_while(what, since)
        self.kept(what)

    def green_all_the_while(self, what: str, since: float) -> None:
        changes = self.door.changes(since)
        seen = "; ".join(f"{c.t - since:.1f} s {c.looks}" for c in changes)
        self.report.check({c.looks for c in changes} == {"green"}, f"{what}: the lamps all the while", "green", seen)

    def kept(self, what: str) -> None:
        """Every line of before is in the log, numbers rise, nothing is damaged; the settings are as somebody left them."""
        lines = self.door.event_lines()
        events = self.door.events()
        self.report.check(
            lines[: len(self.lines)] == self.lines and len(lines) >= len(self.lines),
            f"{what}: lines that were in the event log",
            f"the same {len(self.lines)}",
            f"{sum(line in lines for line in self.lines)} of them, {len(lines) - len(self.lines)} more",
        )
        seqs = [event.get("seq", -1) for event in events]
        self.report.equal(
            [(a, b) for a, b in pairwise(seqs) if b <= a] + [e for e in events if "damaged" in e],
            [],
            f"{what}: damaged lines, and numbers that do not rise",
        )
        self.report.equal(self.door.read(SETTINGS), self.settings, f"{what}: the settings")
        self.lines = lines

    def switched(self, what: str, code: int | None, to: str, changes: list[Change]) -> None:
        """It is the door of version `to` by now, dark only for as long as it takes to start."""
        self.report.equal(code, 0, f"{what}: exit code")
        self.report.equal([c.looks for c in changes], ["green", "off", "green"], f"{what}: the lamps all the while")
        self.report.measure(f"{what}: no light for", _not_green(changes), "s", at_most=DARK_S)
        self.works(what, to)

    def works(self, what: str, version: str) -> None:
        """The door runs, and is of this version altogether."""
        door, report = self.door, self.report
        report.equal(door.wait_for("green", 60, since=door.now()).looks, "green", f"{what}: the lamps")
        report.equal(door.sh("doorlight --version").strip(), f"doorlight {version}", f"{what}: doorlight --version")
        pid, program = self.identity()
        mapped = door.sh(f"grep -o '/opt/doorlight/releases/[0-9]*' /proc/{pid}/maps | sort -u").split()
        report.equal(mapped, [program], f"{what}: the program in memory is the one installed")
        unit = door.read("/etc/systemd/system/doorlight.service").splitlines()[-1]
        report.equal(unit, f"# of {version}", f"{what}: the unit")
        knows = "porch" in door.read("/etc/doorlight/defaults.toml")
        report.equal(knows, version == NEWER, f"{what}: defaults.toml explains the newer one's setting")
        self.kept(what)


def _not_green(changes: list[Change]) -> float:
    """Seconds without green between two times of green."""
    green = [c.t for c in changes if c.looks == "green"]
    dark = next(c.t for c in changes if c.looks != "green")
    return green[-1] - dark


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        bench = Bench(door, report)
        bench.versions.make(OLDER)
        bench.versions.make(NEWER, with_a_setting)
        bench.versions.make(BROKEN, that_does_not_start)
        _boot(door)
        bench.set(door.read(SETTINGS) + "\n# Written by whoever owns the door.\n[policy]\nhold_s = 1.0\n")
        door.sh("systemctl restart doorlight", 150)
        green(door)
        bench.lines = door.event_lines()
        _to_nothing(bench)
        _upgrade(bench)
        _broken(bench)
        _downgrade(bench)
        _uninstall(bench)


def _boot(door: Machine) -> None:
    """Without a disk of its own for the log, as on a Raspberry Pi: uninstalling may take the folder away."""
    door.boot(wait_for="ready", camera={"show": "masked"}, data="")
    green(door)


def _to_nothing(bench: Bench) -> None:
    """Upgrades that end before anything is switched over."""
    door, report = bench.door, bench.report
    before, began = bench.identity(), door.now()
    command = bench.versions.choose(NEWER)
    wheel = bench.versions.without("msgspec")
    done = door.run(command, INSTALL_S)
    bench.versions.give_back(wheel)
    what = "upgrade, a package is missing"
    report.equal(done.code, 69, f"{what}: exit code")
    report.check("msgspec" in done.err, f"{what}: it says", "msgspec …", done.err[-300:])
    bench.untouched(what, before, began)

    began = door.now()
    door.spawn(bench.versions.choose(NEWER), "cut.log")
    door.wait_until(lambda: door.run(f"ls -d {UNPACKED}").out.count("\n") > 1, INSTALL_S, "nothing was unpacked")
    what = "upgrade, the plug pulled while packages are unpacked"
    bench.green_all_the_while(f"{what}, until then", began)
    door.power_cut()
    _boot(door)
    report.equal(bench.identity()[1], before[1], f"{what}, booted: the program")
    bench.kept(f"{what}, booted")

    before, began, good = bench.identity(), door.now(), bench.settings
    door.write(SETTINGS, good + "grin = 5\n")
    done = door.run(bench.versions.choose(NEWER), INSTALL_S)
    door.write(SETTINGS, good)
    what = "upgrade, the settings do not fit"
    report.equal(done.code, 78, f"{what}: exit code")
    report.check("grin" in done.err, f"{what}: it says", "grin …", done.err[-300:])
    bench.untouched(what, before, began)


def _upgrade(bench: Bench) -> None:
    door, began = bench.door, bench.door.now()
    done = door.run(bench.versions.choose(NEWER), INSTALL_S)
    changes = door.changes(began)
    door.power_cut()
    _boot(door)
    bench.switched("upgrade, then at once the plug pulled, booted", done.code, NEWER, changes)
    began = door.now()
    done = door.run(bench.versions.choose(NEWER), INSTALL_S)
    bench.switched("the same version again", done.code, NEWER, door.changes(began))
    bench.report.check(
        "built already" in done.out and "wrote" not in done.out,
        "the same version again",
        "nothing is written",
        done.out,
    )


def _broken(bench: Bench) -> None:
    door, report, began = bench.door, bench.report, bench.door.now()
    program = bench.identity()[1]
    done = door.run(bench.versions.choose(BROKEN), INSTALL_S)
    what = "upgrade to a version that does not start"
    report.equal(done.code, 69, f"{what}: exit code")
    said = "the one before is on again" in done.err and "this version is broken" in done.err
    report.check(said, f"{what}: it says", "what it said, and that the one before is on again", done.err[-500:])
    report.equal(bench.identity()[1], program, f"{what}: the program")
    changes = door.changes(began)
    report.check(
        {c.looks for c in changes} <= {"green", "off", "red"}, f"{what}: lamps", "green, dark or FAULT", changes
    )
    bench.works(what, NEWER)
    report.measure(f"{what}: no green for", _not_green(door.changes(began)), "s", at_most=BACK_S)


def _downgrade(bench: Bench) -> None:
    door, report = bench.door, bench.report
    good = bench.settings
    bench.set(good.replace("wait = true", "wait = true\nporch = true"))
    before, began = bench.identity(), door.now()
    done = door.run(bench.versions.choose(OLDER), INSTALL_S)
    what = "downgrade, with a setting that only the newer one knows"
    report.equal(done.code, 78, f"{what}: exit code")
    report.check("porch" in done.err, f"{what}: it says", "porch …", done.err[-300:])
    bench.untouched(what, before, began)
    bench.set(good)
    began = door.now()
    done = door.run(bench.versions.choose(OLDER), INSTALL_S)
    bench.switched("downgrade", done.code, OLDER, door.changes(began))
    report.equal(door.sh("ls /opt/doorlight/releases | wc -l").strip(), "1", "downgrade: programs on the disk")


def _uninstall(bench: Bench) -> None:
    door, report, versions = bench.door, bench.report, bench.versions
    command = versions.choose(OLDER)
    script = command.split()[0]
    _gone(
        bench,
        "uninstall, the event log kept",
        f"echo n | {script} --uninstall",
        ["/etc/doorlight", SETTINGS, LOCK, STATE],
    )
    bench.kept("uninstall, the event log kept")

    done = door.run(command, INSTALL_S)
    report.equal(done.code, 0, "installed again, from nothing: exit code")
    bench.works("installed again, from nothing", OLDER)

    _gone(bench, "uninstall, all of it", f"echo y | {script} --uninstall", [LOCK])
    report.equal(door.run("getent passwd doorlight; getent group doorlight").out, "", "uninstall, all of it: the user")
    door.power_off()
    door.boot(camera={"show": "masked"}, data="")
    door.wait_until(lambda: door.run("systemctl is-system-running").out.strip() in ("running", "degraded"), 120)
    report.equal(door.run("systemctl --failed --plain --no-legend").out, "", "uninstalled, booted: what failed")
    report.equal(door.sh(FIND).split(), [], "uninstalled, booted: what is left of it")
    report.equal({c.looks for c in door.changes()}, {"off"}, "uninstalled, booted: the lamps")


def _gone(bench: Bench, what: str, command: str, left: list[str]) -> None:
    """Take the door away from under somebody masked: dark within seconds, and for good."""
    door, report = bench.door, bench.report
    green(door)
    began = door.now()
    done = door.run(command, 120)
    report.equal((done.code, done.err), (0, ""), f"{what}: exit code, errors")
    off = door.wait_for("off", 10, since=began)
    report.measure(f"{what}: green for", off.t - began, "s", at_most=10)
    door.wait_until(lambda: door.now() > off.t + 8, 20)
    report.equal([c.looks for c in door.changes(began)], ["green", "off"], f"{what}: the lamps, until 8 s later")
    report.equal(door.sh(FIND).split(), left, f"{what}: what is left")
    report.equal(door.run("pgrep -fa [d]oorlight").out, "", f"{what}: processes")
    said = door.run("systemctl status doorlight; systemctl --failed --plain --no-legend").out
    report.equal(said, "", f"{what}: what systemd knows of it")
