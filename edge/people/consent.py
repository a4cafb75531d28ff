"""The text that a person agrees to, and how long the consent holds.

Templates of faces that identify people are biometric data (GDPR, Article 9): they may be processed only with explicit
consent, which is free, informed and for a limited purpose, and can be withdrawn at any time.
"""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta

from ..config import Config
from ..errors import UsageError
from ..system import clock

#: How long a consent holds at most, and unless another date is given.
MAX_DAYS, DEFAULT_DAYS = 5 * 366, 365
TEXT = """\
{controller} wants to recognise me at the door that this box watches.
- What is kept: my name and a template of my face (128 numbers), encrypted, on this
  box, on other doors of the same operator, and where these share it. No picture
  of me is kept.
- What for: the door recognises that I am enrolled. Nothing is done with it that
  this text does not say.
{more}- How long: until {until} at most. It is then deleted by itself.
- I agree of my own free will. If I do not agree, I use the door without being
  recognised, and have no disadvantage.
- I can withdraw at any time: my template is then deleted at once.
"""
#: What else is done with some settings.
OPENS = "- The door may unlock when it recognises me.\n"
LOGS_TIMES = "- The log of the door keeps when I was there, under a number that stands for my name.\n"
SHOWS_NAME = "- The page of the door shows my name while I am there.\n"


def text(config: Config, until: str) -> str:
    """Return the text for a consent until the day `until` (ISO 8601), at a door with these settings.

    [privacy] controller answers for the data. It may be empty: the text then names the operator of the door.
    """
    who = config.privacy.controller.strip() or "The operator of this door"
    uses = (
        (OPENS, config.people.may_open),
        (LOGS_TIMES, config.people.log == "id"),
        (SHOWS_NAME, config.people.page == "name"),
    )
    more = "".join(line for line, is_used in uses if is_used)
    return TEXT.format(controller=who, until=until, more=more)


def default_until(today: date | None = None) -> str:
    """Return the last day of a consent that is given today."""
    return ((today or date.today()) + timedelta(days=DEFAULT_DAYS)).isoformat()


def parse_until(text: str, today: date | None = None) -> str:
    """Return a day as YYYY-MM-DD. Raises UsageError if it is no date, is past, or too far away."""
    today = today or date.today()
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").date()
    except ValueError:
        raise UsageError(f"--until: {text[:40]!r} is not a date", f"write it as {default_until(today)}") from None
    if day < today:
        raise UsageError(f"--until: {day} is past", f"write a day from {today} on")
    if day > today + timedelta(days=MAX_DAYS):
        latest = today + timedelta(days=MAX_DAYS)
        raise UsageError(f"--until: {day} is more than five years away", f"ask again later; at most {latest}")
    return day.isoformat()


def is_expired(until: str, now_s: float) -> bool:
    """Return whether the day `until` is over at `now_s` (seconds since 1970), in local time. A wrong date has expired."""
    try:
        return date.fromtimestamp(now_s) > date.fromisoformat(until)
    except (ValueError, OverflowError, OSError):
        return True


def now(not_before_s: float = 0.0) -> float:
    """Return the time in seconds since 1970. A clock that is not set yet shows an earlier time than `not_before_s`.

    A clock that is set counts alone: `not_before_s` may be of a time at which it was wrong, and in the future.
    """
    return time.time() if may_delete() else max(time.time(), not_before_s)


def may_delete() -> bool:
    """Return whether the clock is known to be right: a wrong one must not delete everybody."""
    # A clock chip with an empty battery and the system may agree on 1970.
    return time.time() >= clock.EARLIEST_TIME_S and clock.is_set()
