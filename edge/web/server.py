"""Serve the page with uvicorn, and survive clients that are slow, stalled or many."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import signal
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import InputError, UnavailableError
from ..system.files import read_regular
from ..system.limited_listener import LimitedListener

#: Open connections. A browser has up to six.
MAX_CONNECTIONS = 60
#: A request must arrive within this time (seconds); a client that reads nothing for as long is cut off.
STALLED_AFTER_S = 10.0
MAX_HEADER_BYTES = 16 << 10


class GuardedProtocol(H11Protocol):
    """HTTP that ends connections which keep the server waiting: uvicorn by itself waits for ever."""

    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        # A slow client sends a byte now and then: only a complete request counts.
        if self.cycle is not before and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self._expect_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_AFTER_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(STALLED_AFTER_S, self.transport.abort)


class _Server(uvicorn.Server):
    """A server that ends with SIGTERM, SIGINT or SIGHUP, as `doorlight run` does, or after a time."""

    def __init__(self, config: uvicorn.Config, for_s: float | None) -> None:
        super().__init__(config)
        self._for_s = for_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and give a client that is slow to agree on TLS no more time than any other."""
        loop = asyncio.get_running_loop()
        if self.config.is_ssl:
            with_limit = functools.partial(loop.create_server, ssl_handshake_timeout=STALLED_AFTER_S)
            loop.create_server = with_limit  # type: ignore[method-assign]
        await super().startup(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        if self._for_s is not None:
            loop.call_later(self._for_s, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def open_socket(host: str, port: int) -> LimitedListener:
    """Return a socket that listens on a numeric address. Raises UnavailableError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    listener = None
    try:
        listener = LimitedListener(family, MAX_CONNECTIONS)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason, hint = _explain(error)
        raise UnavailableError(f"{name}: {reason}", hint) from error
    return listener


def _explain(error: OSError) -> tuple[str, str]:
    """Return why a socket cannot listen, and what to do."""
    choose = "choose another one: [web] listen, or --listen"
    if error.errno == errno.EADDRINUSE:
        return "the port is in use by another program", choose
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have the address", f"{choose}; ip addr shows those it has"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission for this port", "choose a port from 1024 on: [web] listen, or --listen"
    return f"cannot listen: {error.strerror}", choose


#: Certificates with all those above them have some 10 kB.
MAX_PEM_BYTES = 1_000_000


def check_certificate(certificate: Path, key: Path) -> None:
    """Raise InputError if a certificate and its key cannot be used."""
    for path in (certificate, key):
        try:
            read_regular(path, MAX_PEM_BYTES)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read: {error.strerror}", "check [web] certificate and key, and the permissions"
            ) from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{certificate}: is no certificate for {key}: {reason}",
            "both must be PEM files, and the key without a password",
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")


def make_server(
    app: ASGIApp, for_s: float | None = None, certificate: Path | None = None, key: Path | None = None
) -> uvicorn.Server:
    """Return the server of `app`. It ends with a signal, or after `for_s` seconds."""
    # Requests are not logged: the address of a link contains the token. Broken requests would fill the journal.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    options: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate is not None else {}
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        **options,
    )
    return _Server(config, for_s)


def serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve on `listener` until the server ends."""
    asyncio.run(server.serve(sockets=[listener]))
