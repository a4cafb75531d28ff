"""When the door offers its pictures: with [web] enabled, on request, and otherwise not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config
from edge.commands import door_view
from edge.commands.door_view import AreaTarget, DoorView
from edge.records import Event
from edge.system.systemd import VIEW_REQUEST
from edge.view import protocol, request, server
from edge.zone import Zone
from support.paths import CLIP, ROOT
from support.view import Watcher, decision, frame, number_and_size, short_folder
from support.wait import wait_until

OFF = """\
import os, sys, threading
from edge import cli, door
seen = []
handle = door._Run.handle
def spy(self, frame, decision):
    handle(self, frame, decision)
    if len(seen) < 20:
        sockets = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                sockets += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
            except FileNotFoundError:  # that of listdir itself
                pass
        seen.append((sorted(thread.name for thread in threading.enumerate()), sockets))
        if len(seen) == 20:
            raise KeyboardInterrupt
door._Run.handle = spy
cli.main(sys.argv[1:])
print("modules", [name for name in sys.modules if name.startswith((
    "edge.view", "edge.web", "edge.remote", "edge.link.", "starlette", "uvicorn", "edge.metrics", "prometheus_client", "edge.fleet", "paho", "psycopg",
))])
print("threads", "view" in {name for names, _ in seen for name in names})
print("sockets", {sockets for _, sockets in seen})
"""


def run_door(tmp_path: Path, settings: str, runtime: Path) -> str:
    file = tmp_path / "door.toml"
    file.write_text(settings)
    arguments = ["run", "--config", file, "--simulate", "--source", CLIP, "--events", tmp_path / "events.jsonl"]
    done = subprocess.run(
        [sys.executable, "-c", OFF, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
    )  # fmt: skip
    return done.stdout + done.stderr


def test_off_loads_nothing_and_opens_nothing(tmp_path: Path) -> None:
    with short_folder() as runtime:
        output = run_door(tmp_path, "", runtime)
        assert "modules []" in output, output
        assert "threads False" in output
        assert "sockets {0}" in output
        assert not list(runtime.iterdir())


def test_on_has_a_thread_and_a_socket(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    with short_folder() as runtime:
        output = run_door(tmp_path, "[web]\nenabled = true", runtime)
        assert "'edge.view.server'" in output, output
        assert "threads True" in output
        assert "sockets {3}" in output
        assert "starlette" not in output, "the door does not load what serves the page"
        assert not list((runtime / "doorlight").iterdir()), "the socket is removed at the end"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        before = signal.getsignal(VIEW_REQUEST)
        yield folder
        signal.signal(VIEW_REQUEST, before)


def make_view(events: list[Event], notes: list[str]) -> DoorView:
    return DoorView(config.load(), None, lambda: number_and_size(10), events.append, notes.append)  # type: ignore[arg-type, return-value]


def test_the_socket_is_opened_on_request_and_closed_when_it_is_no_longer_used(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    view = make_view(events, [])
    path = runtime / "doorlight" / "view.sock"
    view.start()
    view.on_decision(frame(), decision())
    assert not path.exists()
    os.kill(os.getpid(), VIEW_REQUEST)
    view.on_decision(frame(), decision())
    assert path.exists()
    watcher = Watcher(path)
    watcher.watch()
    wait_until(lambda: view._server is not None and view._server._watchers)
    view.on_decision(frame(3), decision(0.3))
    assert watcher.receive()[0]["number"] == 3
    watcher.close()
    wait_until(lambda: view._server is not None and not view._server._watchers)
    monkeypatch.setattr(server, "END_AFTER_S", 0.0)
    monkeypatch.setattr(door_view, "CLOSE_AFTER_S", 0.0)

    def is_closed() -> bool:
        view.on_decision(frame(), decision(0.4))
        return not path.exists()

    wait_until(is_closed)
    assert [(event.kind, event.data) for event in events] == [
        ("view", {"state": "began"}),
        ("view", {"state": "ended"}),
    ]


def test_a_door_whose_socket_cannot_be_made_goes_on(runtime: Path) -> None:
    (runtime / "doorlight").write_text("not a folder")
    notes: list[str] = []
    view = make_view([], notes)
    view.start()
    os.kill(os.getpid(), VIEW_REQUEST)
    view.on_decision(frame(), decision())
    view.on_decision(frame(), decision())
    assert len(notes) == 1
    assert notes[0].startswith("note: the page is not available: ")


def test_only_a_process_with_a_handler_gets_the_signal(runtime: Path) -> None:
    """The signal would end any other process, such as a door of an older version."""
    assert not request.catches(os.getpid(), signal.SIGUSR2)
    make_view([], []).start()
    assert request.catches(os.getpid(), VIEW_REQUEST)
    assert not request.catches(2**22 + 5, VIEW_REQUEST)


def test_areas_of_the_page_are_in_force_from_the_next_frame_on(runtime: Path, tmp_path: Path) -> None:
    settings = tmp_path / "door.toml"
    settings.write_text("[web]\nenabled = true\nmay_configure = true\n")
    zones: list[Zone] = []
    events: list[Event] = []
    areas = AreaTarget(tmp_path / "areas.toml", settings, zones.append)
    view = DoorView(config.load(settings), None, lambda: number_and_size(10), events.append, print, areas)  # type: ignore[arg-type, return-value]
    view.start()
    try:
        page = Watcher(runtime / "doorlight" / "view.sock")
        half = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5))
        page.socket.sendall(protocol.encode_request({"id": 1, "ask": "set_areas", "zone": half, "ignore": []}))
        assert page.receive_answer()[0]["state"] == "done"
        assert zones == [], "only the loop changes them"
        view.on_decision(frame(), decision(7.0))
        assert zones == [Zone(half, ())]
        assert [(e.kind, e.t, e.data) for e in events] == [
            ("areas_set", 7.0, {"by": "page", "share": 0.5, "before": 1.0})
        ]
        view.on_decision(frame(), decision(7.1))
        assert len(zones) == len(events) == 1
        page.close()
    finally:
        view.close()
