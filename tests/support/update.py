"""An installation in a folder, with a door and an installer that only change files, and bundles for it."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.errors import UnavailableError
from edge.update import trial
from edge.update.disk import Disk
from edge.update.door import Door, DoorState
from edge.update.fit import Machine
from edge.update.layout import Layout, version_of
from edge.update.updater import Candidate, Installer, Updater
from releasing import bundle

MACHINE = Machine("aarch64", (3, 11))
WHEELS = ("doorlight-{version}-py3-none-any.whl", "numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.whl")
needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (openssh-client) is not installed"
)


@functools.cache
def keys() -> Path:
    """Return a folder with two key pairs, "release" and "other"."""
    folder = Path(tempfile.mkdtemp(prefix="doorlight-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("release", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=60)
    return folder


def unit_text(version: str) -> str:
    """Return the door's unit of a version."""
    return f"[Service]\n# {version}\n"


def add_release(layout: Layout, name: str, version: str, disk: Disk | None = None) -> Path:
    """Write a program. Without `disk`, it is complete and durable."""
    release = layout.releases / name
    files = {
        f"lib/python3.11/site-packages/doorlight-{version}.dist-info": version,
        "bin/doorlight": version,
        ".complete": ".",
    }
    for file, text in files.items():
        target = release / file
        if disk is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            continue
        disk.make_folder(target.parent)
        if file == ".complete":
            disk.sync()
        disk._write(target, text.encode())
    return release


def install(root: Path, version: str = "0.1.0") -> Layout:
    """Install a version in a folder, as scripts/install.sh does."""
    layout = Layout(root)
    release = add_release(layout, f"r{version}", version)
    layout.current.symlink_to(release)
    for path, text in {
        "etc/systemd/system/doorlight.service": unit_text(version),
        "etc/systemd/system/doorlight-trial.service": f"# trial {version}\n",
        "etc/systemd/system/doorlight.service.d/override.conf": "# of the user\n",
        "etc/doorlight/defaults.toml": f"# {version}\n",
        "etc/doorlight/doorlight.toml": "# of the user\n",
        "run/here": "",
    }.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return layout


def trust(layout: Layout, name: str = "release", options: str = "") -> None:
    """Trust a key of `keys`."""
    key = (keys() / f"{name}.pub").read_text().split()[:2]
    layout.keys.write_text(f"doorlight {options}{' '.join(key)}\n")
    layout.keys.chmod(0o644)


def add_bundle(
    folder: Path, version: str = "0.2.0", key: str = "release", wheels: Sequence[str] = WHEELS, architecture: str = "aarch64",
    changes: Mapping[str, Any] | None = None, **more: Any,
) -> Path:  # fmt: skip
    """Write a signed bundle; `changes` replaces values of its manifest before it is signed."""
    with tempfile.TemporaryDirectory() as scratch:
        names = [f"wheels/{wheel.format(version=version)}" for wheel in wheels]
        names += [
            "scripts/install.sh",
            "systemd/doorlight.service",
            "systemd/doorlight-trial.service",
            "systemd/doorlight-new.service",
        ]
        files = {}
        for number, name in enumerate(names):
            files[name] = Path(scratch) / str(number)
            files[name].write_text(unit_text(version) if name.startswith("systemd") else f"{name} {version}\n" * 50)
        bundle.write(folder, files, version, architecture, **more)
    if changes is not None:
        path = folder / bundle.MANIFEST
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    bundle.sign(folder, keys() / key)
    return folder


class QuickDisk(Disk):
    """A disk that does not wait: os.sync() waits for everything that the machine writes."""

    def _fsync(self, path: Path) -> None:
        pass

    def _fsync_folder(self, path: Path) -> None:
        pass

    def _sync(self) -> None:
        pass


class FakeDoor(Door):
    """A door whose process is a file: it runs if its version's program is complete and its unit is of the same version."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.root / "events.jsonl", layout.root)
        self.layout = layout
        self.broken: set[str] = set()
        self.status = "IDLE, 14.8 frames/s, CPU, all well"
        self.restarts, self.starts = 0, 0
        self.running = self._startable()
        self.is_watched = False

    def _startable(self) -> str:
        """Return the version that would start; "" if none would."""
        release = self.layout.release_of(self.layout.current)
        if release is None or not (release / "bin/doorlight").read_text():
            return ""
        return version_of(release)

    def state(self) -> DoorState:
        active = "active" if self.running else "failed"
        return DoorState(
            active,
            "success",
            self.restarts,
            f"start-{self.starts}",
            int(bool(self.running)),
            self.status if self.running else "",
        )

    def restart(self, wait: bool = True) -> None:
        self.starts, self.restarts, self.running = self.starts + 1, 0, ""
        version = self._startable()
        if not version or version in self.broken:
            raise UnavailableError("doorlight.service: failed")
        self.running = version

    def reload_units(self) -> None:
        pass

    def watch(self, is_on: bool) -> None:
        self.is_watched = is_on

    def restart_others(self) -> None:
        pass

    def program_of(self, pid: int) -> str:
        release = next((each for each in self.layout.releases.iterdir() if version_of(each) == self.running), None)
        return str(release / "bin/python") if release else ""


class FakeInstaller(Installer):
    """Does with `disk` what install.sh does with files, in an order of its own."""

    def __init__(self, layout: Layout, disk: Disk, seed: int = 0) -> None:
        super().__init__(lambda line: None)
        self._layout, self._disk, self._random = layout, disk, random.Random(seed)
        self.problem: Exception | None = None

    def prepare(self, staged: Path) -> Path:
        if self.problem is not None:
            raise self.problem
        wheel = next((staged / "wheels").glob("doorlight-*.whl"))
        version = wheel.name.split("-")[1]
        name = hashlib.sha256(wheel.read_bytes()).hexdigest()[:8]
        release = self._layout.releases / name
        if not (release / ".complete").exists():
            self._disk.remove_tree(release)
            add_release(self._layout, name, version, self._disk)
        return release

    def switch(self, staged: Path, release: Path) -> None:
        version = version_of(release)
        units = "etc/systemd/system/"
        files = {
            f"{units}doorlight.service": unit_text(version),
            f"{units}doorlight-trial.service": f"# trial {version}\n",
            f"{units}doorlight-new.service": f"# {version}\n",
            "etc/doorlight/defaults.toml": f"# {version}\n",
        }
        steps = [*files, "current"]
        self._random.shuffle(steps)
        for step in steps:
            if step == "current":
                new = self._layout.current.with_name("current.new")
                self._disk._unlink(new)
                self._disk._symlink(str(release), new)
                self._disk._rename(new, self._layout.current)
            else:
                target = self._layout.root / step
                self._disk._write(target.with_name(f"{target.name}.new"), files[step].encode())
                self._disk._rename(target.with_name(f"{target.name}.new"), target)


class Box:
    """An installed box, and its updater. `now_s` is the time since boot."""

    def __init__(self, root: Path, disk: Disk | None = None, seed: int = 0, is_installed: bool = False) -> None:
        self.layout = Layout(root) if is_installed else install(root)
        self.disk = disk or QuickDisk()
        self.said: list[str] = []
        self.now_s = 1000.0
        self.slept_s: list[float] = []
        self.door = FakeDoor(self.layout)
        self.installer = FakeInstaller(self.layout, self.disk, seed)
        self.trials = trial.Trials(self.layout, self.disk, self.door, lambda: self.now_s, self.said.append)
        self.updater = Updater(
            self.layout,
            self.disk,
            self.door,
            self.trials,
            self.installer,
            MACHINE,
            say=self.said.append,
            sleep=self.slept_s.append,
        )

    def update(self, source: Path | str | Candidate, wait_s: float = 60.0) -> None:
        """Install the bundle at `source`, on trial."""
        chosen = source if isinstance(source, Candidate) else self.updater.choose(str(source))
        self.updater.update(chosen, wait_s)

    def watch(self, minutes: float, every_s: float = 30.0) -> None:
        """Let this time pass, with the timer that looks after the trial."""
        for _ in range(round(60 * minutes / every_s)):
            self.now_s += every_s
            if self.door.is_watched:
                self.trials.watch()

    @property
    def version(self) -> str:
        """The version that the service starts. Its unit and defaults must be of the same version."""
        release = self.layout.release_of(self.layout.current)
        assert release is not None, "no complete version is chosen"
        version = version_of(release)
        assert (release / "bin/doorlight").read_text() == version, "the program is damaged"
        assert (self.layout.root / "etc/systemd/system/doorlight.service").read_text() == unit_text(version)
        assert (self.layout.root / "etc/doorlight/defaults.toml").read_text() == f"# {version}\n"
        return version
