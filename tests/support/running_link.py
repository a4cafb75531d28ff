"""A link that runs in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.link.cursor import Cursor, CursorFile
from edge.link.service import Place
from edge.link_settings import Broker
from support.wait import wait_until


@dataclass
class RunningLink:
    """A link in a thread. `lines` are what it prints."""

    place: Place
    stop_event: threading.Event
    thread: threading.Thread
    lines: list[str]
    failures: list[BaseException] = field(default_factory=list)

    def stop(self) -> None:
        """Stop it as systemd does, and raise what it raised."""
        self.stop_event.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.failures:
            raise self.failures.pop()

    def wait_for_line(self, text: str) -> None:
        """Wait until it has printed `text`."""
        try:
            wait_until(lambda: any(text in line for line in self.lines))
        except AssertionError:
            raise AssertionError(f"{text!r} is not in {self.lines}") from None


StartLink = Callable[..., RunningLink]
#: Starts a broker that gives answers prepared by a test.
Serve = Callable[..., Broker]


def cursor_of(link: RunningLink) -> Cursor:
    """Return how far the broker has acknowledged the log."""
    return CursorFile(link.place.state_folder / "broker.cursor").load() or Cursor()
