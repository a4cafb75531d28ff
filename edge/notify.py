"""sd_notify: tell systemd READY, STATUS, WATCHDOG and STOPPING. Does nothing where systemd did not start the program.

The protocol is one datagram of KEY=value lines to the socket named in $NOTIFY_SOCKET: see sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """The way to systemd, read from the environment once; no method ever raises or blocks."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))

    def ready(self) -> None:
        """The door works: start what waits for it."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        # A line break would begin a field of its own; splitlines knows every kind of break.
        self._send("STATUS=" + " ".join(text.splitlines()))

    def watchdog(self) -> None:
        """Still alive. Call it only from the loop that does the work."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The door is on its way out."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # systemd gone or its queue full: a lost notice, not a reason for the door to stop or wait.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode("utf-8", "replace"), self._address)


def _address(name: str) -> bytes | None:
    if name.startswith("@"):  # Linux' abstract names begin with a zero byte
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None
