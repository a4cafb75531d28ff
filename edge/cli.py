"""The command `doorlight`: run, annotate, events, check-config."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .errors import DoorlightError, OutputError

if TYPE_CHECKING:
    from .config import Config
    from .events import Line, Summary
    from .records import Event


def _started_at() -> float:
    """The monotonic time at which this process began, the interpreter's own start included."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return time.monotonic() - age_s


EPILOG = """\
examples:
  doorlight run --source /dev/video0             keep a door with a USB camera
  doorlight run --source clip.mp4 --simulate     play a video; lights as lines on the console
  doorlight annotate clip.mp4 seen.mp4           draw into a video what the door sees
  doorlight events --since 1h --follow           what happened in the last hour, and what happens now
  doorlight check-config door.toml               is this file right?

exit codes: 0 fine, 2 wrong usage, 66 no such input, 69 hardware or model unavailable,
74 output cannot be written, 78 wrong configuration; 130 interrupted where nothing was finished
"""

RUN = """\
Keep the door: look at the source, show the lights, log the events. Ends with SIGTERM or Ctrl-C,
or (exit code 0) when a video or folder has been played to its end.

A camera is watched live: old pictures are dropped, a lost camera is reopened, and the light shows FAULT meanwhile.
A video or folder is played whole, by its own clock, as fast as the machine can: the same file always gives
the same events. Without a GPIO chip, or with --simulate, the lights are lines on the console.
"""

ANNOTATE = """\
Draw what the door sees into a picture or video: boxes, masks, scores, the light. A folder in gives a folder out.
A single picture is decided as if everyone on it stood before the door for two seconds.

  doorlight annotate queue.jpg seen.jpg
  doorlight annotate walk.mp4 seen.mp4
  doorlight annotate pictures/ seen/
"""

EVENTS = """\
Show an event log as readable lines, with a summary at the end. Rotated files (.1, .2, …) are read too.

  doorlight events                               ./doorlight-events.jsonl
  doorlight events /var/lib/doorlight/events.jsonl --since 1h
  doorlight events --kind alarm                  only signals that turned to ALARM
  doorlight events --kind camera_lost --kind camera_back
  doorlight events --follow                      go on showing new ones until Ctrl-C
"""

CHECK = """\
Check a configuration file: unknown keys, wrong types, impossible values. Exit code 0 when right, 78 when wrong.
Without FILE, print the commented default file: every key, its default, and what it does.

  doorlight check-config > door.toml             a file to start from
  doorlight check-config door.toml
"""


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="doorlight",
        description="A box at a door: green when everyone in view wears a mask, red when someone does not.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    top.add_argument("--version", action="version", version=f"doorlight {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, short: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=short, description=text, formatter_class=raw)
        made.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
        return made

    def common(made: argparse.ArgumentParser) -> None:
        made.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML) over the defaults")
        made.add_argument(
            "--models", type=Path, metavar="DIR", help="folder with manifest.toml (default: the shipped models)"
        )

    run = command("run", "keep the door", RUN)
    common(run)
    run.add_argument(
        "--source", metavar="SRC", help="picamera, /dev/video0, rtsp://…, a video, a folder (default: config)"
    )
    run.add_argument("--simulate", action="store_true", help="no pins: show the lights on the console")
    run.add_argument(
        "--events", type=Path, metavar="FILE", help="event log (default: config, else ./doorlight-events.jsonl)"
    )
    run.set_defaults(do=_run)

    annotate = command("annotate", "draw what the door sees into pictures and videos", ANNOTATE)
    common(annotate)
    annotate.add_argument("src", metavar="SRC", help="a picture, a video, or a folder of them")
    annotate.add_argument("out", metavar="OUT", type=Path, help="where to write the same, drawn into")
    annotate.set_defaults(do=_annotate)

    events = command("events", "show an event log", EVENTS)
    events.add_argument("file", metavar="FILE", nargs="?", type=Path, default=Path("doorlight-events.jsonl"))
    events.add_argument("--follow", action="store_true", help="go on showing new events until Ctrl-C")
    events.add_argument("--since", metavar="AGO", help="only the last 90s, 30m, 1h, 2d")
    events.add_argument("--kind", action="append", metavar="KIND", help="only this event or signal (may be repeated)")
    events.set_defaults(do=_events)

    check = command("check-config", "check a configuration file, or print the default one", CHECK)
    check.add_argument("file", metavar="FILE", nargs="?", type=Path)
    check.set_defaults(do=_check_config)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors are one clear line on stderr."""
    args = parser().parse_args(argv)
    try:
        code: int = args.do(args)
        sys.stdout.flush()
        return code
    except DoorlightError as error:
        if args.debug:
            raise
        print(f"doorlight: {error}", file=sys.stderr)
        if error.hint:
            print(f"           {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `doorlight events | head`: whoever read has had enough.
        _silence()
        return 0
    except OSError as error:
        # Output into a file on a full disk, or to a terminal that has gone.
        if args.debug or error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        _silence()
        print(f"doorlight: the output cannot be written: {error.strerror}", file=sys.stderr)
        return OutputError.exit_code


def _silence() -> None:
    """Keep Python from complaining once more at exit about output that nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _settings(args: argparse.Namespace) -> Config:
    from . import config

    return config.load(args.config)


def _run(args: argparse.Namespace) -> int:
    config = _settings(args)
    from . import door, manifest
    from .camera import open_source
    from .events import EventLog, words
    from .lights import Lights
    from .perception import Perception

    source = open_source(config.camera, args.source)
    perception = Perception(config, manifest.load(args.models or _folder(config.models.directory)))
    path = args.events or Path(config.events.file or "doorlight-events.jsonl")
    stop = threading.Event()

    def out(line: str) -> None:
        # A pipe whose reader has gone, or a full disk behind it, is no reason for the door to stop.
        with contextlib.suppress(OSError):
            print(line, flush=True)

    def tell(event: Event) -> None:
        out(f"{event.t:8.2f} s  {words({'event': event.kind, **event.data})}")

    def say(line: str) -> None:
        out(f"{'':12}{line}")

    # The log last: a source that is not there leaves no empty file behind.
    with (
        Lights(config.lights, args.simulate, say) as lights,
        source,
        EventLog(path, config.events.rotate_bytes, config.events.keep) as log,
    ):
        # Only now: until here nothing is lit, and opening a camera can take long enough to be worth interrupting.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda *_: stop.set())
        summary = door.run(config, perception, source, lights, log, stop, _started_at(), tell)
    rate = summary.frames / max(summary.seconds, 1e-3)
    first = "none" if summary.first_decision_s is None else f"{summary.first_decision_s:.2f} s after start"
    out(
        f"{summary.frames} frames in {summary.seconds:.1f} s ({rate:.0f} frames/s), first decided {first}; events in {path}"
    )
    return 0


def _folder(directory: str) -> Path | None:
    return Path(directory) if directory else None


def _annotate(args: argparse.Namespace) -> int:
    config = _settings(args)
    from . import annotate, manifest
    from .perception import Perception

    perception = Perception(config, manifest.load(args.models or _folder(config.models.directory)))
    annotate.annotate(config, perception, args.src, args.out)
    return 0


def _events(args: argparse.Namespace) -> int:
    from . import events

    since = time.time() - events.parse_since(args.since) if args.since else None
    kinds = {k.lower() for k in args.kind or ()}
    reading = events.read(args.file)

    stop = threading.Event()
    if args.follow:
        # Ctrl-C is the way out, and must not fall between a line and its counting.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

    def lines() -> Iterator[Line]:
        yield from events.select(reading, since, kinds)
        if args.follow:
            yield from events.select(events.follow(args.file, 0.2, stop.is_set, reading.last_seq), None, kinds)

    def shown() -> Iterator[Line]:
        day = None
        for line in lines():
            moment = events.when(line)
            if moment is not None and (today := moment.astimezone().date()) != day:
                day = today
                print(f"{day:%A, %Y-%m-%d}", flush=args.follow)
            print(events.describe(line), flush=args.follow)
            yield line

    print(_summary(events.summarise(shown()), reading.damaged))
    return 0


def _summary(found: Summary, damaged: int) -> str:
    """The lines below the events: how many of what, from when to when."""
    lines = [f"{found.lines} event{'' if found.lines == 1 else 's'}"]
    if found.first is not None and found.last is not None:
        lines[0] += f", {found.first.astimezone():%Y-%m-%d %H:%M:%S} to {found.last.astimezone():%Y-%m-%d %H:%M:%S}"
    if found.signals:
        lines.append("signals: " + ", ".join(f"{name} {count}" for name, count in found.signals.items()))
    others = {name: count for name, count in found.events.items() if name != "signal"}
    if others:
        lines.append("others: " + ", ".join(f"{name} {count}" for name, count in others.items()))
    if damaged:
        lines.append(f"{damaged} damaged lines were left out")
    return "\n" + "\n".join(lines)


def _check_config(args: argparse.Namespace) -> int:
    from . import config

    if args.file is None:
        print(config.default_text(), end="")
        return 0
    config.load(args.file)
    print(f"{args.file}: right")
    return 0
