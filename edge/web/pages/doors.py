"""Doors: all doors of a head office, those in trouble first, as `doorlight fleet` shows them. Off without a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ...errors import DoorlightError
from ...fleet import overview
from ...fleet.database import Address
from ...fleet.overview import DoorSummary, Trouble
from ...fleet.table import age
from ...system.terminal import printable
from ..page import Page, language_of, page_number, render, site_of
from ..translation import N_, translations

KEY = "web.fleet_database"
ROWS_PER_PAGE = 200
#: The overview is shown again for this time (seconds), however many people look: the query reads a week of events.
KEEP_S = 15.0
#: Connecting and the query may take this long (seconds) each. A request has 60 s.
TIMEOUT_S = 20
_MAX_LENGTH = 80

TROUBLES = {
    Trouble.BLIND: N_("blind"),
    Trouble.OFFLINE: N_("offline"),
    Trouble.SILENT: N_("silent for an hour"),
    Trouble.PROBLEM: N_("problem"),
    Trouble.MISSING: N_("events missing"),
    Trouble.NONE: N_("all well"),
}
#: The phrases of `fleet.table.AGES`, marked for translation here: fleet does not know the page.
AGES = (N_("never"), N_("{n} s ago"), N_("{n} min ago"), N_("{n} h ago"), N_("{n} days ago"))
#: CSS classes of the chips: red for a door that does not work, none for one that does.
TONES = {Trouble.NONE: "pass", Trouble.PROBLEM: "note", Trouble.MISSING: "note"}


class Row(NamedTuple):
    """A row of the table. Texts of a door are printable and short; `seen_iso` and `blind_iso` are for programs."""

    door: str
    trouble: str
    tone: str
    problem: str
    seen: str
    seen_iso: str
    signal: str
    blind_since: str
    blind_iso: str
    version: str
    newer_version: str
    alarms: int
    missing: int


class _Overview(NamedTuple):
    """The doors, or what is wrong with the database; and the monotonic time at which it was asked."""

    doors: list[DoorSummary]
    problem: str
    hint: str
    at_s: float


@dataclass
class _Kept:
    """The newest overview. `asking` is the page's own lock: one question at a time, because a database may take long."""

    newest: _Overview | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


def check_address(database: str) -> None:
    """Raise UsageError if the setting is no address of PostgreSQL, or has a password."""
    Address(database, KEY)


async def show(request: Request) -> HTMLResponse:
    """Return the doors of ?page=NUMBER."""
    found = await _overview(request)
    page = min(page_number(request), max(-(-len(found.doors) // ROWS_PER_PAGE), 1))
    first = (page - 1) * ROWS_PER_PAGE
    now, translate = datetime.now(UTC), translations(language_of(request)).gettext
    return render(
        request,
        "doors.html",
        rows=[_row(door, now, translate) for door in found.doors[first : first + ROWS_PER_PAGE]],
        count=len(found.doors),
        troubled=sum(door.trouble is not Trouble.NONE for door in found.doors),
        days=overview.DAYS,
        problem=found.problem,
        hint=found.hint,
        before=f"/doors?page={page - 1}" if page > 1 else "",
        after=f"/doors?page={page + 1}" if first + ROWS_PER_PAGE < len(found.doors) else "",
    )


async def _overview(request: Request) -> _Overview:
    site = site_of(request)
    kept: _Kept = site.kept.setdefault(PAGE.path, _Kept())
    async with kept.asking:
        if kept.newest is None or time.monotonic() - kept.newest.at_s > KEEP_S:
            kept.newest = await run_in_threadpool(_ask, site.fleet_database)
        return kept.newest


def _ask(database: str) -> _Overview:
    doors, problem, hint = list[DoorSummary](), "", ""
    try:
        doors = overview.load(Address(database, KEY), timeout_s=TIMEOUT_S)
    except DoorlightError as error:
        problem, hint = str(error), error.hint
    return _Overview(doors, problem, hint, time.monotonic())


def _row(door: DoorSummary, now: datetime, translate: Callable[[str], str]) -> Row:
    phrase, number = age(door.last_seen, now)
    since = door.blind_since
    return Row(
        _short(door.name),
        translate(TROUBLES[door.trouble]),
        TONES.get(door.trouble, "fault"),
        _short(door.problem),
        translate(phrase).format(n=number),
        "" if door.last_seen is None else door.last_seen.isoformat(timespec="seconds"),
        _short(door.signal),
        "" if since is None else since.astimezone().strftime("%Y-%m-%d %H:%M"),
        "" if since is None else since.isoformat(timespec="seconds"),
        _short(door.version),
        _short(door.newer_version),
        door.alarms,
        door.missing,
    )


def _short(text: str) -> str:
    """Return what a door says of itself, which may be anything."""
    return printable(text, _MAX_LENGTH)


PAGE = Page("/doors", N_("Doors"), [Route("/doors", show)])
