"""Addresses of network cameras: user and password in any form, and sentences for what is wrong with an address."""

from __future__ import annotations

import re
import socket
import urllib.parse
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_HOST = re.compile(r"(\[[^\]]*\]|[^:@?#\[\]]*)(?::(\d*))?")
_HOST_AND_QUERY = re.compile(r"[^:@?#]+[?#]")

LOGIN_HINT = (
    "write USER:PASSWORD@ before the host, those of the camera and not of its app, and in the password %40 for @, %23 for #, "
    "%2F for /; on a command line, put the address in single quotes"
)
PATH_HINT = "look up the path of the stream in the camera's manual"


class Address(NamedTuple):
    """The parts of an address. `user` and `password` are decoded; `rest` is the path with its query."""

    scheme: str
    user: str
    password: str
    host: str
    port: int | None
    rest: str

    @property
    def without_login(self) -> str:
        """The address without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port is not None else "") + self.rest

    @property
    def encoded(self) -> str:
        """The address with every special character of user and password as %XX, as libraries expect it."""
        if not self.user and not self.password:
            return self.without_login
        user, password = (urllib.parse.quote(text, safe="") for text in (self.user, self.password))
        return self.without_login.replace("://", f"://{user}:{password}@", 1)


def split(address: str) -> Address:
    """Split an address. A password may contain "@", "#", ":", "/" and "%", encoded (%40) or not.

    Raises ValueError if host or port are not valid.
    """
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    login = ""
    if "@" in authority and not _HOST_AND_QUERY.match(authority):
        login, _, authority = authority.rpartition("@")
    elif "@" in path and not _is_host(authority):  # a "/" in the password
        login, _, rest = rest.rpartition("@")
        authority, slash, path = rest.partition("/")
    authority, query = re.fullmatch(r"([^?#]*)(.*)", authority, re.DOTALL).groups()  # type: ignore[union-attr]
    match = _HOST.fullmatch(authority)
    if match is None or not match[1]:
        raise ValueError("has no valid host")
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"has no valid port: {port}")
    user, _, password = login.partition(":")
    unquote = urllib.parse.unquote
    return Address(scheme.lower(), unquote(user), unquote(password), match[1].strip("[]"), port, query + slash + path)


def _is_host(authority: str) -> bool:
    match = _HOST.fullmatch(authority)
    return bool(match and match[1])


def tls_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate: cameras have certificates of their own making."""
    import ssl  # not at the top: it takes a while to import, and few cameras need it

    # Not ssl.create_default_context: it loads the certificates of all authorities, 30 ms of work for nothing.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connection_problem(error: OSError, port: int | None) -> tuple[str, str]:
    """Return what is wrong, and a hint, if the connection to a camera fails."""
    if isinstance(error, socket.gaierror):
        # Without the name: it may be a piece of a password.
        return (
            "unknown host",
            "check the name, or use the camera's IP address; in a password write %40 for @, %2F for /",
        )
    if isinstance(error, ConnectionRefusedError):
        return (
            f"connection refused: nothing listens on port {port}",
            "check the port, and that the camera's stream is on",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return "closes the connection without an answer", "check the port, and that the camera's stream is on"
    if isinstance(error, TimeoutError):
        return "does not answer", "check address, power and network of the camera"
    reason = error.strerror or str(error)
    return f"cannot be reached: {reason}", "check address and network of the camera"


def status_problem(code: int, reason: str, user: str) -> tuple[str, str]:
    """Return what is wrong, and a hint, for a status code of HTTP or RTSP other than success."""
    status = f"{code} {reason}".strip()
    if code == 401:
        if user:
            return f"refuses this user or password ({status})", LOGIN_HINT
        return f"needs a user and a password ({status})", LOGIN_HINT
    if code == 403:
        return f"forbids the access ({status})", "allow this user to see the stream in the camera's own settings"
    if code in (404, 410, 454):
        return f"has no stream at this address ({status})", PATH_HINT
    if code >= 500 or code in (429, 453):
        return f"reports an error ({status})", "close other viewers of the camera, or restart the camera"
    return f"refuses the request ({status})", PATH_HINT
