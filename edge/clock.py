"""Wall-clock time, for quiet hours alone: everything else in Doorlight goes by monotonic time."""

from __future__ import annotations

import contextlib
import glob
import re
import time
from pathlib import Path

#: Touched by systemd-timesyncd whenever it has set the clock; gone after a reboot.
TIMESYNC = "/run/systemd/timesync/synchronized"
#: What clock chips say, in seconds since 1970.
RTCS = "/sys/class/rtc/rtc*/since_epoch"


def parse_hours(text: str) -> tuple[int, int]:
    """ "22:00-07:00" to (1320, 420): from and until, in minutes after midnight. Raises ValueError, saying why."""
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    if found is None:
        raise ValueError("is not of the form 22:00-07:00")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    begin, end = 60 * hour + minute, 60 * end_hour + end_minute
    if minute > 59 or end_minute > 59 or begin >= 24 * 60 or end > 24 * 60:
        raise ValueError("has a time that no clock shows")
    if begin == end:
        raise ValueError("begins when it ends")
    return begin, end


def within(hours: tuple[int, int], minute: int) -> bool:
    """Whether a minute of the day lies in [from, until), which may go over midnight."""
    begin, end = hours
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def minute_of_day() -> int:
    """Local time, in minutes after midnight."""
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min


def is_set() -> bool:
    """Whether the clock can be believed.

    A Raspberry Pi boots with the time of its last shutdown, and without a network keeps that: hours or days late, yet
    a time that looks right. So the clock counts as set once systemd-timesyncd has set it, or where a clock chip with
    a battery shows the same time. (The kernel's own flag, adjtimex(2), is behind a system call that ProtectClock=
    forbids the service.)
    """
    if Path(TIMESYNC).exists():
        return True
    for path in glob.glob(RTCS):
        with contextlib.suppress(OSError, ValueError):  # a chip without a battery may give nothing at all
            if abs(int(Path(path).read_text()) - time.time()) < 120:
                return True
    return False
