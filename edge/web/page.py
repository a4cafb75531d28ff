"""What a page is, and how it is rendered.

To add a page, write a module in `pages` with a `PAGE`, a template in `templates`, and list it in `registry`.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute

from .feed import DoorFeed
from .token import TokenCheck
from .translation import LANGUAGES, choose, translations

#: Longest body of a form, in bytes.
MAX_FORM_BYTES = 32 << 10
LANGUAGE_COOKIE = "doorlight-language"
TOKEN_COOKIE = "doorlight-token"


@dataclass(frozen=True)
class Page:
    """An entry of the navigation: `path` as in the address, `title` a message of the catalogue, and its routes."""

    path: str
    title: str
    routes: Sequence[BaseRoute]


@dataclass(frozen=True)
class Site:
    """What the pages share: `request.app.state.site`."""

    pages: Sequence[Page]
    feed: DoorFeed
    token: TokenCheck
    config_file: Path | None
    events_file: Path
    #: The areas that were set on the page; None if there is no place for them.
    areas_file: Path | None = None
    #: The database of many doors, at a head office; "" if there is none.
    fleet_database: str = ""
    #: For work that keeps a small processor busy: one at a time.
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: What pages keep for a while, by the page's path.
    kept: dict[str, Any] = field(default_factory=dict)


def site_of(request: Request) -> Site:
    """Return the site that a request belongs to."""
    site: Site = request.app.state.site
    return site


def language_of(request: Request) -> str:
    """Return the language for a request: of its address (?language=de), its cookie, or its browser."""
    chosen = request.query_params.get("language") or request.cookies.get(LANGUAGE_COOKIE)
    return choose(chosen, request.headers.get("accept-language", ""))


def page_number(request: Request) -> int:
    """Return the number of ?page=NUMBER, from 1; 1 for anything that is no such number."""
    number = request.query_params.get("page", "1")
    return max(int(number), 1) if number.isascii() and number.isdigit() and len(number) < 6 else 1


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page from a template, in the language of the request."""
    language = language_of(request)
    words = translations(language)
    site = site_of(request)
    text = (
        _environment()
        .get_template(template)
        .render(
            _=words.gettext,
            ngettext=words.ngettext,
            language=language,
            languages=LANGUAGES,
            pages=site.pages,
            current=request.url.path,
            form_key=site.token.form_key(request.cookies.get(TOKEN_COOKIE, "")),
            **values,
        )
    )
    response = HTMLResponse(text, status)
    if request.query_params.get("language") in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=180 * 86400, httponly=True, samesite="strict")
    return response


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that one of our pages sent. Raises HTTPException: 403 for others, 413 if too long."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM_BYTES:
                raise HTTPException(413)
    except ClientDisconnect:
        raise HTTPException(400) from None
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise HTTPException(400) from None
    form = {name: values[0] for name, values in fields.items()}
    key = site_of(request).token.form_key(request.cookies.get(TOKEN_COOKIE, ""))
    if not hmac.compare_digest(key, form.get("form_key", "").encode("ascii", "replace").decode()):
        raise HTTPException(403)
    return form


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("edge.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
