"""The machine that `doorlight doctor` checks, and the door as `doorlight run` would start it there.

All files are read below `Host.root`, so that a test can check a machine that is a folder. Each property is read when a
check first asks for it. NumPy and the models are imported inside functions, because a check must be able to report that
NumPy is broken.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DoorlightError, UnavailableError

if TYPE_CHECKING:
    from ..config import Config
    from ..inference.perception import Perception


UNIT = "doorlight.service"
#: The properties of the unit that the checks use: its state, and how it was started.
UNIT_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "StatusText", "WatchdogUSec"),
    *("User", "SupplementaryGroups", "WorkingDirectory", "ExecStart"),
)
#: Timeout of a command such as systemctl. It answers at once, unless something that it waits for is stuck.
COMMAND_TIMEOUT_S = 5.0
#: The fix for a damaged installation.
REPAIR = "run scripts/install.sh again: it repairs the installation"


class User(NamedTuple):
    """The user that the door runs as. `groups` are group ids; `me` is True for the current user."""

    name: str
    uid: int
    groups: frozenset[int]
    me: bool

    def can_access(self, path: Path, mode: int) -> bool:
        """Return whether the user has access to an existing file; `mode` is a sum of os.R_OK, os.W_OK and os.X_OK.

        For another user, only the permission bits count: access control lists are ignored.
        """
        if self.me:
            return os.access(path, mode)
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return self.uid == 0 or status.st_mode >> shift & mode == mode


@dataclass(frozen=True)
class Host:
    """A machine whose root folder is `root`, and the door that `doorlight run` with these options would start on it.

    An empty option means the option of the installed service, unless `config` names another file than the service's.
    """

    config: str = ""
    models: str = ""
    source: str = ""
    events: str = ""
    simulate: bool = False
    root: str = "/"

    @cached_property
    def unit(self) -> dict[str, str]:
        """The properties of the systemd unit; only the key "error" if systemctl fails."""
        try:
            output = run_command("systemctl", "show", UNIT, *(f"-p{name}" for name in UNIT_PROPERTIES))
        except UnavailableError as error:
            return {"error": str(error)}
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def unit_property(self, name: str) -> str:
        """Return a property of the systemd unit; "" if the service is not installed."""
        return self.unit.get(name, "") if self.unit.get("LoadState") == "loaded" else ""

    @property
    def service_is_running(self) -> bool:
        """Whether the service uses the camera, the pins and the Coral now. False while it waits for a restart."""
        state = (self.unit_property("ActiveState"), self.unit_property("SubState"))
        return state[0] == "active" or state == ("activating", "start")

    @cached_property
    def uses_service_options(self) -> bool:
        """Whether the checked door is the door that the service runs."""
        return self.config in ("", self._service_option("config"))

    def option(self, name: str) -> str:
        """Return the value of the option --name of `doorlight run`; "" if it is not given."""
        return str(getattr(self, name) or (self._service_option(name) if self.uses_service_options else ""))

    def _service_option(self, name: str) -> str:
        value = re.search(rf"argv\[\]=.*? --{name}[ =](\S+)", self.unit_property("ExecStart"))
        return value[1] if value else ""

    @cached_property
    def settings(self) -> Config:
        """The settings of the file; the default settings if it is wrong, so that the other checks can continue."""
        from .. import config

        try:
            return config.load(Path(path) if (path := self.option("config")) else None)
        except DoorlightError:
            return config.load()

    @cached_property
    def perception(self) -> Perception:
        """The models on the CPU. Raises ModelError if one is missing or damaged."""
        from ..inference import manifest
        from ..inference.perception import Perception

        return Perception(self.settings, manifest.load(self.models_folder))

    @property
    def models_folder(self) -> Path | None:
        """The folder of the models; None for the shipped models."""
        folder = self.option("models") or self.settings.models.directory
        return Path(folder) if folder else None

    @property
    def source_name(self) -> str:
        """The camera or file of the door: "picamera", "/dev/video0", …"""
        return self.option("source") or self.settings.camera.source

    @property
    def events_file(self) -> Path:
        """The event log of the door."""
        file = Path(self.option("events") or self.settings.events.file or "doorlight-events.jsonl")
        return Path(self.unit_property("WorkingDirectory") if self.uses_service_options else "") / file

    @cached_property
    def user(self) -> User:
        """The user of the service; the current user if systemctl fails.

        Raises UnavailableError if the user of the service or one of its groups does not exist.
        """
        me = pwd.getpwuid(os.geteuid()).pw_name
        name = (self.unit_property("User") or "root") if self.unit_property("LoadState") else me
        try:
            entry = pwd.getpwnam(name)
            more = {grp.getgrnam(group).gr_gid for group in self.unit_property("SupplementaryGroups").split()}
        except KeyError as error:
            raise UnavailableError(f"the user or a group of the service is missing: {error.args[0]}", REPAIR) from None
        return User(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)) | more, name == me)

    @property
    def model(self) -> str:
        """The board, as in "Raspberry Pi 4 Model B Rev 1.5"; "" on a PC."""
        return self.read("proc/device-tree/model").rstrip("\0")

    @property
    def is_pi(self) -> bool:
        """Whether the machine is a Raspberry Pi."""
        return "Raspberry Pi" in self.model

    def read(self, path: str) -> str:
        """Return the stripped text of a small file, `path` relative to the root folder; "" if it cannot be read."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (Path(self.root) / path).read_text().strip()
        return ""

    def glob(self, pattern: str) -> list[Path]:
        """Return the sorted paths that match `pattern`, relative to the root folder."""
        return sorted(Path(self.root).glob(pattern))


def run_command(*command: str) -> str:
    """Return the stripped output of a command.

    Raises UnavailableError if the command does not exist, fails, or exceeds COMMAND_TIMEOUT_S.
    """
    name = command[0]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            env=os.environ | {"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{name}: no answer within {COMMAND_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise UnavailableError(f"{name}: cannot be run: {error.strerror}") from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise UnavailableError(f"{name}: {reason}")
    return done.stdout.decode(errors="replace").strip()
