"""`doorlight update` in a machine with its own systemd and disk: whatever happens, one of the two versions runs, and says which."""

from __future__ import annotations

import random
import subprocess
from collections import Counter

import pytest

from support.virtual_door.updates import (
    BOOT_S,
    INSTALL_S,
    NEWER,
    TRIAL,
    TRIAL_S,
    LoggedRoot,
    Updates,
    facts,
    now,
)
from support.virtual_door.versions import break_later, break_start
from virtual_door import logwrites
from virtual_door.agent_client import MachineError
from virtual_door.door import Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = [pytest.mark.virtual_door, pytest.mark.slow]

CUTS = 50
SEED = 18
PHASES = ("preparing", "switching", "trying", "kept")


def test_fifty_power_cuts_of_an_update(lab: Lab, report: Report) -> None:
    """A power cut at 50 moments of an update that is kept after ten minutes, with a disk that loses its cache.

    The root is on the kernel's dm-log-writes. From the log of one update the disk is rebuilt for each moment, without the
    writes that were not flushed, and with a part of the sectors that the disk's cache received then. Each disk is booted.
    The moments are spread over the update's phases: while the new version is prepared, while it is switched to, during its
    trial, and after that.
    """
    with lab.door() as door:
        updates, root = Updates(door), LoggedRoot(lab, door)
        bundle = updates.make(NEWER)
        root.boot(door)
        door.wait_ready(BOOT_S)
        updates.trust()
        before = now(door)
        door.sh("sync")
        door.spawn(["/usr/bin/python3", "-I", "-B", "/root/vdoor/guest/update_marks.py", "root"], "marks.log")
        _update(door, report, bundle)
        door.wait_until(lambda: door.run(["test", "-e", TRIAL]).code == 1, TRIAL_S, "the new version is not kept")
        kept = facts(door)
        report.equal(kept.faults(before.others["settings"]), [], "the update without a power cut: faults")
        report.equal(kept.version, NEWER, "the update without a power cut: the version")
        door.sh("sync; sleep 2; sync")
        door.power_cut()
        moments = _choose(root.moments(), CUTS)
        image = door.session / "cut.ext4"
        subprocess.run(["cp", "--sparse=always", door.session / "root.ext4", image], check=True)
        faults: dict[str, list[str]] = {phase: [] for phase in PHASES}
        versions: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
        rngs = {moment: random.Random(moment) for moment in moments}
        for moment in logwrites.disks(root.log, image, rngs):
            phase = moments[moment]
            try:
                with lab.door(image=image) as booted:
                    booted.boot(data="", within_s=BOOT_S)
                    found = facts(booted)
                wrong = found.faults(before.others["settings"])
                if found.version == NEWER and not found.status[-1].endswith(": kept"):
                    wrong.append(f"the newer version runs without a healthy time: {found.status}")
                versions[phase][found.version or "none"] += 1
                faults[phase] += [f"moment {moment}: {fault}" for fault in wrong]
            except MachineError as error:
                versions[phase]["none"] += 1
                faults[phase].append(f"moment {moment}: {error}")
        for phase in PHASES:
            count = sum(versions[phase].values())
            # The mark "kept" comes a moment after the version is kept, and before that is durable.
            allowed = {NEWER, before.version} if phase in ("trying", "kept") else {before.version}
            done = f"power cut while the new version is {phase}, then a boot"
            report.equal(faults[phase], [], f"{done}: contradictions", count)
            seen = ", ".join(f"{version}: {n}" for version, n in sorted(versions[phase].items()))
            expected = f"only {' or '.join(sorted(allowed))}"
            report.check(set(versions[phase]) <= allowed, f"{done}: the version that runs", expected, seen, count)


def _choose(moments: dict[int, str], count: int) -> dict[int, str]:
    """Choose moments, the same number of each phase as far as there are so many."""
    rng, chosen = random.Random(SEED), dict[int, str]()
    of_phase = {phase: [k for k, found in moments.items() if found == phase] for phase in PHASES}
    for left, phase in enumerate(sorted(PHASES, key=lambda phase: len(of_phase[phase]))):
        share = (count - len(chosen)) // (len(PHASES) - left)
        for moment in rng.sample(of_phase[phase], min(share, len(of_phase[phase]))):
            chosen[moment] = phase
    return dict(sorted(chosen.items()))


def _update(door: Door, report: Report, bundle: str) -> None:
    done = door.run(f"doorlight update {bundle}", INSTALL_S)
    report.check(done.code == 0, "doorlight update", "exit code 0", f"{done.code}: {(done.out + done.err)[-500:]}")
    if done.code:
        raise MachineError(f"doorlight update: {done.out}{done.err}")


#: Versions that are installed and do not stay: number, what breaks, whether it breaks at once, the reason in --status.
BAD_VERSIONS = (
    ("99.1.0", "crashes at its start", "", "could not be started"),
    ("99.2.0", "crashes after a start", "os.abort()", "ended by itself"),
    ("99.3.0", "hangs", "while True: pass", "ended by itself (watchdog)"),
    ("99.4.0", "uses too much memory", "kept = [bytearray(b'x' * (2 << 20)) for _ in range(1000)]", "ended by itself"),
)


def test_bad_versions_go_back(lab: Lab, report: Report) -> None:
    """A version that crashes at its start, crashes later, hangs, or uses too much memory: the one before is back by itself.

    Then the power is cut during the trial of a good version: the one before is back at the next boot, and stays at the boot after.
    """
    with lab.door() as door:
        updates = Updates(door)
        bundles = {
            number: updates.make(number, lambda source, fault=fault: break_later(source, fault) if fault else break_start(source))  # type: ignore[misc]
            for number, _, fault, _ in BAD_VERSIONS
        }  # fmt: skip
        good = updates.make(NEWER)
        door.boot(data="", within_s=BOOT_S)
        door.wait_ready(BOOT_S)
        updates.trust()
        before = now(door)
        for number, what, fault, reason in BAD_VERSIONS:
            done = door.run(f"doorlight update {bundles[number]}", INSTALL_S)
            began = door.now()
            report.equal(done.code, 0 if fault else 69, f"a version that {what}: exit code of doorlight update")
            door.wait_until(lambda: door.run(["test", "-e", TRIAL]).code == 1, TRIAL_S, f"{what}: is not taken back")
            report.measure(f"a version that {what}: taken back after", door.now() - began, "s", at_most=180)
            found = facts(door)
            report.equal(found.faults(before.others["settings"]), [], f"a version that {what}: contradictions")
            report.equal(found.version, before.version, f"a version that {what}: the version that runs")
            report.check(reason in found.status[-1], f"a version that {what}: --status", reason, found.status[-1])
        _update(door, report, good)
        report.equal(now(door).version, NEWER, "a good version on trial: the version that runs")
        door.power_cut()
        for what in ("power cut during the trial, then a boot", "one more boot"):
            door.boot(data="", within_s=BOOT_S)
            found = facts(door)
            report.equal(found.faults(before.others["settings"]), [], f"{what}: contradictions")
            report.equal(found.version, before.version, f"{what}: the version that runs")
            reason = "the box was restarted"
            report.check(reason in found.status[-1], f"{what}: --status", reason, found.status[-1])
            door.power_cut()
