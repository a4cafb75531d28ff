"""The command `doorlight`: assemble the parser, run a command, turn errors into exit codes.

To add a command, write a module in `commands` and list it in `COMMANDS`.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Sequence

from . import __version__
from .commands import (
    annotate,
    bench,
    check_config,
    collect,
    doctor,
    events,
    explain,
    fleet,
    lights,
    link,
    metrics,
    people,
    run,
    sign,
    stats,
    update,
    web,
)
from .commands.options import MAX_MESSAGE_LENGTH, Parser
from .commands.process import INTERRUPTED, discard_output
from .errors import DoorlightError, OutputError, UnavailableError
from .system import clock, streams
from .system.terminal import printable

COMMANDS = (
    run, annotate, explain, events, stats, metrics, web, link, collect, fleet, lights, doctor, bench, sign, people, update,
    check_config,
)  # fmt: skip

DESCRIPTION = """\
A box at a door: it shows green when everyone in view wears a mask, and red
when someone does not.
"""

EPILOG = """\
examples:
  doorlight run --source /dev/video0           watch a door with a USB camera
  doorlight run --source clip.mp4 --simulate   play a video; print the lights
  doorlight annotate clip.mp4 seen.mp4         draw what the door sees
  doorlight annotate picamera aim.jpg          draw what the camera sees
  doorlight explain queue.jpg why.png          show why a face is judged so
  doorlight events --since 1h --follow         last hour's events, and new ones
  doorlight stats --since 30d                  people, masks, alarms, uptime
  doorlight metrics                            the same for Prometheus
  doorlight web --for 30m                      show the door in the browser (with sudo)
  doorlight link --config door.toml            send events to MQTT and webhooks
  doorlight collect --broker HOST --database ADDRESS
                                               store the events of many doors
  doorlight fleet                              all doors, the blind ones first
  doorlight lights --test                      test lamps and buzzer
  doorlight sign sign.svg                      make the sign for the door
  doorlight people --help                      people whom the door recognises
  doorlight update --status                    which version runs; updates
  doorlight check-config door.toml             check a settings file
  doorlight doctor                             check this machine
  doorlight bench                              measure this machine's speed

exit codes:
  0    success
  2    wrong usage
  66   an input, or a picture or video of a folder, is missing or cannot be read
  69   hardware, a model, a broker or a database is unavailable
  74   an output cannot be written
  78   the settings are wrong
  130  interrupted before the command was complete
"""


def build_parser() -> Parser:
    """Return the parser of the whole command line. Parsed arguments have `run`, the function of the chosen command."""
    parser = Parser(prog="doorlight", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"doorlight {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = command.add_parser(subparsers)
        subparser.add_argument(
            "--debug", action="store_true", help="show the traceback of an error (default: one line)"
        )
        subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: sys.argv) and return the exit code.

    Print an error as one line and a hint.
    """
    streams.open_missing()  # before any file is opened
    streams.replace_missing_characters()
    args = build_parser().parse_args(argv)
    if note := clock.replace_impossible_zone():
        _print_error(f"doorlight: note: {printable(note)}")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except DoorlightError as error:
        if args.debug:
            raise
        _print_error(f"doorlight: {printable(str(error), MAX_MESSAGE_LENGTH)}")
        if error.hint:
            _print_error(f"           {printable(error.hint, MAX_MESSAGE_LENGTH)}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except ImportError as error:
        from .system.libraries import explain

        problem = None if args.debug else explain(error)
        if problem is None:
            raise
        _print_error(f"doorlight: {printable(problem.message)}")
        _print_error(f"           {printable(problem.fix)}")
        return UnavailableError.exit_code
    except BrokenPipeError:
        # The reader of a pipe has exited, as in `doorlight events | head`.
        discard_output()
        return 0
    except OSError as error:
        # Standard output is a file on a full disk, a terminal that is gone, a journal that does not read, or open for
        # reading only.
        if args.debug or error.errno not in (errno.ENOSPC, errno.EIO, errno.EAGAIN, errno.EBADF):
            raise
        discard_output()
        _print_error(f"doorlight: the output cannot be written: {error.strerror}")
        return OutputError.exit_code


def _print_error(line: str) -> None:
    """Print a line to standard error. If that cannot be written, the exit code alone reports the error."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
