"""A listening socket with a limit of open connections."""

from __future__ import annotations

import socket
import time
from typing import Any
from weakref import WeakSet

_sleep = time.sleep


class LimitedListener(socket.socket):
    """A stream socket, not blocking, that keeps at most `limit` connections open: it closes more as soon as it accepts them.

    Counted later than here, connections may use up this process' files: asyncio accepts all that wait before it serves one, and
    announces one with TLS only after its handshake.
    """

    def __init__(self, family: int, limit: int, pause_s: float = 0.0) -> None:
        """`pause_s` (seconds) is how long `accept` waits after an error: with too many open files, clients go on waiting."""
        super().__init__(family, socket.SOCK_STREAM)
        self.setblocking(False)
        self._limit = limit
        self._pause_s = pause_s
        self._accepted: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that may stay, blocking, and its address.

        Raises BlockingIOError if none waits, or if none of the first that wait may stay; another OSError after the pause.
        """
        for _ in range(self._limit):  # a client that connects without end must not hold up those who are served
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
