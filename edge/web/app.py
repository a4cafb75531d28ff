"""Assemble the page: routes, files, access."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import hosts
from .access import COOKIE_MAX_AGE_S, Access
from .page import Site, render
from .translation import N_

STATIC = Path(__file__).parent / "static"
#: Threads for files and for what takes long. systemd allows the service 32 tasks; with more, requests fail.
MAX_THREADS = 8
#: What a page says instead of an answer. Others have the text of 404.
ERRORS = {
    400: N_("The browser sent a request that this page does not understand."),
    403: N_("This form is too old. Go back, load the page again, and repeat it."),
    404: N_("There is no such page."),
    405: N_("There is no such page."),
    413: N_("The form is too long."),
}


def create_app(site: Site, further_names: Iterable[str] = (), cookie_max_age_s: int = COOKIE_MAX_AGE_S) -> Starlette:
    """Return the ASGI application with the pages of `site`, which only a browser with the token may see."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = MAX_THREADS
        running = asyncio.create_task(site.feed.run())
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def first_page(_: Request) -> Response:
        return RedirectResponse(site.pages[0].path, 303)

    async def show_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = error.status_code
        return render(request, "error.html", status, message=ERRORS.get(status, ERRORS[404]))

    routes = [route for page in site.pages for route in page.routes]
    app = Starlette(
        routes=[Route("/", first_page), *routes, Mount("/static", StaticFiles(directory=STATIC))],
        middleware=[
            Middleware(
                Access,
                token=site.token,
                names=hosts.known_names(further_names),
                cookie_max_age_s=cookie_max_age_s,
            )
        ],
        exception_handlers={HTTPException: show_error},
        lifespan=lifespan,
    )
    app.state.site = site
    return app
