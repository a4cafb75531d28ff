"""Events: what happened on a day, newest first, by kind, as a table that needs no script."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import DoorlightError, InputError
from ...events.record import EventRecord, timestamp
from ...events.selection import Selection
from ...events.text import describe_event
from ...events.time_span import parse_moment
from ..page import Page, language_of, page_number, render, site_of
from ..translation import N_, translations

ROWS_PER_PAGE = 200
#: Filters: title, and kinds of events and signals; none: all.
FILTERS: dict[str, tuple[str, frozenset[str]]] = {
    "all": (N_("everything"), frozenset()),
    "people": (
        N_("people"),
        frozenset({"masked", "unmasked", "agitated", "maybe_agitated", "calm", "cleared", "ignored"}),
    ),
    "lights": (N_("lights"), frozenset({"signal", "buzzer_silenced", "buzzer_back", "lamps_tested"})),
    "alarms": (N_("alarms"), frozenset({"alarm", "agitated", "calm"})),
    "problems": (
        N_("problems"),
        frozenset(
            {"fault", "camera_lost", "camera_back", "accelerator_lost", "accelerator_back", "source_damaged"}
            | {"clock_set", "log_lost", "log_repaired"}
        ),
    ),
    "door": (
        N_("the door itself"),
        frozenset(
            {"started", "stopped", "scene", "view", "areas_set", "clock_set"}
            | {"buzzer_silenced", "buzzer_back", "lamps_tested", "command_refused"}
        ),
    ),
}


class Row(NamedTuple):
    """A row of the table. `tone` is a CSS class: the signal in lower case, "bad", or ""."""

    time: str
    iso: str
    signal: str
    tone: str
    text: str


async def show(request: Request) -> Response:
    """Return the events of ?day=YYYY-MM-DD (default: today) of ?show=FILTER, ?page=NUMBER."""
    query = request.query_params
    today = datetime.now().astimezone().date()
    day = _parse_day(query.get("day", ""), today)
    chosen = query.get("show", "all") if query.get("show") in FILTERS else "all"
    page = page_number(request)
    path = site_of(request).events_file
    state = _log_state(path)
    tag = f'"{state}-{day}-{today}-{language_of(request)}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304)
    problem, rows, is_more = "", [], False
    try:
        async with site_of(request).busy:
            found = await run_in_threadpool(read_day, path, day, FILTERS[chosen][1], page)
        rows = [describe_row(record, translations(language_of(request)).gettext) for record in found.records]
        is_more = found.is_more
    except DoorlightError as error:
        problem = str(error)

    def link(**changes: object) -> str:
        return "/events?" + urlencode({"day": day, "show": chosen, "page": 1, **changes})

    response = render(
        request,
        "events.html",
        day=day,
        today=today,
        rows=rows,
        problem=problem,
        filters=FILTERS,
        chosen=chosen,
        page=page,
        earlier_day=link(day=day - timedelta(days=1)),
        later_day=link(day=day + timedelta(days=1)) if day < today else "",
        newer=link(page=page - 1) if page > 1 else "",
        older=link(page=page + 1) if is_more else "",
        is_live=day == today and page == 1,
    )
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


class DayPage(NamedTuple):
    """Some events of a day, newest first, and whether there are older ones."""

    records: list[EventRecord]
    is_more: bool


def read_day(path: Path, day: date, kinds: frozenset[str], page: int) -> DayPage:
    """Return page `page` (from 1) of the events of a day in local time. Raises InputError, and UsageError for no day."""
    now = datetime.now().astimezone()
    since, until = parse_moment(f"{day}", now), parse_moment(f"{day}", now, is_end=True)
    selection = Selection.of_log(path, since, until, kinds)
    wanted = page * ROWS_PER_PAGE
    newest: deque[EventRecord] = deque(maxlen=wanted + 1)
    for entry in selection.entries():
        newest.append(entry.record)
    if not selection.is_of_a_log:
        raise InputError(f"{path}: is not an event log: it has no events")
    newest.reverse()
    rows = list(newest)
    return DayPage(rows[wanted - ROWS_PER_PAGE : wanted], len(rows) > wanted)


def describe_row(record: EventRecord, translate: Callable[[str], str]) -> Row:
    """Return the row of an event, in words and local time."""
    moment = timestamp(record)
    local = moment.astimezone() if moment else None
    kind = str(record.get("event", "?"))
    signal = str(record.get("signal", "")) if kind == "signal" else ""
    tone = signal.lower() if signal in ("IDLE", "PASS", "STOP", "ALARM", "FAULT") else ""
    if kind in ("camera_lost", "accelerator_lost", "fault", "log_lost", "source_damaged"):
        tone = "bad"
    return Row(
        f"{local:%H:%M:%S}" if local else "–",
        local.isoformat(timespec="seconds") if local else "",
        signal[:20],
        tone,
        describe_event(record, translate),
    )


def _parse_day(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return min(day, today) if day.year >= 1990 else today


def _log_state(path: Path) -> str:
    """Return a text that changes when the log does."""
    try:
        status = os.stat(path)
    except OSError:
        return "none"
    return f"{status.st_ino}-{status.st_size}"


PAGE = Page("/events", N_("Events"), [Route("/events", show)])
