"""Where the page listens: a numeric address and a port, from text."""

from __future__ import annotations

import ipaddress


def parse_listen(text: str) -> tuple[str, int]:
    """Parse "127.0.0.1:8080" or "[::1]:8080" into address and port. Raises ValueError, with the reason.

    >>> parse_listen("[::]:443")
    ('::', 443)
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError("is not an address and a port")
    if not 1 <= int(port[:9]) <= 65535 or len(port) > 5:
        raise ValueError("has no port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("needs brackets around an IPv6 address")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        raise ValueError("needs an address in numbers") from None


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    return ipaddress.ip_address(host).is_loopback
