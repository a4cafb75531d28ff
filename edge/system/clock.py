"""Local time for the buzzer's quiet hours, and whether the system clock is set.

Decisions use monotonic time. Wall time is read for quiet hours, for the event log (`events/writer`) and for reports
only.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

#: A clock that shows a time before this (seconds since 1970) is wrong: this program did not exist then.
EARLIEST_TIME_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
#: systemd-timesyncd touches this file whenever it sets the clock. A reboot removes it.
TIMESYNC_FILE = "/run/systemd/timesync/synchronized"
#: Pattern of the files that give the time of each clock chip, in seconds since 1970.
RTC_FILES = "/sys/class/rtc/rtc*/since_epoch"
#: A clock chip that differs by this much or more (seconds) does not confirm the system clock.
MAX_RTC_DIFFERENCE_S = 120


def parse_hours(text: str) -> tuple[int, int]:
    """Parse "22:00-07:00" into (1320, 420), the minutes after midnight at which the hours begin and end.

    Raises ValueError, with the reason.
    """
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    if found is None:
        raise ValueError("is not of the form 22:00-07:00")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    begin, end = 60 * hour + minute, 60 * end_hour + end_minute
    if minute > 59 or end_minute > 59 or begin >= 24 * 60 or end > 24 * 60:
        raise ValueError("contains a time that does not exist")
    if begin == end:
        raise ValueError("begins when it ends")
    return begin, end


def within(hours: tuple[int, int], minute: int) -> bool:
    """Return whether a minute of the day lies in [begin, end); the hours may go past midnight."""
    begin, end = hours
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def minute_of_day() -> int:
    """Return the local time in minutes after midnight."""
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min


def replace_impossible_zone() -> str:
    """Use UTC if $TZ has an offset of a day or more, of which Python makes no time. Return a note; "" if all is well."""
    if all(abs(offset_s) < 86400 for offset_s in (time.timezone, time.altzone)):
        return ""
    given = os.environ.get("TZ", "")
    os.environ["TZ"] = "UTC"
    time.tzset()
    return f"TZ is {given!r}: a time zone differs by less than 24 hours; times are UTC"


def is_set() -> bool:
    """Return whether the system clock can be trusted.

    A Raspberry Pi boots with the time of its last shutdown, and keeps it if it has no network: the time looks right but
    is hours or days late. So the clock counts as set only if systemd-timesyncd has set it, or if a clock chip with a
    battery shows the same time. (The kernel has a flag for this, but ProtectClock= forbids the service to call
    adjtimex(2).)
    """
    if Path(TIMESYNC_FILE).exists():
        return True
    for path in glob.glob(RTC_FILES):
        with contextlib.suppress(OSError, ValueError):  # a chip without a battery may give an error or no text
            if abs(int(Path(path).read_text()) - time.time()) < MAX_RTC_DIFFERENCE_S:
                return True
    return False
