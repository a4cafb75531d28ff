"""One client of the door's socket: what it has asked for, and what it has been sent in part."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from typing import Any

from . import protocol

#: Commands and requests of a client, at once and a second. The page sends a few a minute; one that sends more is cut off.
BURST, PER_S = 40.0, 4.0
#: Answers that wait for a client which reads nothing. One more, and it is cut off.
MAX_ANSWERS = 4
_READ_BYTES = 64 << 10

_now = time.monotonic


class Connection:
    """One client. Frames replace each other while it is slow; answers do not."""

    def __init__(self, channel: socket.socket) -> None:
        self.socket = channel
        self.is_watching = False
        self.is_closed = False
        #: Requests that have been read and wait to be handled.
        self.requests: deque[dict[str, Any]] = deque()
        self._incoming = bytearray()
        self._sending = memoryview(b"")
        self._newest: bytes | None = None
        self._answers: deque[bytes] = deque()
        self._allowed, self._counted_at = BURST, _now()

    @property
    def is_sending(self) -> bool:
        return bool(self._sending or self._answers) or self._newest is not None

    def give(self, message: bytes) -> None:
        """Send the message of a frame as soon as the client has read what came before; a newer one replaces it."""
        self._newest = message
        self._send()

    def answer(self, message: bytes) -> None:
        """Send the answer to a request, before the next frame."""
        if len(self._answers) >= MAX_ANSWERS:
            self._close()
            return
        self._answers.append(message)
        self._send()

    def handle(self, ready: int) -> None:
        """Read commands and go on sending, as far as the socket allows."""
        if ready & selectors.EVENT_READ:
            self._read()
        if ready & selectors.EVENT_WRITE and not self.is_closed:
            self._send()

    def _read(self) -> None:
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._incoming += data
        try:
            while self._incoming and self._take_command():
                pass
        except ValueError:
            self._close()

    def _take_command(self) -> bool:
        """Take one command from what has been read; return False if it is not complete. Raises ValueError."""
        command = bytes(self._incoming[:1])
        length = 0
        if command == protocol.REQUEST:
            start = 1 + protocol.REQUEST_LENGTH.size
            if len(self._incoming) < start:
                return False
            (length,) = protocol.REQUEST_LENGTH.unpack(self._incoming[1:start])
            if length > protocol.MAX_REQUEST_BYTES:
                raise ValueError("the request is too long")
            if len(self._incoming) < start + length:
                return False
            self.requests.append(_parse(bytes(self._incoming[start : start + length])))
            del self._incoming[: start + length]
        elif command in (protocol.WATCH, protocol.PAUSE):
            del self._incoming[:1]
            self.is_watching = command == protocol.WATCH
            if not self.is_watching:
                self._newest = None
        else:
            raise ValueError("unknown command")
        self._count_command()
        return True

    def _count_command(self) -> None:
        """Raise ValueError if the client sends too many commands: each of them keeps the door busy."""
        now = _now()
        self._allowed = min(BURST, self._allowed + (now - self._counted_at) * PER_S) - 1
        self._counted_at = now
        if self._allowed < 0:
            raise ValueError("too many commands")

    def _send(self) -> None:
        try:
            while self.is_sending:
                if not self._sending:
                    self._sending = memoryview(self._next_message())
                self._sending = self._sending[self.socket.send(self._sending) :]
        except BlockingIOError:
            pass
        except OSError:
            self._close()

    def _next_message(self) -> bytes:
        if self._answers:
            return self._answers.popleft()
        assert self._newest is not None
        message, self._newest = self._newest, None
        return message

    def _close(self) -> None:
        self.is_closed, self.is_watching = True, False
        self.requests.clear()


def _parse(data: bytes) -> dict[str, Any]:
    """Return a request. Raises ValueError if it is not a JSON object with an id."""
    try:
        request = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(request, dict) or not isinstance(request.get("id"), int):
        raise ValueError("not a request")
    return request
