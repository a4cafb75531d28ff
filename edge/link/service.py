"""Run the targets of the link, each in a thread of its own, until the process is told to stop.

To add a part that runs beside the targets, add what makes it to `PARTS`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .. import __version__
from ..errors import DoorlightError, OutputError
from ..link_settings import LinkSettings, parse_broker
from ..system.files import lock
from ..system.systemd import SystemdNotifier
from .backoff import Backoff
from .status import LinkStatus
from .topics import client_id, door_name

if TYPE_CHECKING:
    from .command_inbox import CommandInbox
    from .door_state import DoorState

#: How often (seconds) status and watchdog are served.
TICK_S = 2.0
#: A target that gives no sign for this time (seconds) hangs: systemd's watchdog restarts the link.
MAX_SILENCE_S = 300.0
STOP_TIMEOUT_S = 10.0
#: Waiting times (seconds) before a target with a bug starts again. One that has worked for RESET_S is as good as new.
FIRST_RETRY_S, MAX_RETRY_S, RESET_S = 5.0, 120.0, 600.0


class Worker(Protocol):
    """A target. `run` returns soon after `stop` is set, and may be called again after it has raised an exception.

    A DoorlightError ends the link. After any other exception, only this target starts again.
    """

    @property
    def name(self) -> str:
        """Its name in the status."""
        ...

    def run(self, stop: threading.Event) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where things are: the event log, the folder of the cursors, and that of the status (None: none)."""

    log: Path
    state_folder: Path
    runtime_folder: Path | None = None


#: Yields the workers that the settings want.
Part = Callable[[LinkSettings, Place, LinkStatus], Iterator[Worker]]


class LinkError(DoorlightError):
    """A target has failed although nobody stopped it."""


def run(
    settings: LinkSettings,
    place: Place,
    stop: threading.Event,
    report: Callable[[str], None],
    further: Sequence[Part] = (),
) -> None:
    """Run the link until `stop` is set. `report` prints a line. `further` make parts beside those of PARTS.

    Raises InputError if a secret cannot be read, OutputError if a cursor cannot be read or another link is running, and
    LinkError if a target fails so that it cannot start again.
    """
    with _only_one(place.state_folder):
        _run(settings, place, stop, report, (*PARTS, *further))


def _run(
    settings: LinkSettings,
    place: Place,
    stop: threading.Event,
    report: Callable[[str], None],
    parts: Sequence[Part],
) -> None:
    status = LinkStatus(report)
    workers = [worker for part in parts for worker in part(settings, place, status)]
    status.restore(place.state_folder)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_guard, args=(worker, stop, failures, status, report), name=type(worker).__name__, daemon=True
        )
        for worker in workers
    ]
    systemd = SystemdNotifier()
    for thread in threads:
        thread.start()
    systemd.ready()
    while not stop.wait(TICK_S):
        systemd.status(status.describe())
        if status.silent_for_s() < MAX_SILENCE_S:
            systemd.watchdog()
        if place.runtime_folder is not None:
            status.write(place.runtime_folder)
        if status.has_new_losses:  # doctor should know them after a power cut, too
            status.has_new_losses = False
            status.write(place.state_folder)
    systemd.stopping()
    for thread in threads:
        thread.join(STOP_TIMEOUT_S)
    status.write(place.state_folder)
    for failure in failures:
        if isinstance(failure, DoorlightError):
            raise failure
        _report_traceback(failure, report)
        raise LinkError(f"the link has failed: {type(failure).__name__}: {failure}", "systemd restarts it")


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep a lock in the folder of the cursors: two links would send everything twice, and take each other's connection.

    Raises OutputError if another link has it.
    """
    path = folder / "lock"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", f"ls -ld {folder}") from error
    try:
        lock(file)
        yield
    except BlockingIOError:
        raise OutputError(f"{folder}: another link is running", "systemctl status doorlight-link") from None
    finally:
        os.close(file)


def _guard(
    worker: Worker,
    stop: threading.Event,
    failures: list[BaseException],
    status: LinkStatus,
    report: Callable[[str], None],
) -> None:
    """Run a worker, again and again if it has a bug. If it fails for good, stop the others: the link would look alive.

    The same event, or the same answer of a receiver, would end a new process, too, and with it all targets.
    """
    backoff, printed = Backoff(FIRST_RETRY_S, MAX_RETRY_S), ""
    try:
        while not stop.is_set():
            began = time.monotonic()
            try:
                return worker.run(stop)
            except (DoorlightError, MemoryError):
                raise
            except Exception as error:
                if time.monotonic() - began > RESET_S:
                    backoff.reset()
                if repr(error) != printed:
                    _report_traceback(error, report)
                printed = repr(error)
                problem = LinkError(f"has failed: {type(error).__name__}", "it starts again; report it")
                status.report_failure(worker.name, problem)
                status.beat(worker.name)
                stop.wait(backoff.next_s())
                status.clear_problem(worker.name)
    except BaseException as error:
        failures.append(error)
        stop.set()


def _report_traceback(error: BaseException, report: Callable[[str], None]) -> None:
    for text in traceback.format_exception(error):
        for line in text.splitlines():
            report(line)


def _broker(settings: LinkSettings, place: Place, status: LinkStatus) -> Iterator[Worker]:
    """Yield the worker for the broker, if there is one. Raises InputError, OutputError."""
    if not settings.broker:
        return
    from .announcement import Announcement
    from .door_state import DoorState
    from .host_figures import HostFigures
    from .login import broker_login
    from .mqtt_worker import MqttWorker

    has_commands = settings.commands
    broker, door = parse_broker(settings.broker), door_name(settings.door)
    login = broker_login(settings, client_id(door, place.state_folder))
    announcement = Announcement(
        door,
        settings.discovery_prefix,
        __version__,
        place.state_folder,
        is_wanted=settings.home_assistant,
        has_commands=has_commands,
    )
    state = DoorState(place.log, __version__, HostFigures(place.log.parent), has_commands=has_commands)
    inbox = _inbox(state) if has_commands else None
    yield MqttWorker(place.log, place.state_folder, broker, login, announcement, state, status, inbox)


def _inbox(state: DoorState) -> CommandInbox:
    """Return what takes the commands. Raises OutputError if there is no folder for them."""
    from ..remote_commands import commands_file
    from .command_inbox import CommandInbox

    path = commands_file()
    if path is None:
        raise OutputError("link.commands: there is no folder for commands", "set XDG_RUNTIME_DIR, as a login does")
    return CommandInbox(path, state)


def _webhooks(settings: LinkSettings, place: Place, status: LinkStatus) -> Iterator[Worker]:
    """Yield a worker for each webhook. Raises InputError."""
    if not settings.webhook:
        return
    from .webhook_worker import WebhookWorker

    door = door_name(settings.door)
    for webhook in settings.webhook:
        yield WebhookWorker(webhook, settings.ca, door, place.log, place.state_folder, status)


PARTS: tuple[Part, ...] = (_broker, _webhooks)
