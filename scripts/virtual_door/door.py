"""A virtual door: a virtual machine with the installed product, a camera and observed GPIO pins.

    with Door(Path("/tmp/session")) as door:
        door.boot()
        door.camera.show("masked")
        door.wait_for_lamps("green", within_s=5)

Times are in seconds since power-on by the guest's CLOCK_BOOTTIME, which includes suspended time.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .agent_client import MachineError
from .build import latest
from .machine import BOOT_S, Machine, link_or_copy

STATE = "/var/lib/doorlight"
LOG = f"{STATE}/events.jsonl"
CONFIG = "/etc/doorlight/doorlight.toml"
#: The door guarantees that an event is on disk after this time.
ON_DISK_S = 1.0
#: The lamps for the first three levels in pins.log: green, red, buzzer.
LAMPS = {"000": "off", "100": "green", "010": "red", "011": "red+buzzer", "---": "no chip"}
#: `pin_changes(t)` begins with the state at `t`; from `t` plus this on, it begins with the next change. Pins are read
#: every 4 ms.
INSTANT_S = 0.001

T = TypeVar("T")


@dataclass(frozen=True)
class PinChange:
    """The pins got these levels at `t`: one character each for green, red, buzzer and relay."""

    t: float
    levels: str

    @property
    def lamps(self) -> str:
        """The lamps that are on: off, green, red, red+buzzer, no chip; for other levels, the levels themselves."""
        return LAMPS.get(self.levels[:3], self.levels[:3])

    @property
    def relay_is_high(self) -> bool:
        """The level of the relay's pin; False without a chip."""
        return self.levels[3:] == "1"


class Camera:
    """The camera of a door. It plays the clips of clips.py.

    Each method returns the time at which its order was carried out.
    """

    def __init__(self, door: Door) -> None:
        self._door = door

    def order(self, **order: Any) -> float:
        """Send one or more orders of guest/camera.py together."""
        if "show" in order:
            self._door.share_clip(order["show"])
        return float(self._door.ask({"do": "camera", "order": order}, 20)["t"])

    def show(self, clip: str) -> float:
        """Play a clip in a loop."""
        return self.order(show=clip)

    def freeze(self, frozen: bool = True) -> float:
        """Repeat the current frame, bit-identical."""
        return self.order(freeze=frozen)

    def hang(self, hanging: bool = True) -> float:
        """Send no frames; the device stays open."""
        return self.order(hang=hanging)

    def plug(self, plugged: bool = True) -> float:
        """Open or close the device. While it is closed, /dev/video0 exists but is no capture device."""
        return self.order(plugged=plugged)

    def fps(self, fps: float) -> float:
        """Set the frame rate."""
        return self.order(fps=fps)


class Door(Machine):
    """A virtual machine with camera, pins and doorlight.service. See `Machine` for the arguments."""

    def __init__(self, session: Path, **settings: Any) -> None:
        super().__init__(session, **settings)
        self.camera = Camera(self)

    def boot(
        self,
        *,
        wait_for: str = "agent",
        camera: dict[str, Any] | None = None,
        no_camera: bool = False,
        service: bool = True,
        early: str = "",
        data: str = "/dev/ubdb",
        data_options: str = "",
        kernel: str = "",
        within_s: float = BOOT_S,
    ) -> None:
        """Power on.

        `wait_for`: "agent" (commands work, systemd still boots) or "ready" (doorlight.service is active).
        `camera`: its first orders (default: the clip "empty"). `no_camera`: /dev/video0 does not exist.
        `service=False`: doorlight.service does not start; call `start_service` later.
        `early`: a shell script that runs as root before the data disk is mounted, for example dmsetup.
        `data`: the device that is mounted at /var/lib/doorlight ("": none), with `data_options` for mount.
        `kernel`: added to the kernel's command line.
        """
        orders = None if no_camera else {"show": "empty", **(camera or {})}
        if orders is not None:
            self.share_clip(orders["show"])
        boot = {"camera": orders, "early": early, "data": data, "data_options": data_options}
        target = "" if service else "systemd.unit=basic.target "
        self.power_on(boot, target + kernel, within_s)
        if wait_for == "ready":
            try:
                self.wait_ready(within_s)
            except BaseException:
                self.power_cut()
                raise

    def share_clip(self, clip: str) -> None:
        """Make a clip available to the camera under its name."""
        target = self.session / "frames" / f"{clip}.yuyv"
        if not target.exists():
            source = latest("clips") / f"{clip}.yuyv"
            if not source.exists():
                names = ", ".join(sorted(p.stem for p in source.parent.glob("*.yuyv")))
                raise MachineError(f"there is no clip {clip!r}; the clips are: {names}")
            link_or_copy(source, target)

    # ---- Lamps -------------------------------------------------------------------------------------------------------

    def pin_changes(self, since: float = 0.0) -> list[PinChange]:
        """Return the changes of the pins since a time; the first entry is the state at that time."""
        found: list[PinChange] = []
        for t, levels in self._pin_records():
            if found and levels == found[-1].levels:
                continue
            if t < since:
                found.clear()
            found.append(PinChange(max(t, since), levels))
        return found

    def _pin_records(self) -> Iterator[tuple[float, str]]:
        with contextlib.suppress(FileNotFoundError):
            for line in (self.session / "pins.log").read_text().split("\n")[:-1]:
                t, _, levels = line.split()
                yield float(t), levels

    def lamps(self) -> str:
        """Return the lamps that are on now, see `PinChange.lamps`. A blinking lamp is on or off."""
        changes = self.pin_changes()
        return changes[-1].lamps if changes else "not observed"

    def wait_for_lamps(self, lamps: str, within_s: float, since: float | None = None) -> PinChange:
        """Return the first change to these lamps after `since` (default: now). Raises MachineError after a timeout."""
        since = self.now() if since is None else since
        return self.wait_until(
            lambda: next((c for c in self.pin_changes(since) if c.lamps == lamps), None),
            within_s,
            lambda: f"the lamps were not {lamps}, but: {self.pin_changes(since)[-8:]}",
        )

    def wait_until(
        self, test: Callable[[], T | None], within_s: float, otherwise: Callable[[], str] | str = "it did not happen"
    ) -> T:
        """Call `test` until its result is true, and return the result. Raises MachineError after a timeout."""
        deadline = time.monotonic() + within_s
        while True:
            if found := test():
                return found
            if time.monotonic() > deadline:
                text = otherwise if isinstance(otherwise, str) else otherwise()
                raise MachineError(f"after {within_s:g} s: {text}")
            time.sleep(0.02)

    # ---- Service -----------------------------------------------------------------------------------------------------

    def properties(self, *names: str, unit: str = "doorlight.service") -> dict[str, str]:
        """Return properties of a unit as `systemctl show` prints them."""
        text = self.sh(["systemctl", "show", unit, *(f"--property={name}" for name in names)])
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def status(self) -> str:
        """Return the status text of the service in `systemctl status`."""
        return self.properties("StatusText")["StatusText"]

    def wait_for_status(self, test: Callable[[str], bool], within_s: float) -> str:
        """Wait until the status text passes a test, and return it."""
        return self.wait_until(
            lambda: text if test(text := self.status()) else None, within_s, lambda: f"the status is {self.status()!r}"
        )

    def restarts(self) -> int:
        """Return how often systemd has restarted the service."""
        return int(self.properties("NRestarts")["NRestarts"])

    def wait_ready(self, within_s: float = BOOT_S) -> dict[str, str]:
        """Wait until the service is active (READY=1 received), and return state, PID, restarts and times.

        The times are `started` (systemd starts the service) and `ready`, in seconds since power-on.
        """
        names = (
            "ActiveState",
            "SubState",
            "MainPID",
            "NRestarts",
            "ExecMainStartTimestampMonotonic",
            "ActiveEnterTimestampMonotonic",
        )
        seen: dict[str, str] = {}

        def active() -> dict[str, str] | None:
            seen.update(self.properties(*names))
            return seen if seen.get("ActiveState") == "active" else None

        self.wait_until(active, within_s, lambda: f"the service is {seen}\n{self.journal()[-2000:]}")
        for name, source in (("started", names[4]), ("ready", names[5])):
            seen[name] = str(int(seen[source]) / 1e6)
        return seen

    def start_service(self, within_s: float = BOOT_S) -> dict[str, str]:
        """Continue a boot with `service=False`, and wait until the service is ready."""
        self.sh("systemctl start --no-block multi-user.target", 30)
        return self.wait_ready(within_s)

    def journal(self, unit: str = "doorlight.service", *more: str) -> str:
        """Return the journal of a unit since boot, with times since power-on. Empty if the machine is off."""
        with contextlib.suppress(MachineError):
            return self.run(["journalctl", "--no-pager", "-b", "-o", "short-monotonic", "-u", unit, *more]).out
        return ""

    def journal_after(self, t: float) -> str:
        """Return the journal of the service since a time."""
        lines = self.journal().splitlines()
        return "\n".join(line for line in lines if line.startswith("[") and float(line[1:].split("]")[0]) >= t)

    # ---- Event log ---------------------------------------------------------------------------------------------------

    def events(self) -> list[dict[str, Any]]:
        """Return all events of the log, rotated files included, oldest first. A line that is no JSON object becomes {"damaged": line}."""
        return [_event(line) for line in self.event_lines()]

    def event_lines(self) -> list[str]:
        """Return the lines of the log as they are on disk after ON_DISK_S; the last one may be incomplete.

        For those that a power cut has left, see the folder at_boot of the session, and `read_log` of the scenarios.
        """
        time.sleep(ON_DISK_S)
        text = self.sh(f"cd {STATE}; cat $(ls -r events.jsonl.[0-9]* 2>/dev/null) events.jsonl 2>/dev/null || true")
        return text.splitlines()

    def last_seq(self) -> int:
        """Return the highest `seq` in the log; 0 if it is empty."""
        return max((event.get("seq", 0) for event in self.events()), default=0)

    # ---- Results -----------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Copy what helps to explain a failure into a folder: journal, events, pins, console."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("pins.log", "console.log", "boot.json"):
            with contextlib.suppress(OSError):
                shutil.copy(self.session / name, folder / name)
        for name in ("out", "at_boot"):
            shutil.copytree(self.session / name, folder / name, dirs_exist_ok=True)
        if not self.is_on:
            return
        with contextlib.suppress(MachineError):
            journal = self.run(["journalctl", "--no-pager", "-b", "-o", "short-monotonic"]).out
            (folder / "journal.txt").write_text(journal)
            (folder / "events.jsonl").write_text("\n".join(self.event_lines()) + "\n")
            status = self.run("systemctl status doorlight.service; systemctl --failed").out
            (folder / "status.txt").write_text(status)


def rotation_number(path: Path) -> int:
    """Return 0 for events.jsonl, 1 for events.jsonl.1, …"""
    return int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0


def _event(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    return {"damaged": line}
