"""`doorlight update`: install a signed new version, on trial."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import UnavailableError, UsageError
from ..system.terminal import printable
from . import options
from .options import Parser, Subparsers

if TYPE_CHECKING:
    from ..update.door import Door
    from ..update.layout import Layout
    from ..update.trial import Trials
    from ..update.updater import Updater

#: How long an update waits until nobody stands at the door: by hand, and at night.
WAIT_S, NIGHTLY_WAIT_S = 600.0, 7200.0

DESCRIPTION = """\
Install a new version from a signed bundle, beside the one that runs. The new
version is kept after ten healthy minutes. If it does not start, ends by itself,
shows FAULT, or the box restarts before, the version before comes back by
itself. One of the two can start at any time. Settings and event log stay.

  sudo doorlight update /media/usb                      from a stick
  sudo doorlight update https://example.org/doorlight   from an address
  sudo doorlight update --check /media/usb              is there a new version?
  doorlight update --status                             which version runs
  sudo doorlight update --rollback                      the version before

SOURCE is the bundle's folder or tar file, a folder or stick that has bundles,
or the https address of the bundle's folder or tar file. scripts/release makes
bundles. They must be signed with a key of /etc/doorlight/update-keys.
The door is restarted only while nobody stands at it.

Every night: set [update] source, and sudo systemctl enable --now
doorlight-update.timer
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("update", help="install a signed new version, on trial", description=DESCRIPTION)
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="where the bundle is (default: update.source in the settings)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say whether there is a new version (default: install it)")
    what.add_argument("--status", action="store_true", help="say which version runs, and how the last update ended")
    what.add_argument("--rollback", action="store_true", help="bring the version before the last update back, at once")
    what.add_argument("--watch", action="store_true", help="look after a trial once, for doorlight-trial.service")
    parser.add_argument(
        "--nightly", action="store_true", help="for doorlight-update.service: do nothing if there is nothing new to try"
    )
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="also install a lower version (default: refuse it)"
    )
    options.add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    _check_options(args)
    from ..update.disk import Disk
    from ..update.door import Door
    from ..update.layout import Layout
    from ..update.trial import Trials

    layout, door = Layout(), Door()
    if args.status:
        from ..update import status

        for line in status.describe(status.collect(layout, door)):
            print(printable(line))
        return 0
    if os.geteuid() != 0:
        raise UnavailableError("updates need root", "put sudo before the command")
    # Not the caller's umask: the service's user must be able to read the installed files.
    os.umask(0o022)
    trials = Trials(layout, Disk(), door, say=_say)
    if args.watch:
        with contextlib.suppress(_BusyError), locked(layout):
            trials.watch()
        return 0
    with locked(layout) as lock:
        if args.rollback:
            print(f"version {trials.rollback()} runs again")
            return 0
        return _update(args, layout, door, trials, lock)


def _check_options(args: argparse.Namespace) -> None:
    """Raise UsageError for options and a SOURCE that would be ignored."""
    for what in ("status", "rollback", "watch"):
        if not getattr(args, what):
            continue
        given = {"SOURCE": args.source, "--nightly": args.nightly, "--allow-downgrade": args.allow_downgrade}
        for name, value in given.items():
            if value:
                raise UsageError(f"--{what}: does not go with {name}", f"leave out --{what} or {name}")


def _update(args: argparse.Namespace, layout: Layout, door: Door, trials: Trials, lock: int) -> int:
    from ..update.disk import Disk
    from ..update.updater import Installer, Updater, yield_to_the_door

    trial = trials.pending()
    if trial is not None and not args.check:
        raise UnavailableError(
            f"version {trial.version} is on trial",
            "wait (doorlight update --status), or: sudo doorlight update --rollback",
        )
    yield_to_the_door()
    updater = Updater(layout, Disk(), door, trials, Installer(_say, lock), say=_say)
    return install(updater, _source(args), args)


def install(updater: Updater, source: str, args: argparse.Namespace) -> int:
    """Choose a bundle of `source`, and install it unless there is nothing to do or --check is given. Return the exit code."""
    installed = updater.installed
    candidate = updater.choose(source)
    updater.note_latest(candidate)
    reason = updater.reason_against(candidate, args.allow_downgrade or args.check, args.nightly)
    if reason is not None:
        print(reason)
    elif args.check:
        print(f"version {candidate.manifest.version} can be installed; {installed} is installed now")
    else:
        updater.update(candidate, NIGHTLY_WAIT_S if args.nightly else WAIT_S)
    return 0


def _source(args: argparse.Namespace) -> str:
    source: str = args.source or options.load_settings(args.config).update.source
    if not source:
        raise UsageError("no bundle is named", "name its folder, its tar file or its address, or set [update] source")
    return source


class _BusyError(UnavailableError):
    """Another process installs."""


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[int]:
    """Hold the lock of installations, which scripts/install.sh takes, too; yield its descriptor.

    Raises UnavailableError if another process has it.
    """
    from ..system import files

    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            files.lock(descriptor)
        except BlockingIOError:
            raise _BusyError("another installation or update is running", "wait until it has ended") from None
        yield descriptor
    finally:
        os.close(descriptor)


def _say(line: str) -> None:
    print(printable(line), flush=True)
