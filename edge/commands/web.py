"""`doorlight web`: the page in the browser."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UnavailableError, UsageError
from . import options
from .events import SERVICE_LOG
from .options import LOCAL_LOG, Parser, Subparsers

if TYPE_CHECKING:
    from ..config import WebSettings

#: Longest --for: a day.
MAX_FOR_S = 86400.0
#: The user of doorlight-web.service, as in systemd/doorlight.sysusers, and its group: that of the door.
WEB_USER, WEB_GROUP = "doorlight-web", "doorlight"

DESCRIPTION = """\
Show the door in the browser: live picture, areas, events, health. Faces are
hidden unless [web] show_faces is set, and nothing is recorded. The event log
records when watching began and ended.

  sudo doorlight web --for 30m      open the page for half an hour
  sudo doorlight web --new-link     print the link to the page of the service;
                                    links before it are no longer valid
  doorlight web                     what the service runs: [web] enabled = true

The page listens on this machine only. From another one:
scripts/view.sh USER@raspberrypi.local. For the network, set [web] listen.

With sudo it gives up root's rights, and asks the door to offer its pictures.
Without, it shows a door that the same user runs with [web] enabled = true.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("web", help="show the door in the browser", description=DESCRIPTION)
    options.add_config(parser)
    parser.add_argument(
        "--events", type=Path, metavar="FILE", help="event log to show (default: events.file in the settings)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--for",
        dest="for_s",
        type=_duration,
        metavar="TIME",
        help="open the page for TIME (90s, 30m, 1h), with a link of its own (default: until it is stopped)",
    )
    what.add_argument(
        "--new-link", action="store_true", help="print a new link for the service, and end (default: keep the link)"
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="where to listen (default: web.listen in the settings)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    config_file: Path | None = args.config or _service_settings()
    config = options.load_settings(args.config)
    from ..listen_address import is_local, parse_listen

    try:
        host, port = config.web.address if args.listen is None else parse_listen(args.listen)
    except ValueError as error:
        raise UsageError(f"--listen {shlex.quote(args.listen)} {error}", "for example 127.0.0.1:8080") from None
    if args.new_link:
        return _print_new_link(config.web, host, port)
    if args.for_s is None and not config.web.enabled:
        raise UsageError("the page is off: [web] enabled is false", "set it true, or open the page with --for 30m")
    from ..web import server
    from ..web.app import create_app
    from ..web.feed import DoorFeed
    from ..web.page import Site
    from ..web.registry import PAGES, with_doors
    from ..web.token import TokenCheck, new_token, token_file

    database = config.web.fleet_database
    pages = with_doors(PAGES, database) if database else PAGES
    certificate, key = _certificate(config.web)
    listener = server.open_socket(host, port)
    # A door with `enabled` offers its pictures anyway.
    is_without_door = not _become_web_user(requests_door=args.for_s is not None and not config.web.enabled)
    token = None if args.for_s is None else new_token()
    check = TokenCheck(token, token_file())
    if token is not None:
        print(f"The page is open for {_in_words(args.for_s)}. Ctrl-C closes it.", flush=True)
        if is_without_door:
            print("The door does not offer its pictures. Is it running? systemctl status doorlight", flush=True)
        _print_link(_address(config.web, host, port), token)
        if is_local(host):
            print("Only this machine reaches it. From another one: scripts/view.sh USER@HOST", flush=True)
    elif not check.exists:
        print("note: nobody has a link to the page yet: sudo doorlight web --new-link", file=sys.stderr, flush=True)
    if certificate is None and not is_local(host):
        print("note: pictures and link go through the network unencrypted: see [web] certificate", file=sys.stderr)
    events_file = args.events or Path(config.events.file or _default_log())
    site = Site(pages, DoorFeed(), check, config_file, events_file, options.areas_path(config_file), database)
    app = create_app(site, config.web.hosts, *([int(args.for_s)] if args.for_s else []))
    server.serve(server.make_server(app, args.for_s, certificate, key), listener)
    return 0


def _print_new_link(settings: WebSettings, host: str, port: int) -> int:
    from ..web.token import new_token, store, token_file

    path = token_file()
    if path is None:
        raise UnavailableError("there is no folder for the link (HOME is not set)", "sudo doorlight web --new-link")
    token = new_token()
    store(path, token)
    print("The link to the page. It is not shown again; links before it are no longer valid.")
    _print_link(_address(settings, host, port), token)
    return 0


def _print_link(address: str, token: str) -> None:
    """Print the link with the token, and as a QR code if standard output is a terminal."""
    link = f"{address}/?token={token}"
    if sys.stdout.isatty():
        import segno

        segno.make(link, error="l").terminal(compact=True)
    print(link, flush=True)


def _address(settings: WebSettings, host: str, port: int) -> str:
    """Return the address of the page for a browser."""
    import ipaddress
    import socket

    scheme = "https" if settings.certificate else "http"
    if ipaddress.ip_address(host).is_unspecified:
        host = f"{socket.gethostname().partition('.')[0]}.local"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _certificate(settings: WebSettings) -> tuple[Path | None, Path | None]:
    """Return the files of certificate and key; None for http. Raises InputError if they cannot be used."""
    if not settings.certificate:
        return None, None
    from ..web.server import check_certificate

    files = Path(settings.certificate), Path(settings.key)
    check_certificate(*files)
    return files


def _service_settings() -> Path | None:
    """Return the settings file of the service if it can be read."""
    return options.SERVICE_SETTINGS if os.access(options.SERVICE_SETTINGS, os.R_OK) else None


def _default_log() -> Path:
    """Return the log of the service if this user may read it, else that of the runs in this folder."""
    return SERVICE_LOG if os.access(SERVICE_LOG, os.R_OK) else LOCAL_LOG


def _become_web_user(requests_door: bool) -> bool:
    """Ask the door for its pictures, if so wanted, and give up root's rights. Return False if the door gives none.

    Does nothing without root or the service's user.
    """
    if os.geteuid() != 0:
        return True
    import grp
    import pwd

    try:
        user, group = pwd.getpwnam(WEB_USER), grp.getgrnam(WEB_GROUP)
    except KeyError:  # not installed, as in a test or a container
        return True
    is_offered = True
    if requests_door:
        from ..view.request import request_view

        is_offered = request_view()
    os.setgroups([])
    os.setgid(group.gr_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = "/nonexistent"
    with contextlib.suppress(OSError):
        os.chdir("/")
    return is_offered


def _duration(text: str) -> float:
    """Parse "90s", "30m" or "1h" into seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = text[:-1], text[-1:]
    if unit in units and number.isascii() and number.isdigit() and len(number) < 6:
        seconds = float(number) * units[unit]
        if 0 < seconds <= MAX_FOR_S:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a time up to a day, such as 30m or 2h")


def _in_words(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:g} min" if minutes >= 1 else f"{seconds:g} s"
