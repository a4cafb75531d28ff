"""Which names in the Host header are this machine's. A foreign name is how another web site reads this one (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable


def known_names(further: Iterable[str] = ()) -> frozenset[str]:
    """Return this machine's names in lower case: localhost, its own with and without .local, and `further`."""
    own = socket.gethostname().lower().rstrip(".")
    short = own.partition(".")[0]
    return frozenset(
        {"localhost", own, short, f"{short}.local", *(name.lower().rstrip(".") for name in further)} - {""}
    )


def is_ours(header: str, names: frozenset[str], own_address: str) -> bool:
    """Return whether a Host header names this machine: by a name, or by the address that was connected to.

    The port does not matter, because a tunnel changes it.
    """
    host = _without_port(header)
    if host is None:
        return False
    if host.rstrip(".") in names:
        return True
    try:
        address = ipaddress.ip_address(host)
        return address.is_loopback or address == _plain(ipaddress.ip_address(own_address.partition("%")[0]))
    except ValueError:
        return False


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address of one that was mapped into IPv6, as a socket for both shows it."""
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(header: str) -> str | None:
    """Return the host of "host:port" or "[::1]:port" in lower case; None if it is malformed."""
    header = header.strip().lower()
    if header.startswith("["):
        host, bracket, port = header[1:].partition("]")
        is_right = bool(bracket) and (not port or (port[0] == ":" and port[1:].isdigit()))
    else:
        host, colon, port = header.partition(":")
        is_right = not colon or port.isdigit()
    return host if is_right and host else None
