"""Start time, signals, standard output and terminal of this process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

#: Exit code of a command that a signal ended before it was complete.
INTERRUPTED = 130


class Terminal(NamedTuple):
    """Properties of standard output. `width` is in columns, also if it is not a terminal."""

    is_terminal: bool
    has_colour: bool
    width: int


def terminal() -> Terminal:
    """Return the properties of standard output. Respects TERM=dumb and NO_COLOR."""
    import shutil  # loads the compression modules, which most commands do not need

    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    has_colour = is_terminal and not os.environ.get("NO_COLOR")
    return Terminal(is_terminal, has_colour, shutil.get_terminal_size((100, 24)).columns)


def started_at() -> float:
    """Return the monotonic time at which this process started, before the interpreter's own start."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return time.monotonic() - age_s


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM, SIGINT and SIGHUP, except for signals that are ignored (nohup)."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())


def make_journal_output_nonblocking() -> None:
    """Drop lines that systemd's journal does not accept: a journal with a slow or full disk must not stop the door."""
    with contextlib.suppress(OSError, ValueError):
        output = sys.stdout.fileno()
        status = os.fstat(output)
        # Only for the journal's socket (see systemd.exec(5)): the flag would also affect other users of a terminal or
        # pipe.
        if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
            os.set_blocking(output, False)


def discard_output() -> None:
    """Redirect standard output to /dev/null, so that Python does not report the lost output again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
