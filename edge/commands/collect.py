"""`doorlight collect`: store the events of many doors in PostgreSQL."""

from __future__ import annotations

import argparse
import re
import socket
import sys
import threading
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..system.terminal import printable
from .options import MAX_MESSAGE_LENGTH, Parser, Subparsers, local_file

if TYPE_CHECKING:
    from ..fleet.broker import Broker

DESCRIPTION = """\
Receive what `doorlight link` of many doors sends to an MQTT 5 broker, and
write it into PostgreSQL: each event once, none missing.

  doorlight collect --broker broker.example --ca ca.pem --user office \\
      --password-file /etc/doorlight/mqtt-password \\
      --database postgresql://office@db.example/doorlight
  doorlight collect --broker 127.0.0.1 --database postgresql:///doorlight
  doorlight collect --print-schema             the tables, as SQL

Run as many as you like, each with a --name of its own: they share the work if
the broker has shared subscriptions, as Mosquitto does. A message is
acknowledged after it is committed. If broker or database are away, it waits
for them.

Passwords are in files: of the broker in --password-file (chmod 600), of the
database in ~/.pgpass, or in the file that PGPASSFILE names.

scripts/fleet/README.md sets up broker, certificates and database.
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BROKER = re.compile(r"(?:(?P<scheme>mqtts?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?")


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "collect", help="store the events of many doors in PostgreSQL", description=DESCRIPTION
    )
    parser.add_argument(
        "--broker",
        metavar="HOST[:PORT][,…]",
        help="the MQTT 5 broker, or all machines of a cluster; mqtts://HOST or --ca for TLS (default port: 1883, with TLS "
        "8883)",
    )
    parser.add_argument("--database", metavar="ADDRESS", help="as in postgresql://USER@HOST/NAME, without a password")
    parser.add_argument("--user", default="", help="user name for the broker (default: none)")
    parser.add_argument("--password-file", type=local_file, metavar="FILE", help="its password (default: none)")
    parser.add_argument("--ca", type=local_file, metavar="FILE", help="certificate of the broker's authority (PEM)")
    parser.add_argument("--certificate", type=local_file, metavar="FILE", help="certificate of this collector (PEM)")
    parser.add_argument("--key", type=local_file, metavar="FILE", help="its key (PEM)")
    parser.add_argument(
        "--name", help="name of this collector, different for each (default: collect- and the name of this machine)"
    )
    parser.add_argument(
        "--group", default="doorlight", help="collectors of one group share the work (default: doorlight)"
    )
    parser.add_argument(
        "--leave",
        action="store_true",
        help="before you remove the collector --name for good: store what the broker keeps for it, end its session, and end",
    )
    parser.add_argument("--print-schema", action="store_true", help="print the tables as SQL, and end")
    return parser


def run(args: argparse.Namespace) -> int:
    from ..fleet.database import Address, schema_text

    if args.print_schema:
        sys.stdout.write(schema_text())
        return 0
    for option in ("broker", "database"):
        if not getattr(args, option):
            raise UsageError(f"--{option} is missing", "see the examples: doorlight collect --help")
    address = Address(args.database)
    brokers = _brokers(args)
    from ..fleet.collector import Collector
    from .process import stop_on_signals

    stop = threading.Event()
    stop_on_signals(stop)
    Collector(brokers, address, _report, args.leave).run(stop)
    return 0


def _report(line: str) -> None:
    print(f"doorlight: {printable(line, MAX_MESSAGE_LENGTH)}", file=sys.stderr, flush=True)


def _brokers(args: argparse.Namespace) -> list[Broker]:
    from ..fleet.broker import Broker
    from ..fleet.secret import read_password
    from ..link.tls_context import Names, tls_context

    addresses = [_address(text, args.ca is not None) for text in args.broker.split(",")]
    has_tls = addresses[0][2]
    if any(each[2] != has_tls for each in addresses):
        raise UsageError("--broker: some with TLS, some without", "write mqtts:// before each, or before none")
    if (args.certificate is None) != (args.key is None):
        raise UsageError("--certificate and --key belong together", "give both or none")
    if args.certificate is not None and not has_tls:
        raise UsageError("--certificate: the broker is without TLS", "write mqtts://, or give --ca")
    name = args.name or f"collect-{socket.gethostname()}"[:100]
    for option, text in (("name", name), ("group", args.group)):
        if not _NAME.fullmatch(text):
            raise UsageError(f"--{option}: {printable(text, 100)!r} is not a name", "use letters, digits, - _ and .")
    if not _is_mqtt_text(args.user):
        raise UsageError("--user: is not a text in UTF-8 of at most 65535 bytes", "correct --user")
    if args.password_file is not None and not args.user:
        raise UsageError("--password-file: needs --user", "give --user")
    password = read_password(args.password_file) if args.password_file is not None else ""
    names = Names("--ca", "--certificate", "--key")
    tls = tls_context(args.ca, args.certificate, args.key, names) if has_tls else None
    return [Broker(host, port, name, args.group, args.user, password, tls) for host, port, _ in addresses]


def _is_mqtt_text(text: str) -> bool:
    """Return whether MQTT can send a text: Python makes lone surrogates of what is not UTF-8 on the command line."""
    try:
        return len(text.encode()) <= 65535
    except UnicodeEncodeError:
        return False


def _address(text: str, has_ca: bool) -> tuple[str, int, bool]:
    """Return host, port, and whether there is TLS. Raises UsageError, without repeating the text: it may have a password."""
    match = _BROKER.fullmatch(text)
    if match is None:
        raise UsageError("--broker: is not the name of a machine", "for example broker.example:8883")
    has_tls = match["scheme"] == "mqtts" or has_ca
    if match["scheme"] == "mqtt" and has_ca:
        raise UsageError("--ca: mqtt:// is without TLS", "write mqtts://")
    port = int(match["port"] or (8883 if has_tls else 1883))
    if not 1 <= port <= 65535:
        raise UsageError(f"--broker: {port} is no port", "ports are from 1 to 65535")
    return match["host"].strip("[]"), port, has_tls
