"""Send one HTTP request to a webhook, with a limit for everything: time, size, redirects, addresses.

The standard library's client waits for each byte anew, follows redirects to any address, and resolves a name a second time
after somebody has looked at its addresses. Only the beginning of the answer is read: its status says everything.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from ..errors import UnavailableError
from .certificates import client_context, untrusted

#: Time (seconds) for one attempt, with redirects. A name server has limits of its own.
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
MAX_REDIRECTS = 3
_MAX_HEAD_BYTES = 16 << 10
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
#: "100 Continue" and the like come before the answer.
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d\b")
#: Redirects whose request is sent again as it is, and those of old servers, which clients treat differently.
_REDIRECTS = (301, 302, 307, 308)
_PORTS = {"http": 80, "https": 443}


class PostError(UnavailableError):
    """A request has no answer. The message has the host of the webhook, and nothing else of its address."""


class Answer(NamedTuple):
    """The status of an answer, and after how many seconds to try again, if it says so."""

    status: int
    retry_after_s: float | None = None


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    context: ssl.SSLContext | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send `body` by POST, and return the answer. Redirects are followed on the same host only.

    `context` says who is trusted; None: the authorities of this system. Raises PostError.
    """
    deadline = time.monotonic() + timeout_s
    try:
        first = urlsplit(url)
    except ValueError as error:  # the settings do not check each digit of an IPv6 address
        raise PostError("the url is not an address", "correct the url") from error
    host = first.hostname or ""
    addresses = _addresses(host, first)
    current = first
    for _ in range(MAX_REDIRECTS + 1):
        status, answer = _exchange(current, addresses, headers, body, context, deadline)
        if status not in _REDIRECTS:
            return Answer(status, _retry_after(answer.get("retry-after", "")))
        following = _target_of(current, answer.get("location", ""))
        if following is None or not _is_same_place(current, following):
            raise PostError(f"{host}: redirects to another place", "write the final address as url")
        current = following
    raise PostError(f"{host}: redirects more than {MAX_REDIRECTS} times", "write the final address as url")


def _target_of(current: SplitResult, location: str) -> SplitResult | None:
    """Return the address that a redirect names; None if it is no address, such as `http://[bad`."""
    try:
        return urlsplit(urljoin(current.geturl(), location))
    except ValueError:
        return None


def _is_same_place(one: SplitResult, other: SplitResult) -> bool:
    """Return whether a redirect stays on its host and port, or goes from http to https there, without a login."""
    if other.username is not None or other.hostname != one.hostname or other.scheme not in _PORTS:
        return False
    with contextlib.suppress(ValueError):  # a port that is no number
        ports = one.port or _PORTS[one.scheme], other.port or _PORTS[other.scheme]
        return (one.scheme == other.scheme and ports[0] == ports[1]) or (
            (one.scheme, other.scheme) == ("http", "https") and ports == (80, 443)
        )
    return False


def _addresses(host: str, url: SplitResult) -> list[str]:
    """Return the addresses of a host. They are looked up once: a second answer could name another machine.

    A public name that leads to this machine is refused: whoever runs its name server could reach what listens here only for
    local programs. An address that the settings name is used as it is.
    """
    try:
        port = url.port or _PORTS[url.scheme]
        found = [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, ValueError, UnicodeError) as error:
        raise PostError(f"{host}: there is no machine of this name", "check the url, and the network") from error
    is_named = host == "localhost" or host.endswith(".localhost")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        is_named = True
    allowed = [address for address in found if is_named or not _is_own(address)]
    if not allowed:
        raise PostError(f"{host}: leads to this machine", "write 127.0.0.1 or localhost if that is meant")
    return list(dict.fromkeys(allowed))


def _is_own(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified or parsed.is_multicast


def _exchange(
    url: SplitResult,
    addresses: list[str],
    headers: Mapping[str, str],
    body: bytes,
    context: ssl.SSLContext | None,
    deadline: float,
) -> tuple[int, dict[str, str]]:
    """Send a request, and return status and headers of the answer."""
    host = url.hostname or ""
    port = url.port or _PORTS[url.scheme]
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    named_host = f"[{host}]" if ":" in host else host
    named_port = "" if port == _PORTS[url.scheme] else f":{port}"
    lines = [f"POST {target} HTTP/1.1", f"Host: {named_host}{named_port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1", "replace")
    try:
        with _connect(addresses, port, deadline) as plain, _secured(plain, url, context, deadline) as connection:
            connection.settimeout(_left(deadline))
            connection.sendall(head + body)
            return _read_head(connection, host, deadline)
    except ssl.SSLCertVerificationError as error:
        raise PostError(*untrusted(host, "the receiver", error)) from error
    except TimeoutError as error:
        raise PostError(f"{host}: does not answer in time", "check the receiver") from error
    except ConnectionRefusedError as error:
        raise PostError(f"{host}: nothing listens there", "start the receiver, or correct the url") from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise PostError(f"{host}: cannot be reached: {reason}", "check the url, and the network") from error


def _connect(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers."""
    failure: OSError = TimeoutError()
    for address in addresses:
        try:
            return socket.create_connection((address, port), min(CONNECT_TIMEOUT_S, _left(deadline)))
        except OSError as error:
            failure = error
    raise failure


def _secured(
    plain: socket.socket, url: SplitResult, context: ssl.SSLContext | None, deadline: float
) -> contextlib.AbstractContextManager[socket.socket]:
    if url.scheme == "http":
        return contextlib.nullcontext(plain)
    plain.settimeout(_left(deadline))
    return (context or client_context()).wrap_socket(plain, server_hostname=url.hostname)


def _read_head(connection: socket.socket, host: str, deadline: float) -> tuple[int, dict[str, str]]:
    """Return status and headers of the answer. A receiver that sends a byte now and then gains no time."""
    head = b""
    while b"\r\n\r\n" not in head:
        connection.settimeout(_left(deadline))
        data = connection.recv(_MAX_HEAD_BYTES)
        head += data
        if not data or len(head) > _MAX_HEAD_BYTES:
            raise PostError(f"{host}: does not answer in HTTP, or closes half way", "check the receiver")
        while _INTERIM.match(head) and b"\r\n\r\n" in head:
            head = head.partition(b"\r\n\r\n")[2]
    match = _STATUS.match(head)
    if match is None:
        raise PostError(f"{host}: does not answer in HTTP", "check the url")
    rows = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    fields = (row.partition(":") for row in rows)
    return int(match[1]), {name.strip().lower(): value.strip() for name, _, value in fields}


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After header. A date is ignored: the clock may be wrong."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
