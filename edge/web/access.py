"""Who may see the page: Host, rate, token and origin are checked before anything else sees a request."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import hosts
from .page import TOKEN_COOKIE, render
from .rate_limit import RateLimit
from .token import TokenCheck

#: Requests of an address, at once and a second. A live page sends five a second; behind a tunnel all have one address.
BURST, PER_S = 200, 60
#: Wrong tokens of an address, at once and a second.
WRONG_BURST, WRONG_PER_S = 10, 0.1
#: A request that takes longer (seconds) is given up.
REQUEST_TIMEOUT_S = 60.0
COOKIE_MAX_AGE_S = 180 * 86400
#: Needs no token: style sheet and scripts are in every copy of this program.
PUBLIC = "/static/"
SAFE_METHODS = ("GET", "HEAD")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # The link has the token in its address: no other site gets it. Not "no-referrer": browsers then send "Origin: null" with
    # our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Access:
    """ASGI middleware: refuses a request, lets it in, or exchanges the token of a link for a cookie."""

    def __init__(self, app: ASGIApp, token: TokenCheck, names: frozenset[str], cookie_max_age_s: int) -> None:
        self._app = app
        self._token = token
        self._names = names
        self._cookie_max_age_s = cookie_max_age_s
        self._all = RateLimit(BURST, PER_S)
        self._wrong = RateLimit(WRONG_BURST, WRONG_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headed = with_headers(send)
        is_answered = False

        async def answer(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await headed(message)

        app = self._refusal(scope) or self._app
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await app(scope, receive, answer)
        except TimeoutError:
            if not is_answered:  # what has begun ends with the connection
                await _plain(408, "The request took too long.")(scope, receive, answer)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """Return the answer to a request that must not reach the pages; None if it may."""
        request = Request(scope)
        headers = request.headers
        if len(headers.getlist("host")) != 1 or not hosts.is_ours(
            headers["host"], self._names, (scope.get("server") or ("",))[0]
        ):
            return _plain(403, "Unknown host. Add it to [web] hosts in the settings if it is this machine.")
        address = request.client.host if request.client else ""
        if not self._all.take(address):
            return _plain(429, "Too many requests.", {"Retry-After": "5"})
        if request.method not in SAFE_METHODS and not _is_same_origin(headers):
            return _plain(403, "The request comes from another site.")
        if request.url.path.startswith(PUBLIC) and request.method in SAFE_METHODS:
            return None
        if self._token.is_valid(request.cookies.get(TOKEN_COOKIE, "")):
            return None
        return self._login(request, address)

    def _login(self, request: Request, address: str) -> ASGIApp:
        """Return the answer to a request without a valid cookie."""
        given = request.query_params.get("token")
        if self._wrong.is_exhausted(address):
            wait_s = round(1 / WRONG_PER_S)
            return _plain(429, f"Too many wrong links. Wait {wait_s} seconds.", {"Retry-After": str(wait_s)})
        if given is None or request.method not in SAFE_METHODS:
            return render(request, "no_token.html", 401, is_wrong=False)
        if not self._token.is_valid(given):
            self._wrong.take(address)
            return render(request, "no_token.html", 401, is_wrong=True)
        # Not a redirect: a browser that comes from another site, such as a mail program, would follow it without the
        # cookie (SameSite=Strict). A page of ours that goes on is no other site.
        response = render(request, "welcome.html")
        response.headers["Refresh"] = "0; url=/"
        response.set_cookie(
            TOKEN_COOKIE,
            given,
            max_age=self._cookie_max_age_s,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response


def _is_same_origin(headers: Headers) -> bool:
    """Return whether a request that changes something comes from our own page."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == headers["host"].lower()
    except ValueError:  # no address
        return False


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(f"{text}\n", status, headers, "text/plain")


def with_headers(send: Send) -> Send:
    """Return a `send` that adds HEADERS to each response, and forbids storing it unless it says otherwise."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_with_headers
