"""Hand the newest frame and decision to those who watch, and never let the door wait for them.

`ViewServer.offer` keeps a reference to the frame in a slot of one, at most MAX_FRAME_RATE times a second, and only while
somebody watches. A thread does the rest: it accepts connections, encodes what is in the slot once for all, and sends.
A reader that is slow gets the newest frame when it has read the one before.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import OutputError
from ..pipeline import Decision
from ..records import Box, Frame
from . import peer, protocol

#: Frames a second that are handed over.
MAX_FRAME_RATE = 5.0
#: The page needs one connection for all its viewers; a second one serves `doorlight web --for` beside the service.
MAX_CONNECTIONS = 4
#: A face stays hidden for this time (seconds) after it was found last: a search may miss it in a frame.
HIDE_S = 0.6
#: Frames over which the frame rate is measured.
_RATE_FRAMES = 20


class Offer(NamedTuple):
    """What the loop has put into the slot. `faces` are to be hidden; None: hide everything."""

    frame: Frame | None
    decision: Decision
    faces: tuple[Box, ...] | None
    frame_rate: float


_now = time.monotonic

#: Encodes an offer: JSON and JPEG (may be empty).
Encoder = Callable[[Offer], tuple[bytes, bytes]]


class ViewServer:
    """The door's end of the socket. `offer` and `take_events` belong to the loop; everything else to a thread."""

    def __init__(self, path: Path, encoder: Encoder, group_may_watch: bool) -> None:
        """Offer the socket at `path`. With `group_may_watch`, members of this process' group may connect.

        Raises OutputError if the socket cannot be made, for example because another door offers it.
        """
        self._path = path
        self._encoder = encoder
        self._group_may_watch = group_may_watch
        self._slot: Offer | None = None
        self._watchers = 0
        self._next_at = 0.0
        self._found: deque[tuple[float, tuple[Box, ...]]] = deque()
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._events: deque[dict[str, object]] = deque()
        self._is_closing = False
        self._connections: dict[socket.socket, _Connection] = {}
        self._last_connected = _now()
        self._listener = _listen(path, 0o660 if group_may_watch else 0o600)
        self._wake_reader, self._wake = socket.socketpair()
        for end in (self._wake_reader, self._wake):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="view", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame | None, decision: Decision) -> None:
        """Offer a frame (None: there is none) and its decision. Returns at once."""
        if not self._watchers:
            return
        now = _now()
        self._times.append(now)
        if decision.found is not None:
            self._found.append((now, decision.found))
        while self._found and now - self._found[0][0] > HIDE_S:
            self._found.popleft()
        if now < self._next_at:
            return
        # From the last due time, not from now: the rate would be lower with a camera whose frames come just too early.
        self._next_at = max(self._next_at, now - 1 / MAX_FRAME_RATE) + 1 / MAX_FRAME_RATE
        faces = None if decision.found is None else tuple({box for _, boxes in self._found for box in boxes})
        self._slot = Offer(frame, decision, faces, self._frame_rate())
        self._wake_up()

    def take_events(self) -> list[dict[str, object]]:
        """Return the data of the `view` events since the last call."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    @property
    def unused_s(self) -> float:
        """How long (seconds) nobody has been connected."""
        return 0.0 if self._connections else _now() - self._last_connected

    def close(self) -> None:
        """Close all connections and remove the socket."""
        self._is_closing = True
        self._wake_up()
        self._thread.join(2.0)
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _frame_rate(self) -> float:
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-3)

    def _wake_up(self) -> None:
        with contextlib.suppress(OSError):  # full: the thread has not read the last wake-up yet, and will
            self._wake.send(b"\0")

    def _serve(self) -> None:
        try:
            self._serve_until_closed()
        finally:
            self._watchers = 0  # also after an error: the loop then goes on without a view

    def _serve_until_closed(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._wake_reader, self._wake:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self._is_closing:
                for key, ready in selector.select():
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif key.fileobj is self._wake_reader:
                        self._wake_reader.recv(4096)
                        self._encode_slot()
                    else:
                        self._connections[key.fileobj].handle(ready)  # type: ignore[index]
                self._update(selector)
            for connection in list(self._connections.values()):
                connection.socket.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:  # it has gone, or there are too many open files
            return
        try:
            is_allowed = peer.may_watch(peer.peer_of(channel), self._group_may_watch)
        except OSError:
            is_allowed = False
        if not is_allowed or len(self._connections) >= MAX_CONNECTIONS:
            channel.close()
            return
        channel.setblocking(False)
        self._connections[channel] = _Connection(channel)
        selector.register(channel, selectors.EVENT_READ)

    def _encode_slot(self) -> None:
        """Encode what is in the slot and give it to everyone who watches."""
        offer, self._slot = self._slot, None
        watching = [connection for connection in self._connections.values() if connection.is_watching]
        if offer is None or not watching:
            return
        message = protocol.encode(*self._encoder(offer))
        for connection in watching:
            connection.give(message)

    def _update(self, selector: selectors.BaseSelector) -> None:
        """Forget closed connections, select what each of the others needs, count who watches."""
        for channel, connection in list(self._connections.items()):
            if connection.is_closed:
                selector.unregister(channel)
                channel.close()
                del self._connections[channel]
                self._last_connected = _now()
            else:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.is_sending else 0)
                if selector.get_key(channel).events != events:
                    selector.modify(channel, events)
        watchers = sum(connection.is_watching for connection in self._connections.values())
        if bool(watchers) != bool(self._watchers):
            self._next_at = 0.0
            self._events.append({"state": "began" if watchers else "ended"})
        self._watchers = watchers


class _Connection:
    """One client: what it has been sent in part, and the newest message that waits behind it."""

    def __init__(self, channel: socket.socket) -> None:
        self.socket = channel
        self.is_watching = False
        self.is_closed = False
        self._sending = memoryview(b"")
        self._newest: bytes | None = None

    @property
    def is_sending(self) -> bool:
        return bool(self._sending) or self._newest is not None

    def give(self, message: bytes) -> None:
        """Send `message` as soon as the client has read what came before; a newer one replaces it."""
        self._newest = message
        self._send()

    def handle(self, ready: int) -> None:
        """Read commands and go on sending, as far as the socket allows."""
        if ready & selectors.EVENT_READ:
            self._read()
        if ready & selectors.EVENT_WRITE and not self.is_closed:
            self._send()

    def _read(self) -> None:
        try:
            commands = self.socket.recv(64)
        except BlockingIOError:
            return
        except OSError:
            commands = b""
        last = commands[-1:]
        if last not in (protocol.WATCH, protocol.PAUSE):
            self.is_closed, self.is_watching = True, False
            return
        self.is_watching = last == protocol.WATCH
        if not self.is_watching:
            self._newest = None

    def _send(self) -> None:
        try:
            while self.is_sending:
                if not self._sending:
                    assert self._newest is not None
                    self._sending, self._newest = memoryview(self._newest), None
                self._sending = self._sending[self.socket.send(self._sending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.is_closed, self.is_watching = True, False


def _listen(path: Path, mode: int) -> socket.socket:
    """Return a listening Unix socket at `path`, not blocking. Raises OutputError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_dead_socket(path)
        listener.bind(str(path))
        os.chmod(path, mode)  # before listen: until then nobody can connect
        listener.listen(MAX_CONNECTIONS)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"{path}: the socket for the page cannot be made: {error.strerror or error}", "is another door running?"
        ) from error
    return listener


def _remove_dead_socket(path: Path) -> None:
    """Remove the socket of a door that was killed. Raises OSError if a door listens, or if it is not a socket."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is another file of this name")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, "another door offers it")


def encode_json(value: object) -> bytes:
    """Return `value` as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
