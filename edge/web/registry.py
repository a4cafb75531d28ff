"""The pages, in the order of the navigation. The first one opens with the address alone."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import UnavailableError
from .page import Page
from .pages import events, health, live, setup, statistics, why

PAGES: tuple[Page, ...] = (live.PAGE, why.PAGE, setup.PAGE, events.PAGE, statistics.PAGE, health.PAGE)


def with_doors(pages: tuple[Page, ...], database: str) -> tuple[Page, ...]:
    """Return the pages with one of all doors in `database`, at the end.

    Raises UsageError if that is no address, and UnavailableError if the library for PostgreSQL is missing.
    """
    if find_spec("psycopg") is None:
        raise UnavailableError(
            "web.fleet_database: the library for PostgreSQL is missing", "pip install 'doorlight[fleet]', or remove it"
        )
    from .pages import doors

    doors.check_address(database)
    return *pages, doors.PAGE
