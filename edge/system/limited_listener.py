"""A listening socket with a limit of open connections."""

from __future__ import annotations

import socket
import time
from typing import Any
from weakref import WeakSet

_sleep = time.sleep


class LimitedListener(socket.socket):
    """A non-blocking stream socket with at most `limit` open connections: it closes further ones as soon as it accepts them.

    A server that counts later may run out of file descriptors: asyncio accepts all waiting connections before it serves one, and
    reports a TLS connection only after its handshake.
    """

    def __init__(self, family: int, limit: int, pause_s: float = 0.0) -> None:
        """`pause_s` (seconds) is how long `accept` waits after an error, so that a server without a free file does not spin."""
        super().__init__(family, socket.SOCK_STREAM)
        self.setblocking(False)
        self._limit = limit
        self._pause_s = pause_s
        self._accepted: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection within the limit, as a blocking socket, and its address.

        Raises BlockingIOError if none waits, or after closing `limit` connections; another OSError after the pause.
        """
        for _ in range(self._limit):  # a client that connects without end must not keep this thread from serving others
            try:
                connection, address = super().accept()
            except BlockingIOError:
                raise
            except OSError:
                _sleep(self._pause_s)
                raise
            if sum(other.fileno() >= 0 for other in self._accepted) < self._limit:
                self._accepted.add(connection)
                return connection, address
            connection.close()
        raise BlockingIOError
