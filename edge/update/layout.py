"""Where an installed Doorlight and its updates are, as scripts/install.sh puts them. `root` is another folder in tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: Files that scripts/install.sh writes outside of /opt: they belong to a version and go back with it. User's own drop-ins and
#: settings are not among them.
MANAGED = (
    "etc/systemd/system/doorlight*.service",
    "etc/systemd/system/doorlight*.timer",
    "etc/systemd/system/doorlight.service.d/restart-backoff.conf",
    "etc/sysusers.d/doorlight.conf",
    "etc/tmpfiles.d/doorlight.conf",
    "etc/modules-load.d/doorlight.conf",
    "etc/udev/rules.d/60-doorlight.rules",
    "etc/doorlight/defaults.toml",
)


@dataclass(frozen=True)
class Layout:
    """The paths of an installation below `root`."""

    root: Path = Path("/")

    @property
    def opt(self) -> Path:
        """The folder of the program."""
        return self.root / "opt/doorlight"

    @property
    def releases(self) -> Path:
        """The folder with one folder for each installed version."""
        return self.opt / "releases"

    @property
    def current(self) -> Path:
        """The link to the version that the service starts."""
        return self.opt / "current"

    @property
    def updates(self) -> Path:
        """The folder of the updates' state."""
        return self.opt / "update"

    @property
    def previous(self) -> Path:
        """The link to the version before the last update. doorlight-trial.service runs it, so it must work on its own."""
        return self.updates / "previous"

    @property
    def trial(self) -> Path:
        """The file that exists while an update is neither kept nor taken back."""
        return self.updates / "trial.json"

    @property
    def result(self) -> Path:
        """The result of the last update."""
        return self.updates / "result.json"

    @property
    def latest(self) -> Path:
        """The highest version that the last update has seen. Anyone may read it: the link publishes it."""
        return self.updates / "latest-version"

    @property
    def undo(self) -> Path:
        """The managed files of the previous version."""
        return self.updates / "undo"

    @property
    def kept_units(self) -> Path:
        """With a read-only root: copies of the managed files, which doorlight-units.service puts in their places at boot.

        Only such a root has the folder; scripts/install.sh --read-only makes it.
        """
        return self.opt / "system"

    @property
    def staging(self) -> Path:
        """The folder into which a bundle is copied."""
        return self.updates / "staging"

    @property
    def health(self) -> Path:
        """What the trial has seen since boot. In memory: gone after a reboot."""
        return self.root / "run/doorlight-trial.json"

    @property
    def boot(self) -> Path:
        """The file that tells whether the box has restarted since a trial began. In memory: gone after a reboot.

        Not the kernel's boot id: in a container, a unit with ProtectKernelTunables= sees another one.
        """
        return self.root / "run/doorlight-trial-boot"

    @property
    def lock(self) -> Path:
        """The lock of everything that installs, also of scripts/install.sh."""
        return self.root / "run/doorlight-install.lock"

    @property
    def settings(self) -> Path:
        """The folder of the settings."""
        return self.root / "etc/doorlight"

    @property
    def keys(self) -> Path:
        """The keys whose updates are trusted."""
        return self.settings / "update-keys"

    def is_installed(self) -> bool:
        """Return whether there is a version that the service starts."""
        return self.release_of(self.current) is not None

    def release_of(self, link: Path) -> Path | None:
        """Return the complete version that a link chooses; None if there is none."""
        try:
            release = self.releases / link.readlink().name
        except OSError:
            return None
        return release if (release / ".complete").is_file() else None

    def managed_files(self) -> list[Path]:
        """Return the managed files that are there, below `root`."""
        return sorted(
            path for pattern in MANAGED for path in self.root.glob(pattern) if path.is_file() and not path.is_symlink()
        )


def version_of(release: Path) -> str:
    """Return the version in the folder of a release, from the name of its package's metadata; "unknown" if there is none."""
    for path in sorted(release.glob("lib/python3*/site-packages/doorlight-*.dist-info")):
        found = re.fullmatch(r"doorlight-([^-]+)\.dist-info", path.name)
        if found is not None:
            return found[1]
    return "unknown"
