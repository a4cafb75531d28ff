"""One update: choose a bundle, check it, build the new version beside the running one, switch, and begin the trial."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from calendar import timegm
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..counted import counted
from ..errors import ConfigError, DoorlightError, InputError, UnavailableError
from . import bundle as bundles
from . import download, fit, manifest, signature, version
from .bundle import Bundle
from .disk import Disk
from .door import Door
from .download import AddressBundle, Client
from .layout import Layout, version_of
from .manifest import Manifest
from .trial import HEALTHY_S, Trials

#: How often the door is asked whether a person is there.
ASK_EVERY_S = 5.0
#: Exit code of install.sh if the settings do not fit the new version.
WRONG_SETTINGS = 78


class Candidate(NamedTuple):
    """A bundle with a good signature. `digest` is the SHA-256 of its manifest, `data` and `signature` are the files."""

    bundle: Bundle
    manifest: Manifest
    digest: str
    data: bytes
    signature: bytes


class Installer:
    """Runs the bundle's own install.sh. It must be a checked one: it runs as root."""

    def __init__(self, say: Callable[[str], None] = print, lock: int | None = None) -> None:
        """`lock` is the descriptor of the lock of installations.

        The script inherits it: if this process is killed, nobody else installs until the script has ended.
        """
        self._say, self._lock = say, lock

    def prepare(self, staged: Path) -> Path:
        """Build the new version beside the running one and try it on a picture; return its folder.

        Raises ConfigError if the settings do not fit it, and UnavailableError if it cannot be built or does not work.
        """
        lines = self._run(staged, "--prepare")
        found = [line.removeprefix("release: ") for line in lines if line.startswith("release: ")]
        if not found:
            raise UnavailableError("the new version was not built: install.sh named no folder", "see the lines above")
        return Path(found[-1])

    def switch(self, staged: Path, release: Path) -> None:
        """Put the units and the like of the new version in their places, and make it the current one. Starts nothing.

        Raises UnavailableError.
        """
        self._run(staged, "--switch", str(release))

    def _run(self, staged: Path, *arguments: str) -> list[str]:
        command = ["sh", str(staged / manifest.INSTALLER), *arguments, "--wheels", str(staged / "wheels")]
        lines = []
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[] if self._lock is None else [self._lock],
            ) as process:
                for line in process.stdout or ():
                    lines.append(line.rstrip("\n"))
                    self._say(lines[-1])
        except OSError as error:
            raise UnavailableError(f"install.sh: cannot be run: {error.strerror}", "sudo dmesg | tail") from None
        if process.returncode == WRONG_SETTINGS:
            raise ConfigError("your settings do not fit the new version; nothing was changed", "see the lines above")
        if process.returncode:
            raise UnavailableError(
                f"the new version cannot be installed (install.sh: exit code {process.returncode}); the old one stays in use",
                "see the lines above",
            )
        return lines


class Updater:
    """Updates an installation. The caller holds the lock of installations."""

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        door: Door,
        trials: Trials,
        installer: Installer,
        machine: fit.Machine | None = None,
        client: Callable[[], Client] = Client,
        say: Callable[[str], None] = print,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._layout, self._disk, self._door, self._trials, self._installer = layout, disk, door, trials, installer
        self._machine = machine or fit.this_machine()
        self._client, self._say, self._sleep = client, say, sleep

    @property
    def installed(self) -> str:
        """The version that the service starts. Raises UnavailableError if none is installed."""
        release = self._layout.release_of(self._layout.current)
        if release is None:
            raise UnavailableError(
                f"{self._layout.current}: Doorlight is not installed here", "sudo scripts/install.sh"
            )
        return version_of(release)

    def choose(self, source: str) -> Candidate:
        """Return the bundle with the highest version that fits this box, of those at `source`.

        Its signature is good. Raises the error of the first bundle if none is right.
        """
        problem: DoorlightError | None = None
        best: Candidate | None = None
        for found in self._bundles(source):
            try:
                candidate = self._checked(found)
            except DoorlightError as error:
                problem = problem or error
                continue
            if best is None or version.is_lower(best.manifest.version, candidate.manifest.version):
                best = candidate
        if best is None:
            assert problem is not None, "there is at least one bundle"
            raise problem
        return best

    def _bundles(self, source: str) -> list[Bundle]:
        if "://" not in source:
            return bundles.find(Path(source))
        download.check_address(source)
        client = self._client()
        if not source.endswith(".tar"):
            return [AddressBundle(source, client)]
        self._disk.make_folder(self._layout.staging)
        path = download.download_tar(source, self._layout.staging, client)
        try:
            return [bundles.TarBundle(path)]
        except DoorlightError:
            path.unlink(missing_ok=True)  # the next attempt starts again
            raise

    def _checked(self, found: Bundle) -> Candidate:
        data = found.read(manifest.MANIFEST, manifest.MAX_MANIFEST_BYTES)
        signed = found.read(manifest.SIGNATURE, manifest.MAX_SIGNATURE_BYTES)
        # Nothing of the manifest is read before its signature is.
        signature.check(data, signed, self._layout.keys, self._last_made())
        parsed = manifest.parse(data)
        fit.check(parsed, self._machine)
        return Candidate(found, parsed, hashlib.sha256(data).hexdigest(), data, signed)

    def _last_made(self) -> float:
        """Return when the last bundle was made: the time is not before that. 0 if there was none."""
        result = self._trials.last_result()
        try:
            return float(timegm(time.strptime(result.made, "%Y-%m-%dT%H:%M:%SZ"))) if result is not None else 0.0
        except ValueError:
            return 0.0

    def reason_against(self, candidate: Candidate, allow_downgrade: bool, is_nightly: bool) -> str | None:
        """Return why there is nothing to do with a bundle; None if it is to be installed.

        Raises InputError if the version is lower and `allow_downgrade` is not set.
        """
        new, installed = candidate.manifest.version, self.installed
        if new == installed:
            return f"version {new} is installed already"
        result = self._trials.last_result()
        if is_nightly and result is not None and not result.kept and result.bundle == candidate.digest:
            return f"version {new} was tried and taken back on {result.time}: {result.reason}"
        try:
            is_lower = version.is_lower(new, installed)
        except ValueError:  # such as one of a developer
            is_lower = True
        if is_lower and not allow_downgrade:
            if is_nightly:
                return f"version {new} is not higher than the installed {installed}"
            raise InputError(
                f"{candidate.bundle.where}: version {new} is not higher than the installed {installed}",
                "if you want it: --allow-downgrade",
            )
        return None

    def note_latest(self, candidate: Candidate) -> None:
        """Write the version of the bundle, or the installed one if that is higher, for the link."""
        latest = candidate.manifest.version
        with contextlib.suppress(ValueError):  # such as one of a developer
            if version.is_lower(latest, self.installed):
                latest = self.installed
        # The update must not depend on it.
        with contextlib.suppress(OSError):
            self._disk.make_folder(self._layout.updates)
            self._disk.write(self._layout.latest, f"{latest}\n".encode())

    def update(self, candidate: Candidate, wait_s: float) -> None:
        """Install a bundle and begin its trial. `wait_s` is how long it waits until nobody stands at the door.

        Raises DoorlightError; the version before runs then.
        """
        if self._door.state().active == "inactive":
            raise UnavailableError(
                "the door is stopped, so a new version cannot be tried", "sudo systemctl start doorlight"
            )
        try:
            self._trials.tidy_releases()
            staged = self._stage(candidate)
        except OSError as error:
            raise bundles.not_written(self._layout.updates, error) from None
        release = self._installer.prepare(staged)
        if version_of(release) != candidate.manifest.version or not (release / ".complete").is_file():
            raise UnavailableError(
                f"{release}: is not version {candidate.manifest.version}", "ask for the bundle again"
            )
        self._disk.sync()
        self._wait_until_nobody_is_there(wait_s)
        self._switch(staged, release, candidate)

    def _stage(self, candidate: Candidate) -> Path:
        """Copy the bundle to the box, check it, and return its folder."""
        layout = self._layout
        staged = layout.staging / candidate.digest[:16]
        if layout.staging.is_dir():
            for other in layout.staging.iterdir():
                if other.is_dir() and other != staged:
                    self._disk.remove_tree(other)
        files = candidate.manifest.files
        already = sum(file.bytes for name, file in files.items() if bundles.is_staged(staged / name, file))
        fit.check_space(layout.opt, candidate.manifest, already)
        self._say(f"copying version {candidate.manifest.version} from {candidate.bundle.where} …")
        bundles.stage(candidate.bundle, candidate.manifest, staged, self._disk)
        # pip takes every wheel that it finds there.
        for path in sorted(staged.rglob("*")):
            if path.is_file() and str(path.relative_to(staged)) not in files:
                path.unlink()
        try:
            self._disk.write(staged / manifest.MANIFEST, candidate.data)
            self._disk.write(staged / manifest.SIGNATURE, candidate.signature)
        except OSError as error:
            raise bundles.not_written(staged, error) from None
        for path in layout.staging.glob("*.tar.part"):
            path.unlink()
        return staged

    def _wait_until_nobody_is_there(self, wait_s: float) -> None:
        waited_s = 0.0
        while self._door.is_anybody_there():
            if not waited_s:
                self._say("a person is at the door; waiting until nobody is …")
            if waited_s >= wait_s:
                raise UnavailableError(
                    f"a person was at the door for {counted(round(wait_s / 60), 'minute')}; nothing was changed",
                    "run the command again later",
                )
            self._sleep(ASK_EVERY_S)
            waited_s += ASK_EVERY_S

    def _switch(self, staged: Path, release: Path, candidate: Candidate) -> None:
        trials = self._trials
        try:
            units = [name.rpartition("/")[2] for name in candidate.manifest.files if name.startswith("systemd/")]
            trial = trials.begin(release, candidate.digest, units)
        except OSError as error:
            raise bundles.not_written(self._layout.updates, error) from None
        try:
            self._door.watch(True)
            self._installer.switch(staged, release)
            trials.keep_trial_units()
            self._disk.sync()
            self._door.reload_units()
            self._door.restart()
            with contextlib.suppress(UnavailableError):
                self._door.restart_others()
            trials.started(trial)
        except BaseException as error:
            reason = str(error) if isinstance(error, DoorlightError) else "the update was interrupted"
            problem = trials.go_back(trial, f"version {trial.version} could not be started: {reason}")
            trials.tidy_releases()
            if isinstance(error, DoorlightError | OSError):
                back = "is back, but does not start either" if problem else "runs again"
                raise UnavailableError(
                    f"version {trial.version} could not be started: {reason}; version {trial.previous_version} {back}",
                    "sudo journalctl -u doorlight -e",
                ) from None
            raise
        self._say(
            f"version {trial.version} runs on trial. It is kept after {HEALTHY_S / 60:g} healthy minutes; otherwise version "
            f"{trial.previous_version} comes back by itself. See: doorlight update --status"
        )


def yield_to_the_door() -> None:
    """Give the processor and the disk to the door first: this work has time."""
    with contextlib.suppress(OSError):
        os.nice(19)
    ionice = shutil.which("ionice")
    if ionice is not None:
        subprocess.run([ionice, "-c", "3", "-p", str(os.getpid())], capture_output=True, check=False)
