"""`doorlight link`: connect the door to an MQTT broker, to Home Assistant and to webhooks."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, UnavailableError, UsageError
from ..system.terminal import printable
from . import options
from .events import SERVICE_LOG
from .options import LOCAL_LOG, Parser, Subparsers
from .process import make_journal_output_nonblocking, stop_on_signals

if TYPE_CHECKING:
    from ..link.service import Part, Place

DESCRIPTION = """\
Send the event log to an MQTT broker (with Home Assistant) and to webhooks, as
[link] in the settings says. It runs until it is stopped. A target that was
away gets every event since, in order. The door knows nothing of it.

  sudo systemctl enable --now doorlight-link      run it as a service
  doorlight link --config door.toml               run it here
  sudo doorlight link --forget                    remove the door from the broker
                                                  and from Home Assistant

For example, in /etc/doorlight/doorlight.toml:

  [link]
  broker = "mqtts://broker.example.org:8883"
  username = "door-entrance"
  password = "mqtt-password"     # the file /etc/doorlight/secrets/mqtt-password
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "link", help="send events to MQTT, Home Assistant and webhooks", description=DESCRIPTION
    )
    options.add_config(parser)
    parser.add_argument(
        "--events", type=Path, metavar="FILE", help="event log to send (default: events.file in the settings)"
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="remove what the broker keeps about this door, and end (default: run the link)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    config = options.load_settings(args.config)
    if not config.link.is_wanted:
        raise UsageError(
            "the link is off: [link] names no broker, no webhook and no metrics_listen", "see: doorlight link --help"
        )
    from ..link import service

    place = _place(args.events or Path(config.events.file or _default_log()))
    if args.forget:
        from ..link.forget import forget

        print(forget(config.link, place.state_folder))
        return 0
    make_journal_output_nonblocking()
    stop = threading.Event()
    stop_on_signals(stop)
    service.run(config.link, place, stop, _print, _metrics(config.link.metrics_listen))
    return 0


def _metrics(listen: str) -> list[Part]:
    """Return the part that answers a Prometheus, if it is wanted. Raises UnavailableError without its library."""
    if not listen:
        return []
    if find_spec("prometheus_client") is None:
        raise UnavailableError(
            "link.metrics_listen: the library for Prometheus is missing",
            "pip install 'doorlight[metrics]', or remove it",
        )
    from ..metrics.link_part import metrics_part

    return [metrics_part]


def _print(line: str) -> None:
    with contextlib.suppress(OSError):  # a journal that does not read must not stop the link
        print(printable(line), flush=True)


def _place(log: Path) -> Place:
    """Return the folders: those of the service, else of this user. Raises OutputError."""
    from ..link.service import Place
    from ..link.status import STATE_FOLDER
    from ..system.files import state_folder

    folder, runtime = state_folder(), os.environ.get("RUNTIME_DIRECTORY", "")
    if folder is None:
        raise OutputError("there is no folder for the cursors (HOME is not set)", "set HOME")
    if "STATE_DIRECTORY" not in os.environ:
        # With sudo, the service's: it knows under which names the door was announced.
        folder = STATE_FOLDER if os.geteuid() == 0 and STATE_FOLDER.is_dir() else folder / "link"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created: {error.strerror}", f"ls -ld {folder.parent}") from error
    return Place(log, folder, Path(runtime) if runtime else None)


def _default_log() -> Path:
    """Return the log of the service if this user may read it, else that of the runs in this folder."""
    return SERVICE_LOG if os.access(SERVICE_LOG, os.R_OK) else LOCAL_LOG
