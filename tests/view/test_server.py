"""The door's end of the socket: who may connect, what they get, and that the door never waits."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.errors import OutputError
from edge.records import Box
from edge.system import limited_listener
from edge.view import peer, protocol, server
from edge.view.offer import Offer
from edge.view.peer import Peer
from edge.view.server import NoRequests, Reply, ViewServer
from support.limits import no_more_files, no_more_threads
from support.view import Watcher, decision, frame, number_and_size, short_folder
from support.wait import wait_until


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "door" / "view.sock"


@pytest.fixture
def view(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ViewServer]:
    monkeypatch.setattr(server, "MAX_FRAME_RATE", 1e9)
    view = ViewServer(path, number_and_size(1000), group_may_watch=False)
    yield view
    view.close()


@pytest.fixture
def watcher(view: ViewServer, path: Path) -> Iterator[Watcher]:
    with contextlib.closing(Watcher(path)) as client:
        yield client


def test_nothing_is_kept_while_nobody_watches(view: ViewServer, watcher: Watcher) -> None:
    """A connection alone costs the door nothing: it has not asked for frames."""
    view.offer(frame(), decision())
    assert view._slot is None
    assert view.take_events() == []


def test_a_watcher_gets_the_newest_frame_and_its_decision(view: ViewServer, watcher: Watcher) -> None:
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    view.offer(frame(7), decision())
    record, jpeg = watcher.receive()
    assert record["number"] == 7
    assert len(jpeg) == 1000


def test_start_and_end_of_watching_are_events_once(
    view: ViewServer, watcher: Watcher, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "END_AFTER_S", 0.0)
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    for number in range(3):
        view.offer(frame(number), decision())
    assert view.take_events() == [{"state": "began"}]
    second = Watcher(path)
    second.watch()
    wait_until(lambda: view._watchers == 2)
    second.close()
    wait_until(lambda: view._watchers == 1)
    watcher.socket.sendall(protocol.PAUSE)
    wait_until(lambda: view._watchers == 0)
    view.offer(frame(), decision())
    assert view.take_events() == [{"state": "ended"}]
    assert view.take_events() == []


def test_who_comes_and_goes_does_not_fill_the_log(
    view: ViewServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(server, "_now", lambda: now[0])
    events = []
    for number in range(200):
        client = Watcher(path)
        client.watch()
        wait_until(lambda: view._watchers)
        view.offer(frame(number), decision())
        client.close()
        wait_until(lambda: not view._watchers)
        now[0] += 0.1
        events += view.take_events()
    assert events == [{"state": "began"}]
    now[0] += server.END_AFTER_S
    assert view.take_events() == [{"state": "ended"}]


def test_a_watcher_that_goes_away_ends_watching(
    view: ViewServer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "END_AFTER_S", 0.0)
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    view.offer(frame(), decision())
    watcher.close()
    wait_until(lambda: view._watchers == 0)
    assert [data["state"] for data in view.take_events()] == ["began", "ended"]


def test_a_stalled_reader_gets_fewer_frames_and_keeps_none_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_FRAME_RATE", 1e9)
    view = ViewServer(path, number_and_size(400_000), group_may_watch=False)
    stalled, reading = Watcher(path), Watcher(path)
    try:
        for client in (stalled, reading):
            client.watch()
        wait_until(lambda: view._watchers == 2)
        numbers = []
        for number in range(30):
            view.offer(frame(number), decision())
            numbers.append(reading.receive()[0]["number"])
        assert numbers == list(range(30)), "a stalled reader must not cost another one a frame"
        wait_until(lambda: sum(connection.is_sending for connection in view._connections.values()) == 1)
        # At most what was sent in part, and the newest message: not the thirty of them.
        first = stalled.receive()[0]["number"]
        second = stalled.receive()[0]["number"]
        assert first == 0
        assert second == 29
    finally:
        stalled.close()
        reading.close()
        view.close()


def test_the_rate_is_limited(view: ViewServer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_FRAME_RATE", 5.0)
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    taken: list[float] = []
    for number in range(31):
        monkeypatch.setattr(server, "_now", lambda number=number: 100.0 + number / 15)
        before = view._next_at
        view.offer(frame(number), decision())
        taken += [number / 15] * (view._next_at != before)
    assert len(taken) in (10, 11), "of two seconds"


def test_faces_stay_hidden_for_a_while_after_a_search_has_missed_them(
    view: ViewServer, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_now", lambda: 1000.0)
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    view.offer(frame(0), decision(found=(Box(1, 1, 9, 9),)))
    watcher.receive()
    view._next_at = 0.0
    view.offer(frame(1), decision(found=()))
    assert watcher.receive()[0] == {"version": 1, "number": 1, "faces": 1}
    view._next_at = 0.0
    view.offer(frame(2), decision(found=None))
    assert watcher.receive()[0]["faces"] is None, "not searched: everything is hidden"


def test_a_lost_camera_is_a_message_without_a_picture(view: ViewServer, watcher: Watcher) -> None:
    watcher.watch()
    wait_until(lambda: view._watchers == 1)
    view.offer(None, decision(fault="lost", found=None))
    assert watcher.receive()[0]["number"] is None


@pytest.mark.parametrize(
    ("who", "group_may_watch", "may"),
    [
        (Peer(1, 0, 0), False, True),
        (Peer(1, 1000, 1000), False, True),
        (Peer(1, 1001, 1000), False, False),
        (Peer(1, 1001, 1000), True, True),
        (Peer(1, 1001, 1001), True, False),
        (Peer(1, 65534, 65534), True, False),
        (Peer(1, 65534, 1000), True, True),  # as PrivateUsers= shows another user in the door's group
    ],
)
def test_who_may_watch(who: Peer, group_may_watch: bool, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(peer.os, "getegid", lambda: 1000)
    assert peer.may_watch(who, group_may_watch) is may


def test_the_kernel_names_the_peer() -> None:
    import os

    here, there = socket.socketpair()
    with here, there:
        assert peer.peer_of(here) == (os.getpid(), os.getuid(), os.getgid())


def test_a_second_user_is_refused(view: ViewServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "peer_of", lambda _: Peer(1, 1234567, 1234567))
    client = Watcher(path)
    assert client.is_closed()
    client.close()
    assert not view._connections
    assert view.take_events() == []


@pytest.mark.parametrize(("group_may_watch", "mode"), [(False, 0o600), (True, 0o660)])
def test_mode_of_the_socket(path: Path, group_may_watch: bool, mode: int) -> None:
    view = ViewServer(path, number_and_size(1), group_may_watch)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    view.close()
    assert not path.exists()


def test_too_many_connections_are_closed(view: ViewServer, path: Path) -> None:
    clients = [Watcher(path) for _ in range(server.MAX_CONNECTIONS)]
    wait_until(lambda: len(view._connections) == server.MAX_CONNECTIONS)
    one_more = Watcher(path)
    assert one_more.is_closed()
    clients[0].close()
    wait_until(lambda: len(view._connections) == server.MAX_CONNECTIONS - 1)
    for client in [*clients, one_more]:
        client.close()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 60, b"WX"])
def test_a_client_that_sends_something_else_is_cut_off(view: ViewServer, watcher: Watcher, sent: bytes) -> None:
    watcher.socket.sendall(sent)
    assert watcher.is_closed()
    wait_until(lambda: not view._connections)


def test_a_socket_that_a_killed_door_has_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    view = ViewServer(path, number_and_size(1), group_may_watch=False)
    Watcher(path).close()
    view.close()


def test_the_socket_of_another_door_and_other_files_are_left_alone(view: ViewServer, path: Path) -> None:
    with pytest.raises(OutputError, match="another door offers it"):
        ViewServer(path, number_and_size(1), group_may_watch=False)
    other = path.with_name("file")
    other.write_text("mine")
    with pytest.raises(OutputError, match="another file of this name"):
        ViewServer(other, number_and_size(1), group_may_watch=False)
    assert other.read_text() == "mine"


def test_a_path_that_is_too_long_is_an_error(path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        ViewServer(path.parent / ("x" * 120), number_and_size(1), group_may_watch=False)


def test_with_too_many_open_files_clients_wait_and_the_thread_rests(
    view: ViewServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests, goes_on = threading.Event(), threading.Event()

    def rest(_: float) -> None:
        rests.set()
        goes_on.wait(60)

    monkeypatch.setattr(limited_listener, "_sleep", rest)
    with socket.socket(socket.AF_UNIX) as client:
        with no_more_files():
            client.connect(str(path))
            assert rests.wait(60)
        goes_on.set()
        wait_until(lambda: view._connections)


def test_without_a_free_file_or_thread_there_is_no_socket(path: Path) -> None:
    with no_more_files(), pytest.raises(OutputError, match="Too many open files"):
        ViewServer(path, number_and_size(1), group_may_watch=False)
    with no_more_threads(), pytest.raises(OutputError, match="can't start new thread"):
        ViewServer(path, number_and_size(1), group_may_watch=False)
    view = ViewServer(path, number_and_size(1), group_may_watch=False)
    Watcher(path).close()
    view.close()


class NoThreadIsLeft(NoRequests):
    """Cannot answer."""

    def handle(self, request: dict[str, Any], offers: Sequence[Offer], client: object, reply: Reply) -> None:
        raise RuntimeError("can't start new thread")


def test_a_request_that_cannot_be_handled_ends_nothing(path: Path) -> None:
    view = ViewServer(path, number_and_size(1), group_may_watch=False, requests=NoThreadIsLeft())
    with contextlib.closing(Watcher(path)) as client:
        for number in (1, 2):
            client.socket.sendall(protocol.encode_request({"ask": "explain", "id": number}))
            assert client.receive_answer()[0] == {"state": "failed", "answer": number}
    view.close()


def test_where_the_socket_is() -> None:
    assert protocol.socket_of_door({"RUNTIME_DIRECTORY": "/run/doorlight"}) == Path("/run/doorlight/view.sock")
    assert protocol.socket_of_door({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/doorlight/view.sock")
    assert protocol.socket_of_door({"HOME": "/home/me"}) == Path("/home/me/.local/state/doorlight/view.sock")
    assert protocol.socket_of_door({}) is None
    assert protocol.sockets_to_try({}) == [Path("/run/doorlight/view.sock")]
