"""The trial of a new version: its state on the disk, how it is kept, and the way back.

The file trial.json exists from before the first change until the update is kept or taken back. Whatever happens in between, a power
cut at any point included, the files of the previous version are there: its program in /opt/doorlight/releases, and its units and
the like in `undo`. doorlight-trial.service looks after the trial every half minute, and at boot before the door starts; it runs
the previous version's program.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from ..errors import InputError, UnavailableError
from . import managed_files, manifest
from .disk import Disk
from .door import Door
from .layout import Layout, version_of

_Record = TypeVar("_Record")

#: A new version is kept after this time without a fault.
HEALTHY_S = 600.0
#: It is taken back if it has not been healthy for that long within this time.
MAX_TRIAL_S = 1800.0

#: The reason of `doorlight update --rollback`.
BY_HAND = "by hand"
#: The units that look after a trial.
TRIAL_UNITS = ("etc/systemd/system/doorlight-trial.service", "etc/systemd/system/doorlight-trial.timer")

#: "switching": files of the new version are being put in their places; "trying": the new version runs; "back": the previous
#: version's files are being put back.
Phase = Literal["switching", "trying", "back"]


class Trial(msgspec.Struct, frozen=True):
    """A trial, as stored in trial.json.

    `release` and `previous_release` are names of folders, `bundle` is the SHA-256 of the manifest, `began` is UTC and
    `began_s` seconds since boot. `units` are the units that the new version writes. `boot` is the content of `Layout.boot`
    until the box restarts. `was_fault`: the previous version showed FAULT. `reason` is why the trial is taken back.
    """

    phase: Phase
    version: str
    release: str
    previous_version: str
    previous_release: str
    bundle: str
    boot: str
    began: str
    began_s: float
    units: tuple[str, ...] = ()
    was_fault: bool = False
    reason: str = ""


class Health(msgspec.Struct, frozen=True):
    """What the trial has seen: since when (seconds since boot) this start of the door has been healthy."""

    invocation: str
    healthy_since_s: float


class Result(msgspec.Struct, frozen=True):
    """How the last update ended. `bundle` is the SHA-256 of its manifest; `made` is when the bundle was made."""

    kept: bool
    version: str
    previous_version: str
    bundle: str
    time: str
    reason: str = ""
    made: str = ""
    units: tuple[str, ...] = ()


def now_text() -> str:
    """Return the time as in the event log."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Trials:
    """Begins, watches and ends a trial."""

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        door: Door,
        clock: Callable[[], float] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """`clock` returns the seconds since boot."""
        self._layout, self._disk, self._door = layout, disk, door
        self._clock = clock or (lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
        self._say = say

    def pending(self) -> Trial | None:
        """Return the trial that has neither been kept nor taken back. Raises UnavailableError if its file cannot be read."""
        return read(self._layout.trial, Trial)

    def begin(self, release: Path, bundle: str, units: Iterable[str]) -> Trial:
        """Save what belongs to the running version, and record that a switch to `release` begins. Durable when it returns.

        `units` are the names of the units that the new version writes.
        """
        layout, disk = self._layout, self._disk
        previous = layout.release_of(layout.current)
        if previous is None:
            raise UnavailableError(f"{layout.current}: no complete version is installed", "run scripts/install.sh")
        disk.make_folder(layout.updates)
        managed_files.save(layout, disk)
        disk.link(str(previous), layout.previous)
        boot = secrets.token_hex(8)
        layout.boot.write_text(boot, encoding="ascii")
        trial = Trial(
            "switching", version_of(release), release.name, version_of(previous), previous.name, bundle,
            boot, now_text(), self._clock(), tuple(units), self._door.state().signal == "FAULT",
        )  # fmt: skip
        self._store(trial)
        return trial

    def keep_trial_units(self) -> None:
        """Put the previous version's units that look after a trial back, until the new version is kept.

        The way back must not depend on files of the new version.
        """
        for unit in TRIAL_UNITS:
            saved = self._layout.undo / unit
            if saved.is_file():
                self._disk.write(self._layout.root / unit, saved.read_bytes())

    def started(self, trial: Trial) -> None:
        """Record that the new version has started: ten minutes begin."""
        self._store(msgspec.structs.replace(trial, phase="trying", began=now_text(), began_s=self._clock()))
        self._layout.health.unlink(missing_ok=True)

    def watch(self) -> None:
        """Look after the trial once: keep the new version, take it back, or wait. Called every half minute, and at boot."""
        trial = self.pending()
        if trial is None:
            with contextlib.suppress(UnavailableError):
                self._door.watch(False)
            return
        if trial.phase == "back":
            self.go_back(trial, trial.reason, wait=False)
        elif trial.phase == "switching":
            self.go_back(trial, "the update was interrupted", wait=False)
        elif not self._is_boot_of(trial):
            minutes = HEALTHY_S / 60
            self.go_back(trial, f"the box was restarted before {minutes:g} healthy minutes", wait=False)
        elif (problem := self._problem(trial)) is not None:
            self.go_back(trial, problem, wait=False)
        elif self._healthy_s(trial) >= HEALTHY_S:
            self.keep(trial)

    def _is_boot_of(self, trial: Trial) -> bool:
        """Return whether the box has not restarted since the trial began."""
        with contextlib.suppress(OSError):
            return self._layout.boot.read_text(encoding="ascii", errors="replace") == trial.boot
        return False

    def _problem(self, trial: Trial) -> str | None:
        """Return why the new version is not to be kept; None if it may be."""
        state = self._door.state()
        if state.restarts or state.active == "failed":
            how = "" if state.result in ("", "success") else f" ({state.result})"
            return f"version {trial.version} ended by itself{how}"
        if self._clock() - trial.began_s > MAX_TRIAL_S:
            what = state.status or "not running"
            return (
                f"version {trial.version} was not healthy for long enough within {MAX_TRIAL_S / 60:g} minutes: {what}"
            )
        return None

    def _healthy_s(self, trial: Trial) -> float:
        """Return for how many seconds the door has been healthy without a break, and remember it."""
        state, now = self._door.state(), self._clock()
        health = None
        with contextlib.suppress(UnavailableError):
            health = read(self._layout.health, Health)
        is_healthy = state.is_running and (state.signal != "FAULT" or trial.was_fault)
        if not is_healthy:
            self._layout.health.unlink(missing_ok=True)
            return 0.0
        if health is None or health.invocation != state.invocation:
            health = Health(state.invocation, now)
            # In memory, and nothing is lost with it but the time: no need for a durable write.
            self._layout.health.write_bytes(msgspec.json.encode(health))
        return now - health.healthy_since_s

    def keep(self, trial: Trial) -> None:
        """Keep the new version. The previous one stays for `doorlight update --rollback`; older ones are removed."""
        made = self._made(trial)
        staged = self._layout.staging / trial.bundle[:16]
        for unit in TRIAL_UNITS:
            new = staged / "systemd" / Path(unit).name
            if new.is_file():
                self._disk.write(self._layout.root / unit, new.read_bytes())
        with contextlib.suppress(UnavailableError):
            self._door.reload_units()
        self._finish(
            Result(True, trial.version, trial.previous_version, trial.bundle, now_text(), "", made, trial.units)
        )
        self._say(f"version {trial.version} is kept")
        self.tidy()

    def go_back(self, trial: Trial, reason: str, wait: bool = True) -> str:
        """Put the previous version back and start it. Return why that does not start either, or "".

        May be repeated at any point after an interruption. Without `wait` it does not wait for the start of the door: at boot,
        this comes before it.
        """
        layout, disk = self._layout, self._disk
        previous = layout.releases / trial.previous_release
        if not (previous / ".complete").is_file():
            # Somebody removed it. A door without a program is worse than one on trial.
            self._say(f"{previous}: is gone; version {trial.version} stays")
            self._finish(Result(True, trial.version, trial.previous_version, trial.bundle, now_text(), reason))
            return f"{previous} is gone; version {trial.version} stays"
        self._say(f"back to version {trial.previous_version}: {reason}")
        made = self._made(trial)
        # First of all room, if the disk is full.
        disk.remove_tree(layout.staging)
        if trial.phase != "back":
            self._store(msgspec.structs.replace(trial, phase="back", reason=reason))
        disk.link(str(previous), layout.current)
        managed_files.restore(layout, disk, trial.units)
        managed_files.keep_for_next_boot(layout, disk)
        disk.sync()
        with contextlib.suppress(UnavailableError):
            self._door.reload_units()
        problem = ""
        try:
            self._door.restart(wait)
        except UnavailableError as error:
            # Not the fault of the version: nothing is gained by trying the other one again.
            problem = str(error)
            self._say(problem)
        with contextlib.suppress(UnavailableError):
            self._door.restart_others()
        self._finish(
            Result(False, trial.version, trial.previous_version, trial.bundle, now_text(), reason, made, trial.units)
        )
        return problem

    def rollback(self) -> str:
        """Put the version before the last update back, at once. Return its number.

        Raises UnavailableError if there is none, or if it does not start.
        """
        trial = self.pending() or self._trial_of_the_last_update()
        if trial.phase != "back":
            trial = msgspec.structs.replace(trial, phase="back", reason=BY_HAND)
            self._store(trial)
        problem = self.go_back(trial, BY_HAND)
        if problem:
            raise UnavailableError(
                f"version {trial.previous_version} is back, but does not start: {problem}", "sudo doorlight doctor"
            )
        return trial.previous_version

    def _trial_of_the_last_update(self) -> Trial:
        """Return the trial that the last update was, as if it had not been kept. Raises UnavailableError if there is none."""
        layout = self._layout
        previous, current = layout.release_of(layout.previous), layout.release_of(layout.current)
        if previous is None or current is None or previous == current or not layout.undo.is_dir():
            raise UnavailableError(
                "there is no version to go back to", "install the one that you want: doorlight update --allow-downgrade"
            )
        result = self.last_result()
        return Trial(
            "trying", version_of(current), current.name, version_of(previous), previous.name,
            result.bundle if result else "", "", now_text(), self._clock(), result.units if result else (),
        )  # fmt: skip

    def last_result(self) -> Result | None:
        """Return how the last update ended; None if there was none, or if that is not known."""
        with contextlib.suppress(UnavailableError):
            return read(self._layout.result, Result)
        return None

    def _made(self, trial: Trial) -> str:
        """Return when the last bundle that is known was made: a lower limit for a clock that is not set."""
        with contextlib.suppress(OSError, InputError):
            path = self._layout.staging / trial.bundle[:16] / manifest.MANIFEST
            return manifest.parse(path.read_bytes()).made
        result = self.last_result()
        return result.made if result is not None else ""

    def _store(self, trial: Trial) -> None:
        self._disk.write(self._layout.trial, msgspec.json.encode(trial))

    def _finish(self, result: Result) -> None:
        """Store the result, then end the trial: if the power goes in between, the trial is taken back once more."""
        self._disk.write(self._layout.result, msgspec.json.encode(result))
        self._disk.remove(self._layout.trial)
        self._layout.health.unlink(missing_ok=True)
        with contextlib.suppress(UnavailableError):
            self._door.watch(False)

    def tidy(self) -> None:
        """Remove staged bundles, and versions that are neither in use nor the one before. Not while a trial is pending."""
        self._disk.remove_tree(self._layout.staging)
        self.tidy_releases()

    def tidy_releases(self) -> None:
        """Remove versions that are neither in use nor the one before. Not while a trial is pending."""
        layout = self._layout
        needed = {layout.release_of(layout.current), layout.release_of(layout.previous)}
        for release in sorted(layout.releases.iterdir()) if layout.releases.is_dir() else []:
            if release not in needed and not _is_mapped(release):
                self._disk.remove_tree(release)


def _is_mapped(release: Path) -> bool:
    """Return whether a process runs this version: each has mapped a compiled library of it."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if f"{release}/" in maps.read_text(errors="replace"):
                return True
    return False


def read(path: Path, kind: type[_Record]) -> _Record | None:
    """Return the record in a file of this package; None if there is no such file.

    Raises UnavailableError if it cannot be read: it is written by this package only, and complete at any time.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read: {error.strerror}", "sudo dmesg | tail") from None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnavailableError(
            f"{path}: is damaged: {error}", "run scripts/install.sh of the version that you want"
        ) from None
