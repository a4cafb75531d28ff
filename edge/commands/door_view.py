"""Offer what the door sees to the page, from the start or on request. Nothing of it is loaded before."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..config import Config
from ..errors import DoorlightError
from ..pipeline import Decision
from ..records import Event, Frame
from ..system.systemd import VIEW_REQUEST
from ..zone import Zone

if TYPE_CHECKING:
    from ..view.area_keeper import Change
    from ..view.encoder import FrameEncoder
    from ..view.server import ViewServer

#: A socket that was requested is closed if nobody is connected for this time (seconds).
CLOSE_AFTER_S = 20.0


class AreaTarget(NamedTuple):
    """The file of the page's areas, the settings file that it belongs to, and what puts a zone in force."""

    path: Path
    settings: Path
    set_zone: Callable[[Zone], None]


class DoorView:
    """Passes each decision to the view server, if there is one, and logs when watching begins and ends."""

    def __init__(
        self,
        config: Config,
        models_folder: Path | None,
        make_encoder: Callable[[], FrameEncoder],
        write: Callable[[Event], None],
        report: Callable[[str], None],
        areas: AreaTarget | None = None,
    ) -> None:
        """`config` has the settings of the settings file. `models_folder` is None for the shipped models.

        `make_encoder` is called once it is needed; `write` logs an event, and `report` prints a note. Without `areas`, the
        page may not change them.
        """
        self._config = config
        self._models_folder = models_folder
        self._make_encoder = make_encoder
        self._write = write
        self._report = report
        self._areas = areas
        #: Changes of the areas that another thread has made.
        self._changes: deque[Change] = deque()
        self._server: ViewServer | None = None
        self._is_requested = False

    def start(self) -> None:
        """Open the socket if the settings say so. Otherwise wait for VIEW_REQUEST. For the main thread."""
        if self._config.web.enabled:
            self._open()
        else:
            signal.signal(VIEW_REQUEST, self._request)

    def on_decision(self, frame: Frame | None, decision: Decision) -> None:
        """Offer a decision. Returns at once if nobody watches."""
        while self._changes:
            self._put_in_force(self._changes.popleft(), decision.t)
        server = self._server
        if server is not None:
            server.offer(frame, decision)
            for data in server.take_events():
                self._write(Event("view", decision.t, data))
            if not self._config.web.enabled and server.unused_s > CLOSE_AFTER_S:
                self.close()
        elif self._is_requested:
            self._is_requested = False
            self._open()

    def close(self) -> None:
        """Remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _put_in_force(self, change: Change, t: float) -> None:
        assert self._areas is not None
        self._areas.set_zone(change.zone)
        self._write(Event("areas_set", t, change.event))

    def _request(self, *_: object) -> None:
        self._is_requested = True

    def _open(self) -> None:
        """Open the socket. A failure is reported: the door works without it."""
        import os

        from ..view.area_keeper import AreaKeeper
        from ..view.explainer import Explainer
        from ..view.protocol import socket_of_door
        from ..view.requests import DoorRequests
        from ..view.server import ViewServer

        path = socket_of_door()
        if path is None:
            self._report("note: the page is not available: there is no folder for its socket (XDG_RUNTIME_DIR)")
            return
        areas = self._areas
        keeper = None if areas is None else AreaKeeper(self._config, areas.path, areas.settings, self._changes.append)
        requests = DoorRequests(self._config, lambda: Explainer(self._config, self._models_folder), keeper)
        is_service = "RUNTIME_DIRECTORY" in os.environ
        try:
            self._server = ViewServer(path, self._make_encoder(), group_may_watch=is_service, requests=requests)
        except DoorlightError as error:
            self._report(f"note: the page is not available: {error}")
