"""Notify systemd of the door's state: READY, STATUS, WATCHDOG and STOPPING.

A message is one datagram of KEY=value lines to the socket named in $NOTIFY_SOCKET, see sd_notify(3). Without that
variable, because systemd did not start the program, nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping

#: The service's door offers what it sees to the page when it receives this signal.
VIEW_REQUEST = signal.SIGUSR1


class SystemdNotifier:
    """Sends messages to systemd. No method raises or blocks."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read the socket's address from `environ`, once."""
        self._address = _parse_address(environ.get("NOTIFY_SOCKET", ""))

    def ready(self) -> None:
        """Report that the start is complete, so that systemd starts the units that wait for it."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the status line that `systemctl status` shows."""
        # A line break would begin another field; splitlines() knows every kind of line break.
        self._send("STATUS=" + " ".join(text.splitlines()))

    def watchdog(self) -> None:
        """Reset systemd's watchdog timer. Call it only from the loop that does the work."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the program is stopping."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # The door must not stop or wait if systemd is gone or its queue is full: the message is dropped.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode("utf-8", "replace"), self._address)


def _parse_address(name: str) -> bytes | None:
    if name.startswith("@"):  # the name of a Linux abstract socket begins with a NUL byte
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None
