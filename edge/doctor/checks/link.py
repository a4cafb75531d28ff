"""Check `link`: whether the service that connects the door to the network runs, and what it has not sent yet."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ...counted import counted
from ...errors import DoorlightError, UnavailableError
from ...link.cursor import Cursor
from ...link.log_tail import events_behind
from ...link.secret_files import secret_path
from ...link.silence import silenced_until
from ...link.status import RUNTIME_FOLDER, STATUS_FILE, TargetStatus, read_status
from ...link_settings import LinkSettings, named_secrets, parse_broker
from ...system.files import is_locked
from ..finding import Finding
from ..host import REPAIR, Host, run_command
from ..host import UNIT as DOOR_UNIT

UNIT = "doorlight-link.service"
SHOW_JOURNAL = f"sudo journalctl -u {UNIT} -b -e"
CONNECT_TIMEOUT_S = 5.0
#: More events than this wait only if a target is too slow or away.
MANY_EVENTS = 100


def check(host: Host) -> Iterator[Finding]:
    """Yield findings about libraries, secrets, broker and service; one if the link is off."""
    settings = host.settings.link
    if not settings.is_wanted:
        yield Finding("ok", "off: [link] names no broker, no webhook and no metrics_listen")
        return
    if settings.broker and find_spec("paho") is None:
        yield Finding("bad", "paho-mqtt is not installed: the link cannot reach a broker", REPAIR)
    if os.geteuid() == 0:  # nobody else can look into the folder
        yield from _secrets(settings)
    if settings.broker:
        yield _broker(settings)
    if settings.commands:
        yield _commands(host.events_file)
    state = _service_state()
    if state != "active":
        yield Finding("note", f"the link does not run ({UNIT}: {state})", f"sudo systemctl enable --now {UNIT}")
        return
    targets = read_status(Path(host.root) / RUNTIME_FOLDER.relative_to("/") / STATUS_FILE)
    if not targets:
        yield Finding("note", "the link runs, but says nothing about its targets", SHOW_JOURNAL)
    for target in targets:
        yield from _target(target, host.events_file)


def _secrets(settings: LinkSettings) -> Iterator[Finding]:
    """Yield the secrets that cannot be used."""
    for key, name in named_secrets(settings):
        try:
            if name:
                secret_path(key, name, {})
        except DoorlightError as error:
            yield Finding("bad", str(error), error.hint)


def _broker(settings: LinkSettings) -> Finding:
    """Return whether something listens at the broker's address."""
    broker = parse_broker(settings.broker)
    try:
        socket.create_connection((broker.host, broker.port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        reason = "does not answer" if isinstance(error, TimeoutError) else str(error.strerror or error)
        return Finding("bad", f"broker {broker}: cannot be reached: {reason}", "check [link] broker, and the network")
    return Finding("ok", f"broker {broker}: can be reached")


def _commands(log: Path) -> Finding:
    """Return whether a command from the network silences the buzzer."""
    until = silenced_until(log) if is_locked(log) else None
    if until is None:
        return Finding("ok", "the network may silence the buzzer and test the lamps ([link] commands)")
    return Finding(
        "note",
        f"the buzzer is silenced until {until.astimezone():%H:%M}, by a command from the network",
        f"to end it: sudo systemctl restart {DOOR_UNIT}",
    )


def _service_state() -> str:
    try:
        return run_command("systemctl", "show", UNIT, "-p", "ActiveState", "--value") or "unknown"
    except UnavailableError as error:
        return str(error)


def _target(target: TargetStatus, log: Path) -> Iterator[Finding]:
    """Yield the state of a target, and what it will never get."""
    behind = 0 if target.seq is None else events_behind(log, Cursor(target.seq))
    waiting = "the log cannot be read" if behind is None else f"{counted(behind, 'event')} behind"
    if target.seq is None:
        waiting = "answers when it is asked"
    if target.problem:
        yield Finding("bad", f"{target.problem} ({waiting})", target.hint or SHOW_JOURNAL)
    elif not target.is_connected:
        yield Finding("note", f"{target.name}: not connected yet ({waiting})", SHOW_JOURNAL)
    else:
        before = f"; last problem {target.last_problem_at}: {target.last_problem}" if target.last_problem else ""
        is_late = behind is None or behind > MANY_EVENTS
        yield Finding("note" if is_late else "ok", f"{target.name}: {target.address}, {waiting}{before}")
    if target.missing:
        yield Finding(
            "note",
            f"{target.name}: the log has lost the events {target.missing}, before they were sent",
            "raise [events] keep_files, so that the log lasts as long as the network may be away",
        )
    if target.skipped:
        yield Finding(
            "note",
            f"{target.name}: {counted(target.skipped, 'event was', 'events were')} refused and left out",
            SHOW_JOURNAL,
        )
