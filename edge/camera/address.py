"""Addresses of network cameras, with user and password in any form."""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_HOST = re.compile(r"(\[[^@/?#\[\]]*\]|[^:@?#\[\]]*)(?::(\d*))?")
_KEY_OF_QUERY = re.compile(r"\?[\w.-]+=")
_HOST_NAME = r"(?:\[[^@/?#\[\]]*\]|[^:@?#/\[\]]+)"
#: A host with a query and no path. In "me?1:secret@door", "?" belongs to the user, in "me:80?a@door" to the password.
_HOST_AND_QUERY = re.compile(rf"{_HOST_NAME}(?:\?(?![^=@]*:[^@]*@)|:\d+\?(?:[\w.-]*=|[^@]*\Z))")
#: A login and such a host. The query may have an "@" of its own.
_LOGIN_AND_QUERY = re.compile(rf"([^/]*?)@{_HOST_NAME}(?::\d+)?{_KEY_OF_QUERY.pattern}")
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
    if match is None or not match[1].strip("[]"):
        raise ValueError("has no valid host")
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"has no valid port: {port}")
    user, _, password = login.partition(":")
    unquote = urllib.parse.unquote
    if rest.startswith(("?", "#")):
        rest = f"/{rest}"  # means the same, and not every camera and library accepts a query without a path
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
    hidden, at, _ = rest.rpartition("@")
    if not _is_host(authority) or (at and login):
        login, rest = _split_at_last_at(address.partition("://")[2])
        authority = ""
    elif at and ":" in authority + hidden and not re.fullmatch(r"[^@?]*\?.*", hidden, re.DOTALL):
        rest = f"{rest[0]}***@{_split_at_last_at(rest)[1]}"
    elif _KEY_OF_QUERY.search(login):
        authority, rest = "", "…"
    return f"{scheme}://{_user(login)}{'@' if login else ''}{authority}{_without_query(rest)}"


def _without_password_of_misspelt(address: str) -> str:
    login, rest = _split_at_last_at(address)
    if not login:
        return _without_query(address)
    begin = _MISSPELT_SCHEME.match(login).end()  # type: ignore[union-attr]
    return f"{login[:begin]}{_user(login[begin:])}@{_without_query(rest)}"


def _split_at_last_at(text: str) -> tuple[str, str]:
    """Return what stands before the last "@" and after it; "…" if that may be a piece of a password in a query."""
    before, _, after = text.rpartition("@")
    return before, "…" if "?" in before else after


def _user(login: str) -> str:
    """Return the user of a login that may include more of the address, and "***" for the rest."""
    user = re.split(r"[:/@]", login, maxsplit=1)[0]
    hidden = "" if user == login else ":***"
    return f"***{hidden}" if "=" in user else user + hidden


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
    login, at = "", ""
    if not _HOST_AND_QUERY.match(rest):
        authority, _, path = rest.partition("/")
        if match := _LOGIN_AND_QUERY.match(rest):
            login, at = match[1], "@"
        elif "@" in authority:
            login, at, _ = authority.rpartition("@")
        elif "@" in path and not _is_host(authority):  # a "/" in the password
            # The "@" of a query does not end the login.
            before_query = re.match(r"[^@]*@[^?]*", rest)[0]  # type: ignore[index]
            login, at, _ = before_query.rpartition("@")
    authority, rest = re.fullmatch(r"([^/?#]*)(.*)", rest[len(login + at) :], re.DOTALL).groups()  # type: ignore[union-attr]
    return scheme, login, authority, rest


def _is_host(authority: str) -> bool:
    match = _HOST.fullmatch(authority)
    return bool(match and match[1])
