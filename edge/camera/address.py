"""Addresses of network cameras, with user and password in any form."""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_HOST = re.compile(r"(\[[^\]]*\]|[^:@?#\[\]]*)(?::(\d*))?")
_HOST_AND_QUERY = re.compile(r"[^:@?#]+\?")
#: What stands before the user in an address with a misspelt scheme.
_MISSPELT_SCHEME = re.compile(r"(?i)\s*(?:(?:rtsps?|https?|udp)\b)?\s*[:;]?\s*[/\\]*")


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
    scheme, login, authority, rest = _parts(address)
    match = _HOST.fullmatch(authority)
    if match is None or not match[1]:
        raise ValueError("has no valid host")
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"has no valid port: {port}")
    user, _, password = login.partition(":")
    unquote = urllib.parse.unquote
    return Address(scheme.lower(), unquote(user), unquote(password), match[1].strip("[]"), port, rest)


def without_password(address: str) -> str:
    """Return `address` without passwords and query, for messages and logs. Every message about a source shows this text.

    An address without "://" has its password hidden, too. Do not call it for a file: its name may contain "?" or "@".

    >>> without_password("rtsp://me:secret@door/1?key=5")
    'rtsp://me:***@door/1?…'
    """
    if "://" not in address:
        return _without_password_of_misspelt(address)
    scheme, login, authority, rest = _parts(address)
    # An "@" in the rest may belong to the path, or to a password with an unescaped "/": hide what stands before it.
    hidden, at, shown = rest.rpartition("@")
    if not _is_host(authority) or (at and login):
        login, _, rest = address.partition("://")[2].rpartition("@")
        authority = ""
    elif at and ":" in authority + hidden and not re.fullmatch(r"[^@?]*\?.*", hidden, re.DOTALL):
        rest = f"{rest[0]}***@{shown}"
    rest = _without_query(rest)
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}{colon and ':***'}{'@' if login else ''}{authority}{rest}"


def _without_password_of_misspelt(address: str) -> str:
    before, at, after = address.rpartition("@")
    if not at:
        return _without_query(address)
    begin = _MISSPELT_SCHEME.match(before).end()  # type: ignore[union-attr]
    user, colon, _ = before[begin:].partition(":")
    return f"{before[:begin]}{user}{colon and ':***'}@{_without_query(after)}"


def _without_query(rest: str) -> str:
    """Return the path of an address without its query, and without a password in the path.

    Some cameras take it there: rtsp://door/user=me&password=secret&channel=1
    """
    rest = re.sub(r"([?#]).*", r"\1…", rest, flags=re.DOTALL)
    return re.sub(r"(?i)((?:pass\w*|pwd|token|key|secret)=)[^&/]*", r"\1***", rest)


def _parts(address: str) -> tuple[str, str, str, str]:
    """Return the scheme, "user:password", "host:port", and the path with its query, as they are written.

    urlsplit fails for an unescaped "/", "?" or "#" in a password.
    """
    scheme, _, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    login = ""
    if "@" in authority and not _HOST_AND_QUERY.match(authority):
        login, _, authority = authority.rpartition("@")
    elif "@" in path and not _is_host(authority):  # a "/" in the password
        # The "@" of a query does not end the login.
        before_query = re.match(r"[^@]*@[^?]*", rest)[0]  # type: ignore[index]
        login = before_query.rpartition("@")[0]
        authority, slash, path = rest[len(login) + 1 :].partition("/")
    authority, query = re.fullmatch(r"([^?#]*)(.*)", authority, re.DOTALL).groups()  # type: ignore[union-attr]
    return scheme, login, authority, query + slash + path


def _is_host(authority: str) -> bool:
    match = _HOST.fullmatch(authority)
    return bool(match and match[1])
