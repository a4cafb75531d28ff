"""Hand the newest frame and decision to those who watch, and never let the door wait for them.

`ViewServer.offer` keeps a reference to the frame in a slot of one, at most MAX_FRAME_RATE times a second, and only while
somebody watches. A thread does the rest: it accepts connections, encodes what is in the slot once for all, and sends.
A reader that is slow gets the newest frame when it has read the one before. What clients ask for, `Requests` answers; the
thread does not wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import OutputError
from ..pipeline import Decision
from ..records import Box, Frame
from ..system.limited_listener import LimitedListener
from . import peer, protocol
from .connection import Connection
from .offer import Offer

#: Frames a second that are handed over.
MAX_FRAME_RATE = 5.0
#: The page needs one connection for all its viewers; a second one serves `doorlight web --for` beside the service.
MAX_CONNECTIONS = 4
#: A face stays hidden for this time (seconds) after it was found last: a search may miss it in a frame.
HIDE_S = 0.6
#: A client may ask about a frame for this time (seconds) after it was handed over, if not too many bytes are kept.
KEEP_S, KEEP_BYTES = 2.0, 8 << 20
#: Watching has ended if nobody has watched for this time (seconds). Somebody who opens another page still watches, and a
#: client that comes and goes a thousand times a second must not fill the event log.
END_AFTER_S = 10.0
#: No connection is accepted for this time (seconds) after one could not be.
ACCEPT_PAUSE_S = 0.1
#: Frames over which the frame rate is measured.
_RATE_FRAMES = 20


_now = time.monotonic

#: Encodes an offer: JSON and JPEG (may be empty).
Encoder = Callable[[Offer], tuple[bytes, bytes]]

#: Sends the answer to a request: its JSON, and the second part. May be called from any thread, at any time.
Reply = Callable[[dict[str, object], bytes], None]


class Requests(Protocol):
    """Answers the requests of clients. None of the methods waits."""

    def handle(self, request: dict[str, Any], offers: Sequence[Offer], client: object, reply: Reply) -> None:
        """Answer a request of `client`, now or later. `offers` are those handed over last, the newest at the end."""

    def forget(self, client: object) -> None:
        """Drop what `client` waits for: it does not watch any more."""

    def close(self) -> None:
        """End what is going on."""


class NoRequests:
    """Answers that nothing can be asked."""

    def handle(self, request: dict[str, Any], offers: Sequence[Offer], client: object, reply: Reply) -> None:
        reply({"state": "off"}, b"")

    def forget(self, client: object) -> None:
        pass

    def close(self) -> None:
        pass


class ViewServer:
    """The door's end of the socket. `offer` and `take_events` belong to the loop; everything else to a thread."""

    def __init__(self, path: Path, encoder: Encoder, group_may_watch: bool, requests: Requests | None = None) -> None:
        """Offer the socket at `path`. With `group_may_watch`, members of this process' group may connect.

        Raises OutputError if that is impossible, for example because another door offers the socket.
        """
        self._path = path
        self._encoder = encoder
        self._requests = requests or NoRequests()
        self._group_may_watch = group_may_watch
        self._slot: Offer | None = None
        self._watchers = 0
        self._next_at = 0.0
        self._found: deque[tuple[float, tuple[Box, ...]]] = deque()
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._events: list[dict[str, object]] = []
        self._is_watched = False  # as the events say
        self._watched_at = 0.0
        self._is_closing = False
        self._connections: dict[socket.socket, Connection] = {}
        #: Offers that clients may ask about, with the times at which they were handed over.
        self._kept: deque[tuple[float, Offer]] = deque()
        #: Answers that other threads have given; only the thread of this object sends them.
        self._answers: deque[tuple[Connection, bytes]] = deque()
        self._last_connected = _now()
        self._thread = threading.Thread(target=self._serve, name="view", daemon=True)
        try:
            self._open(0o660 if group_may_watch else 0o600)
        except (OSError, RuntimeError) as error:  # there are too many open files or threads
            raise _no_socket(path, error, "sudo systemctl restart doorlight") from error

    def offer(self, frame: Frame | None, decision: Decision) -> None:
        """Offer a frame (None: there is none) and its decision. Returns at once."""
        if not self._watchers:
            return
        now = self._watched_at = _now()
        if not self._is_watched:
            self._is_watched = True
            self._events.append({"state": "began"})
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
        """Return the data of the `view` events since the last call: a frame was handed over, or none for END_AFTER_S."""
        if self._is_watched and not self._watchers and _now() - self._watched_at >= END_AFTER_S:
            self._is_watched = False
            self._events.append({"state": "ended"})
        events, self._events = self._events, []
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
        self._requests.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _open(self, mode: int) -> None:
        """Open everything that the thread needs, and start it. Raises OutputError, OSError, or RuntimeError."""
        with contextlib.ExitStack() as opened:
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._wake_reader, self._wake = map(opened.enter_context, socket.socketpair())
            for end in (self._wake_reader, self._wake):
                end.setblocking(False)
            self._listener = opened.enter_context(_listen(self._path, mode))
            self._thread.start()
            opened.pop_all()  # the thread closes them

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
        with self._selector as selector, self._listener, self._wake_reader, self._wake:
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
                self._handle_requests()
                self._send_answers()
                self._update(selector)
            for connection in list(self._connections.values()):
                connection.socket.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return
        try:
            is_allowed = peer.may_watch(peer.peer_of(channel), self._group_may_watch)
        except OSError:
            is_allowed = False
        if not is_allowed:
            channel.close()
            return
        channel.setblocking(False)
        self._connections[channel] = Connection(channel)
        selector.register(channel, selectors.EVENT_READ)

    def _encode_slot(self) -> None:
        """Encode what is in the slot and give it to everyone who watches."""
        offer, self._slot = self._slot, None
        watching = [connection for connection in self._connections.values() if connection.is_watching]
        if offer is None or not watching:
            return
        self._keep(offer)
        message = protocol.encode(*self._encoder(offer))
        for connection in watching:
            connection.give(message)

    def _keep(self, offer: Offer) -> None:
        """Keep an offer for questions about it, and forget those that are too old, or too large together."""
        now = _now()
        self._kept.append((now, offer))
        total = sum(0 if kept.frame is None else kept.frame.picture.nbytes for _, kept in self._kept)
        while len(self._kept) > 1 and (now - self._kept[0][0] > KEEP_S or total > KEEP_BYTES):
            _, oldest = self._kept.popleft()
            total -= 0 if oldest.frame is None else oldest.frame.picture.nbytes

    def _handle_requests(self) -> None:
        for connection in self._connections.values():
            while connection.requests:
                request = connection.requests.popleft()
                offers = [offer for _, offer in self._kept]
                reply = self._reply_to(connection, request["id"])
                try:
                    self._requests.handle(request, offers, connection, reply)
                except Exception:  # there may be too many threads or open files; others go on watching
                    reply({"state": "failed"}, b"")

    def _reply_to(self, connection: Connection, number: int) -> Reply:
        def reply(answer: dict[str, object], body: bytes) -> None:
            self._answers.append((connection, protocol.encode_answer({**answer, "answer": number}, body)))
            self._wake_up()

        return reply

    def _send_answers(self) -> None:
        while self._answers:
            connection, message = self._answers.popleft()
            if not connection.is_closed:
                connection.answer(message)

    def _update(self, selector: selectors.BaseSelector) -> None:
        """Forget closed connections, select what each of the others needs, count who watches."""
        for channel, connection in list(self._connections.items()):
            if not connection.is_watching:
                self._requests.forget(connection)
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
            self._kept.clear()
        self._watchers = watchers


def _listen(path: Path, mode: int) -> socket.socket:
    """Return a listening Unix socket at `path`, not blocking. Raises OutputError."""
    listener = None
    try:
        listener = LimitedListener(socket.AF_UNIX, MAX_CONNECTIONS, ACCEPT_PAUSE_S)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_dead_socket(path)
        listener.bind(str(path))
        os.chmod(path, mode)  # before listen: until then nobody can connect
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise _no_socket(path, error, "is another door running?") from error
    return listener


def _no_socket(path: Path, error: OSError | RuntimeError, hint: str) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{path}: the socket for the page cannot be made: {reason}", hint)


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
