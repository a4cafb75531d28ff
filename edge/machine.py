"""The machine that a doctor examines: its files, its systemd, and the door as it would be started on it."""

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

from .errors import DoorlightError, Unavailable

if TYPE_CHECKING:
    from .config import Config
    from .perception import Perception

UNIT = "doorlight.service"
#: What is asked about it: how it is, and how it was started.
PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "NRestarts", "StatusText", "WatchdogUSec"),
    *("User", "SupplementaryGroups", "WorkingDirectory", "ExecStart"),
)
#: How long a command such as systemctl may take: it answers at once, or something it waits for is stuck.
COMMAND_S = 5.0
#: What mends an installation.
REPAIR = "run scripts/install.sh again: it repairs"


class User(NamedTuple):
    """Who the door runs as; `me`: it is who runs this."""

    name: str
    uid: int
    groups: frozenset[int]
    me: bool

    def may(self, path: Path, what: int) -> bool:
        """Whether they may os.R_OK, os.W_OK, os.X_OK a file (for others than `me` as far as its mode tells)."""
        if self.me:
            return os.access(path, what)
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return self.uid == 0 or status.st_mode >> shift & what == what


@dataclass(frozen=True)
class Machine:
    """What is examined: the door as `doorlight run` with these options would start it, on the machine below `root`.

    Options left out are those that the installed service runs with, unless `config` is another file than its.
    """

    config: str = ""
    models: str = ""
    source: str = ""
    events: str = ""
    simulate: bool = False
    root: str = "/"

    @cached_property
    def service(self) -> dict[str, str]:
        """What systemd knows about the unit; "trouble" alone where it cannot be asked."""
        try:
            told = ask("systemctl", "show", UNIT, *(f"-p{name}" for name in PROPERTIES))
        except Unavailable as error:
            return {"trouble": str(error)}
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    def of_service(self, key: str) -> str:
        """One of its properties; "" where no service is installed."""
        return self.service.get(key, "") if self.service.get("LoadState") == "loaded" else ""

    @property
    def running(self) -> bool:
        """Whether the service has camera, pins and Coral to itself now, not being about to restart."""
        state = (self.of_service("ActiveState"), self.of_service("SubState"))
        return state[0] == "active" or state == ("activating", "start")

    @cached_property
    def like_service(self) -> bool:
        """Whether the door is the one that the service runs."""
        return self.config in ("", self._served("config"))

    def option(self, name: str) -> str:
        """What `run` is told by --name; "" if nothing."""
        return str(getattr(self, name) or (self._served(name) if self.like_service else ""))

    def _served(self, name: str) -> str:
        told = re.search(rf"argv\[\]=.*? --{name}[ =](\S+)", self.of_service("ExecStart"))
        return told[1] if told else ""

    @cached_property
    def settings(self) -> Config:
        """Those of the file; the defaults where it is wrong, so that the other checks can go on."""
        from . import config

        try:
            return config.load(Path(path) if (path := self.option("config")) else None)
        except DoorlightError:
            return config.load()

    @cached_property
    def perception(self) -> Perception:
        from . import manifest
        from .perception import Perception

        return Perception(self.settings, manifest.load(self.models_folder))

    @property
    def models_folder(self) -> Path | None:
        folder = self.option("models") or self.settings.models.directory
        return Path(folder) if folder else None

    @property
    def watches(self) -> str:
        """The source: "picamera", "/dev/video0", …"""
        return self.option("source") or self.settings.camera.source

    @property
    def events_file(self) -> Path:
        file = Path(self.option("events") or self.settings.events.file or "doorlight-events.jsonl")
        return Path(self.of_service("WorkingDirectory") if self.like_service else "") / file

    @cached_property
    def user(self) -> User:
        """Raises Unavailable where the service's user or one of its groups does not exist."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        name = (self.of_service("User") or "root") if self.of_service("LoadState") else me
        try:
            entry = pwd.getpwnam(name)
            more = {grp.getgrnam(group).gr_gid for group in self.of_service("SupplementaryGroups").split()}
        except KeyError as error:
            raise Unavailable(f"the service's user or group is missing: {error.args[0]}", REPAIR) from None
        return User(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)) | more, name == me)

    @property
    def model(self) -> str:
        """ "Raspberry Pi 4 Model B Rev 1.5"; "" on a PC."""
        return self.read("proc/device-tree/model").rstrip("\0")

    @property
    def is_pi(self) -> bool:
        return "Raspberry Pi" in self.model

    def read(self, path: str) -> str:
        """A small file, "" where it cannot be read."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (Path(self.root) / path).read_text().strip()
        return ""

    def glob(self, pattern: str) -> list[Path]:
        return sorted(Path(self.root).glob(pattern))


def ask(*command: str) -> str:
    """What a command prints. Raises Unavailable where it is not there, fails, or takes too long."""
    name = command[0]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, env=os.environ | {"LC_ALL": "C"}
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} does not answer within {COMMAND_S:g} s") from None
    except OSError as error:
        raise Unavailable(f"{name} cannot be run: {error.strerror}") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split()) or f"it ends with {done.returncode}"
        raise Unavailable(f"{name}: {said}")
    return done.stdout.decode(errors="replace").strip()
