"""The pages, in the order of the navigation. The first one opens with the address alone."""

from __future__ import annotations

from .page import Page
from .pages import events, health, live, setup, statistics, why

PAGES: tuple[Page, ...] = (live.PAGE, why.PAGE, setup.PAGE, events.PAGE, statistics.PAGE, health.PAGE)
