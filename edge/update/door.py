"""The door's service, as systemd knows it: whether it runs, whether it is healthy, whether a person is there."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import UnavailableError

UNIT = "doorlight.service"
#: Services with a process that stays, other than the door.
OTHER_UNITS = ("doorlight-web.service", "doorlight-link.service")
TRIAL_TIMER = "doorlight-trial.timer"
#: A start takes up to two minutes (TimeoutStartSec=).
TIMEOUT_S = 180.0
#: Nobody is there if the light is off, and the event log has been quiet for this long.
QUIET_S = 60.0


class DoorState(NamedTuple):
    """What systemd says about the door. `restarts` counts those by systemd, not those by a person.

    `status` is the door's own line: "IDLE, 14.8 frames/s, …"; its first word is the signal.
    """

    active: str
    result: str
    restarts: int
    invocation: str
    main_pid: int
    status: str

    @property
    def signal(self) -> str:
        """The signal that the door shows: "IDLE", "PASS", …; "" if it does not run."""
        return self.status.partition(",")[0] if self.active == "active" else ""

    @property
    def is_running(self) -> bool:
        """Whether the door has started and decided about its first picture."""
        return self.active == "active"


class Door:
    """The service. Commands fail with UnavailableError."""

    def __init__(self, log: Path = Path("/var/lib/doorlight/events.jsonl"), root: Path = Path("/")) -> None:
        self._log, self._root = log, root

    def state(self) -> DoorState:
        """Return the state of the service."""
        names = ("ActiveState", "Result", "NRestarts", "InvocationID", "MainPID", "StatusText")
        lines = self._systemctl("show", UNIT, *(f"-p{name}" for name in names)).splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        numbers = [int(text) if (text := found.get(name, "")).isdigit() else 0 for name in ("NRestarts", "MainPID")]
        return DoorState(
            found.get("ActiveState", ""), found.get("Result", ""), numbers[0], found.get("InvocationID", ""), numbers[1],
            found.get("StatusText", ""),
        )  # fmt: skip

    def is_anybody_there(self, now: float | None = None) -> bool:
        """Return whether a person is at the door, or was a moment ago. A door that does not run sees nobody.

        A door that shows FAULT sees nobody either; an update may mend it.
        """
        if self.state().signal not in ("", "IDLE", "FAULT"):
            return True
        try:
            age_s = (time.time() if now is None else now) - self._log.stat().st_mtime
        except OSError:
            return False
        # A file of the future: the clock was set back. Then its age says nothing.
        return 0 <= age_s < QUIET_S

    def restart(self, wait: bool = True) -> None:
        """Restart the door; with `wait` until it has decided about its first picture.

        At boot, the unit that takes an update back is ordered before the door, and must not wait for it.
        """
        self._systemctl("restart", *([] if wait else ["--no-block"]), UNIT)

    def reload_units(self) -> None:
        """Make systemd read its units again, the users, the folders and the rules for devices that go with them."""
        self._systemctl("daemon-reload")

    def watch(self, is_on: bool) -> None:
        """Start or stop the timer that looks after a trial."""
        self._systemctl("start" if is_on else "stop", TRIAL_TIMER)

    def restart_others(self) -> None:
        """Restart those of the other services that run, so that they have the door's version, too. Does not wait for them."""
        self._systemctl("try-restart", "--no-block", *OTHER_UNITS)

    def program_of(self, pid: int) -> str:
        """Return the interpreter of a process, a path in the folder of its version; "" if it is not known."""
        try:
            return (self._root / f"proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
        except OSError:
            return ""

    def _systemctl(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["systemctl", *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
            )
        except OSError as error:
            raise UnavailableError(f"systemctl: cannot be run: {error.strerror}", "updates need systemd") from None
        except subprocess.TimeoutExpired:
            raise UnavailableError(
                f"systemctl {arguments[0]}: no answer within {TIMEOUT_S:g} s", "sudo reboot"
            ) from None
        if done.returncode:
            reason = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
            raise UnavailableError(f"systemctl {' '.join(arguments)}: {reason}", f"sudo journalctl -u {UNIT} -e")
        return done.stdout.decode(errors="replace")
