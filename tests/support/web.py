"""The page without a browser: a client for its ASGI application, and a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.testclient import TestClient

from edge.web import server
from edge.web.app import create_app
from edge.web.feed import DoorFeed
from edge.web.page import TOKEN_COOKIE, Site
from edge.web.registry import PAGES, with_doors
from edge.web.token import TokenCheck

TOKEN = "a-token-for-tests"


def make_app(folder: Path, settings: str = "", names: tuple[str, ...] = (), fleet_database: str = "") -> Starlette:
    """Return the page of a door in `folder`: its socket, its settings and its event log are there."""
    config_file = folder / "door.toml"
    config_file.write_text(settings)
    feed = DoorFeed(lambda: [folder / "view.sock"])
    pages = with_doors(PAGES, fleet_database) if fleet_database else PAGES
    files = config_file, folder / "events.jsonl", folder / "areas.toml"
    site = Site(pages, feed, TokenCheck(TOKEN, None), *files, fleet_database)
    return create_app(site, names)


@contextlib.contextmanager
def make_client(
    folder: Path, token: str | None = TOKEN, settings: str = "", fleet_database: str = ""
) -> Iterator[TestClient]:
    """Yield a client whose cookie has `token`, and that does not follow redirects."""
    app = make_app(folder, settings, fleet_database=fleet_database)
    headers = {"accept-language": "en"}
    with TestClient(app, "http://localhost:8080", follow_redirects=False, headers=headers) as client:
        if token is not None:
            client.cookies.set(TOKEN_COOKIE, token)
        yield client


@contextlib.asynccontextmanager
async def serving(app: Starlette, certificate: Path | None = None, key: Path | None = None) -> AsyncIterator[int]:
    """Serve `app` with uvicorn on a free port of loopback; yield the port."""
    listener = server.open_socket("127.0.0.1", 0)
    running = server.make_server(app, None, certificate, key)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        while not running.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        await task
