"""Run the targets of the link, each in a thread of its own, until the process is told to stop.

To add a part that runs beside the targets, add what makes it to `PARTS`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import __version__
from ..errors import DoorlightError
from ..link_settings import LinkSettings, parse_broker
from ..system.systemd import SystemdNotifier
from .status import LinkStatus
from .topics import client_id, door_name

#: How often (seconds) status and watchdog are served.
TICK_S = 2.0
#: A target that gives no sign for this time (seconds) hangs: systemd's watchdog restarts the link.
MAX_SILENCE_S = 300.0
STOP_TIMEOUT_S = 10.0


class Worker(Protocol):
    """A target. `run` returns soon after `stop` is set; what it raises ends the link."""

    def run(self, stop: threading.Event) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where things are: the event log, the folder of the cursors, and that of the status (None: none)."""

    log: Path
    state_folder: Path
    runtime_folder: Path | None = None


class LinkError(DoorlightError):
    """A target has ended although nobody stopped it."""


def run(settings: LinkSettings, place: Place, stop: threading.Event, report: Callable[[str], None]) -> None:
    """Run the link until `stop` is set. `report` prints a line.

    Raises InputError if a secret cannot be read, OutputError if a cursor cannot be written, and LinkError if a target fails.
    """
    status = LinkStatus(report)
    workers = [worker for part in PARTS for worker in part(settings, place, status)]
    status.restore(place.state_folder)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=_guard, args=(worker, stop, failures), name=type(worker).__name__, daemon=True)
        for worker in workers
    ]
    systemd = SystemdNotifier()
    for thread in threads:
        thread.start()
    systemd.ready()
    while not stop.wait(TICK_S):
        systemd.status(status.line())
        if status.silent_for_s() < MAX_SILENCE_S:
            systemd.watchdog()
        if place.runtime_folder is not None:
            status.write(place.runtime_folder)
    systemd.stopping()
    for thread in threads:
        thread.join(STOP_TIMEOUT_S)
    status.write(place.state_folder)
    for failure in failures:
        if isinstance(failure, DoorlightError):
            raise failure
        for text in traceback.format_exception(failure):
            for line in text.splitlines():
                report(line)
        raise LinkError(f"the link has failed: {type(failure).__name__}: {failure}", "systemd restarts it")


def _guard(worker: Worker, stop: threading.Event, failures: list[BaseException]) -> None:
    """Run a worker. If it fails, stop the others: a link that is half dead would look alive."""
    try:
        worker.run(stop)
    except BaseException as error:
        failures.append(error)
        stop.set()


def _broker(settings: LinkSettings, place: Place, status: LinkStatus) -> Iterator[Worker]:
    """Yield the worker for the broker, if there is one. Raises InputError, OutputError."""
    if not settings.broker:
        return
    from .announcement import Announcement
    from .door_state import DoorState
    from .host_figures import HostFigures
    from .login import broker_login
    from .mqtt_worker import MqttWorker

    broker, door = parse_broker(settings.broker), door_name(settings.door)
    login = broker_login(settings, client_id(door, place.state_folder))
    announcement = Announcement(
        door, settings.discovery_prefix, __version__, place.state_folder, is_wanted=settings.home_assistant
    )
    state = DoorState(place.log, __version__, HostFigures(place.log.parent))
    yield MqttWorker(place.log, place.state_folder, broker, login, announcement, state, status)


def _webhooks(settings: LinkSettings, place: Place, status: LinkStatus) -> Iterator[Worker]:
    """Yield a worker for each webhook. Raises InputError."""
    if not settings.webhook:
        return
    from .webhook_worker import WebhookWorker

    door = door_name(settings.door)
    for webhook in settings.webhook:
        yield WebhookWorker(webhook, door, place.log, place.state_folder, status)


PARTS: tuple[Callable[[LinkSettings, Place, LinkStatus], Iterator[Worker]], ...] = (_broker, _webhooks)
