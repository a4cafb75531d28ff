"""The state of the door as the network sees it: what it shows, since when, and what is wrong. It comes from the event log."""

from __future__ import annotations

import contextlib
import math
import time
from datetime import datetime
from pathlib import Path

from ..errors import DoorlightError
from ..events.record import EventRecord, parse_time, sequence_number, timestamp, utc_text
from ..events.text import describe_event
from ..records import Signal
from ..system.files import is_locked
from .day_counts import DayCounts
from .host_figures import HostFigures
from .log_tail import LogTail, end_of_log
from .log_time import begin_of

#: Lines that one `update` reads at most: what else its thread does must not wait.
MAX_LINES = 2000
#: The signal of a door that does not run.
OFF = "OFF"
SIGNALS = (*(signal.value for signal in Signal), OFF)
#: An alarm that is older than this (seconds) is history, and no notification.
MAX_ALARM_AGE_S = 300.0
#: Events that answer a command.
ANSWERS = frozenset({"buzzer_silenced", "buzzer_back", "lamps_tested", "command_refused"})


class DoorState:
    """Follows the log at `path`. `update` reads what is new; `is_current` is True once everything has been read.

    `take_alarms` returns the records of new alarms. With `has_commands`, the state has the result of the last command.
    """

    def __init__(self, path: Path, version: str, figures: HostFigures, *, has_commands: bool = False) -> None:
        self.is_current = False
        #: The number of events that answer a command.
        self.answers = 0
        self._has_commands = has_commands
        self._silenced_until: datetime | None = None
        self._last_command: str | None = None
        self._last_command_at: str | None = None
        self._path = path
        self._version = version
        self._figures = figures
        self._counts = DayCounts()
        self._tail = LogTail(path, begin_of(path, self._counts.since.timestamp()))
        self._live_after = _newest_number(path)
        self._alarms: list[EventRecord] = []
        self._signal: str | None = None
        self._people = 0
        self._since: str | None = None
        self._reason = ""
        self._seq = 0
        self._time: str | None = None

    def update(self) -> None:
        """Read new events, up to MAX_LINES. Raises InputError if the log cannot be read."""
        for _ in range(MAX_LINES):
            line = self._tail.next()
            if line is None:
                self.is_current = True
                return
            self._add(line.record)

    def take_alarms(self) -> list[EventRecord]:
        """Return the records of the alarms since the last call."""
        alarms, self._alarms = self._alarms, []
        return alarms

    def note_command(self, text: str) -> None:
        """Set the result of the last command if the door has not logged one."""
        self._last_command, self._last_command_at = text, utc_text(time.time())

    def close(self) -> None:
        """Close the log."""
        self._tail.close()

    def as_json(self, link_problems: list[str]) -> dict[str, object]:
        """Return the state. `link_problems` are those of the link itself, such as lost numbers."""
        self._counts.refresh()
        is_running = is_locked(self._path)
        signal = (self._signal or Signal.IDLE.value) if is_running else OFF
        figures = self._figures.read(is_running)
        if figures.is_log_failing and figures.signal in SIGNALS:
            signal = str(figures.signal)  # a blind door must not stay green because its disk is full
        problems = [*link_problems]
        if not is_running:
            problems.insert(0, "the door does not run")
        elif signal == Signal.FAULT.value:
            problems.insert(0, self._reason or "the door is blind")
        if is_running and figures.problem and figures.problem not in problems:
            problems.append(figures.problem)
        counts, share = self._counts, self._counts.share_masked
        state: dict[str, object] = {
            "signal": signal,
            "since": self._since,
            "people": self._people if is_running else 0,
            "running": is_running,
            "blind": signal in (Signal.FAULT.value, OFF),
            "problem": "; ".join(problems) or None,
            "seq": self._seq,
            "time": self._time,
            "today": {
                "since": counts.since.isoformat(),
                "people": counts.people,
                "masked": counts.masked,
                "share_masked": None if share is None else round(share, 3),
                "alarms": counts.alarms,
            },
            "temperature_c": figures.temperature_c,
            "frames_per_s": figures.frames_per_s,
            "disk_free_mb": figures.disk_free_mb,
            "version": self._version,
            "latest_version": figures.latest_version,
        }
        return {**state, "commands": self._commands(is_running)} if self._has_commands else state

    def _commands(self, is_running: bool) -> dict[str, object]:
        """Return until when the buzzer is silenced, the minutes until then, and the result of the last command."""
        until = self._silenced_until if is_running else None
        left_s = 0.0 if until is None else max(until.timestamp() - time.time(), 0.0)
        return {
            "silenced_until": None if until is None else until.isoformat(timespec="seconds"),
            "silenced_min": math.ceil(left_s / 60),
            "last": self._last_command,
            "last_time": self._last_command_at,
        }

    def _add(self, record: EventRecord) -> None:
        self._counts.add(record)
        self._seq = sequence_number(record)
        moment = record.get("time")
        self._time = moment if isinstance(moment, str) else self._time
        if record.get("event") in ANSWERS:
            self.answers += 1
            self._last_command, self._last_command_at = describe_event(record)[:200], self._time
        match record.get("event"):
            case "started" | "stopped" as kind:
                self._signal = Signal.IDLE.value if kind == "started" else OFF
                self._since, self._people, self._reason = self._time, 0, ""
                self._silenced_until = None
            case "buzzer_silenced":
                self._silenced_until = parse_time(record.get("until"))
            case "buzzer_back":
                self._silenced_until = None
            case "camera_lost" | "fault":
                self._reason = str(record.get("reason", ""))[:200]
            case "camera_back":
                self._reason = ""
            case "signal" if (signal := record.get("signal")) in SIGNALS:
                self._signal, self._since = str(signal), self._time
                people = record.get("people")
                self._people = people if isinstance(people, int) else 0
                if signal == Signal.ALARM.value and self._seq > self._live_after and _is_new(record):
                    self._alarms.append(record)


def _is_new(record: EventRecord) -> bool:
    moment = timestamp(record)
    return moment is not None and abs(time.time() - moment.timestamp()) < MAX_ALARM_AGE_S


def _newest_number(path: Path) -> int:
    with contextlib.suppress(OSError, DoorlightError):
        return end_of_log(path).seq
    return 0
