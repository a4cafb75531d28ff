"""What the link reports about itself: to systemd, to its log, and to `doorlight doctor` in a file."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..counted import counted
from ..errors import DoorlightError
from ..events.record import utc_text
from ..system.files import read_regular, replace_file
from .log_tail import Missing

_MAX_BYTES = 1 << 20
PRINT_AGAIN_S = 3600.0
MAX_PRINTED = 100
#: As in systemd/doorlight-link.service: the folders of cursors and status.
STATE_FOLDER, RUNTIME_FOLDER = Path("/var/lib/doorlight-link"), Path("/run/doorlight-link")
STATUS_FILE = "status.json"


@dataclass
class TargetStatus:
    """The state of one target: "broker", or "webhook NAME". Texts have no secrets.

    `seq` is the number of the last event that it has received; None if it takes none. `problem` is what is wrong now and `hint` what to do; ""
    if nothing is. `last_problem` is the newest problem, with its time, also after it is over. `missing` are the last numbers
    that were lost before they were sent. `skipped` counts events that the target has refused for good.
    """

    name: str
    address: str = ""
    is_connected: bool = False
    seq: int | None = 0
    problem: str = ""
    hint: str = ""
    last_problem: str = ""
    last_problem_at: str = ""
    missing: str = ""
    skipped: int = 0


class LinkStatus:
    """The status of all targets, set by their threads. `report` prints a line for the service's log."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._targets: dict[str, TargetStatus] = {}
        self._printed_at: dict[tuple[str, str], float] = {}
        self._beats: dict[str, float] = {}
        self._is_connected_at_first: dict[str, bool] = {}
        #: Something was lost that is not in the file of the state folder yet.
        self.has_new_losses = False

    def add(self, name: str, address: str, *, is_connected: bool = False, takes_events: bool = True) -> None:
        """Add a target. One that is only called now and then counts as connected."""
        with self._lock:
            self._targets[name] = TargetStatus(name, address, is_connected, 0 if takes_events else None)
            self._beats[name] = time.monotonic()
            self._is_connected_at_first[name] = is_connected

    def beat(self, name: str) -> None:
        """Say that the thread of a target works."""
        self._beats[name] = time.monotonic()

    def silent_for_s(self) -> float:
        """Return for how long (seconds) the most silent thread has not given a sign."""
        return time.monotonic() - min(self._beats.values(), default=time.monotonic())

    def set_received(self, name: str, seq: int) -> None:
        """Set the number of the last event that a target has received."""
        self._targets[name].seq = seq

    def set_connected(self, name: str) -> None:
        """Say that a target can be used."""
        with self._lock:
            target = self._targets[name]
            if not target.is_connected or target.problem:
                self._report(f"{name}: connected to {target.address}")
            target.is_connected, target.problem, target.hint = True, "", ""
            self._printed_at = {key: at for key, at in self._printed_at.items() if key[0] != name}

    def report_failure(self, name: str, error: DoorlightError, *, is_connected: bool = False) -> None:
        """Set the problem of a target. The same problem is printed once an hour."""
        with self._lock:
            target = self._targets[name]
            self._report_again(name, error)
            target.is_connected, target.problem, target.hint = is_connected, str(error), error.hint
            target.last_problem, target.last_problem_at = str(error), utc_text(time.time())

    def report_refused_command(self, name: str, error: DoorlightError) -> None:
        """Say that a command from the network is not carried out. The target works: this is its last problem only."""
        with self._lock:
            self._report_again(name, error)
            target = self._targets[name]
            target.last_problem, target.last_problem_at = str(error), utc_text(time.time())

    def clear_problem(self, name: str) -> None:
        """Forget the problem of a target that starts again after a failure. It stays as `last_problem`."""
        with self._lock:
            target = self._targets[name]
            target.is_connected, target.problem, target.hint = self._is_connected_at_first[name], "", ""

    def report_delivery(self, name: str, topic: str) -> None:
        """Say that a topic is accepted: a problem that names it is over."""
        with self._lock:
            target = self._targets[name]
            if topic in target.problem:
                self._report(f"{name}: {topic} is accepted again")
                target.problem = target.hint = ""

    def _report_again(self, name: str, error: DoorlightError) -> None:
        """Print a problem, unless it was printed within the last hour."""
        now = time.monotonic()
        if now - self._printed_at.get((name, str(error)), -math.inf) > PRINT_AGAIN_S:
            if len(self._printed_at) >= MAX_PRINTED:
                self._printed_at.clear()
            self._printed_at[name, str(error)] = now
            self._report(f"{name}: {error}" + (f" ({error.hint})" if error.hint else ""))

    def report_solved(self, name: str, error: DoorlightError) -> None:
        """Say that this problem is over, if it is the current one."""
        with self._lock:
            target = self._targets[name]
            if target.problem == str(error):
                self._report(f"{name}: it works again")
                target.problem = target.hint = ""

    def report_missing(self, name: str, missing: Missing) -> None:
        """Set numbers that were lost before they were sent."""
        with self._lock:
            text = f"{missing.first} to {missing.last}"
            self.has_new_losses = True
            self._targets[name].missing = f"{text}, noticed {utc_text(time.time())}"
            self._report(f"{name}: the log has lost the events {text} before they were sent")

    def report_new_log(self, name: str, former_seq: int) -> None:
        """Say that the log was replaced by one with lower numbers. `former_seq` is the last event of the former log."""
        with self._lock:
            text = f"the log was replaced after event {former_seq}: the new one is sent from its first event on"
            target = self._targets[name]
            if target.last_problem != text:
                self._report(f"{name}: {text}")
            target.last_problem, target.last_problem_at = text, utc_text(time.time())

    def count_skipped(self, name: str, count: int, reason: str) -> None:
        """Count events that a target has refused for good."""
        with self._lock:
            self.has_new_losses = True
            self._targets[name].skipped += count
            self._report(f"{name}: {counted(count, 'event is', 'events are')} left out: {reason}")

    def lost_events(self, name: str) -> list[str]:
        """Return what others should know about a target: what is lost."""
        target = self._targets[name]
        lost = [f"the log has lost the events {target.missing} before they were sent"] if target.missing else []
        return [*lost, *([f"{counted(target.skipped, 'event was', 'events were')} left out"] if target.skipped else [])]

    def describe(self) -> str:
        """Return the line for `systemctl status`."""
        with self._lock:
            return "; ".join(
                f"{target.name}: {target.problem or ('OK' if target.is_connected else 'waiting')}"
                + ("" if target.seq is None else f", last event {target.seq}")
                + (f", lost {target.missing}" if target.missing else "")
                for target in self._targets.values()
            )

    def restore(self, folder: Path) -> None:
        """Take over what a former process has noted about losses."""
        for target in read_status(folder / STATUS_FILE):
            if target.name in self._targets:
                own = self._targets[target.name]
                own.missing, own.skipped = target.missing, target.skipped
                own.last_problem, own.last_problem_at = target.last_problem, target.last_problem_at

    def write(self, *folders: Path) -> None:
        """Write the status into files that anyone may read. A folder that cannot be written is left out."""
        with self._lock:
            text = json.dumps([asdict(target) for target in self._targets.values()], ensure_ascii=False)
        data = text.encode("utf-8", "replace")  # a path that is not UTF-8 contains lone surrogates
        for folder in folders:
            with contextlib.suppress(OSError):
                replace_file(folder / STATUS_FILE, data, sync=False)


def read_status(path: Path) -> list[TargetStatus]:
    """Return the status in a file; nothing if there is none, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        tables: list[Mapping[str, Any]] = json.loads(read_regular(path, _MAX_BYTES))
        return [TargetStatus(**table) for table in tables]
    return []
