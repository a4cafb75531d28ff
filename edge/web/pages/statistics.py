"""Statistics: the figures of `doorlight stats` for a time span that ends now."""

from __future__ import annotations

import time
from pathlib import Path

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from ...errors import DoorlightError
from ...statistics import figures, report
from ...statistics.phrases import Phrases
from ..page import Page, language_of, render, site_of
from ..translation import N_, translations

DAY_S = 86400
#: Titles and lengths of the time spans, in days; None is everything.
SPANS: dict[str, tuple[str, int | None]] = {
    "1d": (N_("the last 24 hours"), 1),
    "7d": (N_("the last 7 days"), 7),
    "30d": (N_("the last 30 days"), 30),
    "365d": (N_("the last 365 days"), 365),
    "all": (N_("everything"), None),
}
DEFAULT_SPAN = "7d"
#: Decimal and thousands separators of languages other than English.
SEPARATORS = {"de": (",", ".")}


async def show(request: Request) -> HTMLResponse:
    """Return the statistics of ?since=SPAN."""
    chosen = request.query_params.get("since", DEFAULT_SPAN)
    chosen = chosen if chosen in SPANS else DEFAULT_SPAN
    problem, fragment, period = "", Markup(), ""
    site, language = site_of(request), language_of(request)
    phrases = Phrases(translations(language).gettext, *SEPARATORS.get(language, (".", ",")))
    try:
        async with site.busy:
            found = await run_in_threadpool(_collect, site.events_file, SPANS[chosen][1])
        # The fragment escapes what comes from the log.
        fragment, period = Markup(report.fragment(found, phrases)), phrases.period(found)
    except DoorlightError as error:
        problem = str(error)
    return render(
        request, "statistics.html", spans=SPANS, chosen=chosen, problem=problem, fragment=fragment, period=period
    )


def _collect(path: Path, days: int | None) -> figures.Statistics:
    """Return the statistics of the log at `path` and of its hours. Raises InputError."""
    return figures.collect(path, None if days is None else time.time() - days * DAY_S)


PAGE = Page("/statistics", N_("Statistics"), [Route("/statistics", show)])
