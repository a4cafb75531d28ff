"""The command `doorlight`: run, doctor, annotate, events, lights, check-config."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .errors import DoorlightError, OutputError, Unavailable

if TYPE_CHECKING:
    from .checks import Finding
    from .config import Config
    from .events import Line, Summary
    from .records import Event

HERE_LOG = Path("doorlight-events.jsonl")
#: A door that cannot start blinks for so long before it ends, which the service makes it do again and again.
REFUSED_S = 5.0
SERVICE_LOG = Path("/var/lib/doorlight/events.jsonl")  # as in systemd/doorlight.service


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
  doorlight lights --test                        try out lamps and buzzer, one after the other
  doorlight check-config door.toml               is this file right?
  doorlight doctor                               is this machine right, and what mends it?

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

  doorlight events --since 1h                    ./doorlight-events.jsonl where there is one, else the service's log
  doorlight events /mnt/old-card/events.jsonl    any other
  doorlight events --kind alarm                  only signals that turned to ALARM
  doorlight events --kind camera_lost --kind camera_back
  doorlight events --follow                      go on showing new ones until Ctrl-C
"""

LIGHTS = """\
Try out the wiring, or switch everything off.

  doorlight lights --test                        each lamp, the buzzer and each signal in turn, and what one should see
  doorlight lights --test --seconds 10           more slowly
  doorlight lights --off                         all off at once, as after a crash; nothing happens without GPIO pins

A running door holds the pins: sudo systemctl stop doorlight
"""

DOCTOR = """\
Look at everything the door depends on: Python, libraries, models, camera (it takes a picture and keeps none), Coral,
pins, permissions, event log, temperature and power, journal, clock, service. A line each: how it is ("ok", "note": the
door works, "bad"), what was found, and after an arrow what mends it. Exit code 0 where nothing is bad, 69 otherwise.

Where the service is installed, options left out are those that it runs with (unless --config names another file).
While it runs it has camera and pins to itself, and what it says of them is shown; otherwise the lamps go off.

  sudo doorlight doctor                          on a box with the service: sees all that the service sees
  doorlight doctor --source /dev/video0          would this camera do?
  doorlight doctor --json | jq .verdict          for programs
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

    def door(made: argparse.ArgumentParser) -> None:
        common(made)
        made.add_argument(
            "--source", metavar="SRC", help="picamera, /dev/video0, rtsp://…, a video, a folder (default: config)"
        )
        made.add_argument("--simulate", action="store_true", help="no pins: show the lights on the console")
        made.add_argument(
            "--events", type=Path, metavar="FILE", help="event log (default: config, else ./doorlight-events.jsonl)"
        )

    run = command("run", "keep the door", RUN)
    door(run)
    run.set_defaults(do=_run)

    annotate = command("annotate", "draw what the door sees into pictures and videos", ANNOTATE)
    common(annotate)
    annotate.add_argument("src", metavar="SRC", help="a picture, a video, or a folder of them")
    annotate.add_argument("out", metavar="OUT", type=Path, help="where to write the same, drawn into")
    annotate.set_defaults(do=_annotate)

    events = command("events", "show an event log", EVENTS)
    events.add_argument("file", metavar="FILE", nargs="?", type=Path)
    events.add_argument("--follow", action="store_true", help="go on showing new events until Ctrl-C")
    events.add_argument("--since", metavar="AGO", help="only the last 90s, 30m, 1h, 2d")
    events.add_argument("--kind", action="append", metavar="KIND", help="only this event or signal (may be repeated)")
    events.set_defaults(do=_events)

    lights = command("lights", "try out the wiring, or switch everything off", LIGHTS)
    lights.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML) over the defaults")
    what = lights.add_mutually_exclusive_group(required=True)
    what.add_argument("--test", action="store_true", help="walk through everything that lamps and buzzer can do")
    what.add_argument("--off", action="store_true", help="switch everything off, at once")
    lights.add_argument("--simulate", action="store_true", help="no pins: show the lights on the console")
    lights.add_argument("--seconds", type=_seconds, default=4.0, metavar="S", help="how long each step is shown (4)")
    lights.set_defaults(do=_lights)

    doctor = command("doctor", "check this machine: what is wrong, and what mends it", DOCTOR)
    door(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object, with all checks and a verdict")
    doctor.set_defaults(do=_doctor)

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


def _seconds(text: str) -> float:
    """An argument of more than no and at most 600 seconds."""
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(text)) <= 600:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to 600")


def _settings(args: argparse.Namespace) -> Config:
    from . import config

    return config.load(args.config)


def _run(args: argparse.Namespace) -> int:
    config = _settings(args)
    from . import door, manifest
    from .accelerator import Accelerator
    from .camera import open_source
    from .events import EventLog, words
    from .lights import Lights
    from .perception import Perception, models
    from .records import Signal

    path = args.events or Path(config.events.file or HERE_LOG)
    stop = threading.Event()

    def out(line: str) -> None:
        # A pipe whose reader has gone, or a full disk behind it, is no reason for the door to stop.
        with contextlib.suppress(OSError):
            print(line, flush=True)

    def tell(event: Event) -> None:
        out(f"{event.t:8.2f} s  {words({'event': event.kind, **event.data})}")

    def say(line: str) -> None:
        out(f"{'':12}{line}")

    def keep(lights: Lights) -> door.Summary:
        source = open_source(config.camera, args.source)
        found = manifest.load(args.models or _folder(config.models.directory))
        with Accelerator(config.models.accelerator, found, models(config)) as accelerator:
            perception = Perception(config, found, accelerator=accelerator)
            # The log last: a source that is not there leaves no empty file behind.
            with source, EventLog(path, config.events.rotate_bytes, config.events.keep) as log:
                # Only now: until here nothing runs, and opening a camera can take long enough to be worth interrupting.
                _stop_on_signals(stop)
                return door.run(config, perception, source, lights, log, stop, _started_at(), tell)

    with Lights(config.lights, args.simulate, say) as lights:
        try:
            summary = keep(lights)
        except DoorlightError:
            if not lights.simulated:
                # Whoever stands at the door does not read the journal. The service starts anew after this.
                lights.show(Signal.FAULT)
                _stop_on_signals(stop)
                stop.wait(REFUSED_S)
            raise
    rate = summary.frames / max(summary.seconds, 1e-3)
    first = "none" if summary.first_decision_s is None else f"{summary.first_decision_s:.2f} s after start"
    out(
        f"{summary.frames} frames in {summary.seconds:.1f} s ({rate:.0f} frames/s), first decided {first}; events in {path}"
    )
    return 0


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda *_: stop.set())


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
    path: Path = args.file or _usual_log()
    reading = events.read(path)

    stop = threading.Event()
    if args.follow:
        # Ctrl-C is the way out, and must not fall between a line and its counting.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

    def lines() -> Iterator[Line]:
        yield from events.select(reading, since, kinds)
        if args.follow:
            yield from events.select(events.follow(path, 0.2, stop.is_set, reading.last_seq), None, kinds)

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


def _usual_log() -> Path:
    """The log that is meant where none is named: of a run in this folder, else of the service."""
    return SERVICE_LOG if os.path.exists(SERVICE_LOG) and not HERE_LOG.exists() else HERE_LOG


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


def _lights(args: argparse.Namespace) -> int:
    settings = _settings(args).lights
    if args.off:
        # Runs after crashes (ExecStopPost=), so it needs neither gpiozero nor lgpio, and is quick.
        from . import gpio

        lamp, buzzer = settings.active_low, settings.buzzer_active_low
        print(gpio.switch_off({settings.green: lamp, settings.red: lamp, settings.buzzer: buzzer}))
        return 0
    from . import wiring
    from .lights import Lights

    stop = threading.Event()
    with Lights(settings, args.simulate, lambda line: print(f"{'':8}{line}", flush=True)) as lights:
        _stop_on_signals(stop)
        finished = wiring.walk(lights, settings, args.seconds, stop, lambda line: print(line, flush=True))
    return 0 if finished else 130


def _doctor(args: argparse.Namespace) -> int:
    from . import doctor
    from .machine import Machine

    given = {name: str(getattr(args, name) or "") for name in ("config", "models", "source", "events")}
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    colour = terminal and not os.environ.get("NO_COLOR")

    def begin(name: str) -> None:
        if terminal and not args.json:
            print(f"\r\x1b[K  …     {name}", end="", flush=True)

    found: list[tuple[str, Finding]] = []
    for name, finding in doctor.examine(Machine(**given, simulate=args.simulate), begin):
        found.append((name, finding))
        if not args.json:
            width = shutil.get_terminal_size((100, 24)).columns
            print("\r\x1b[K" * terminal + doctor.described(name, finding, width, colour), flush=True)
    verdicts = [finding.verdict for _, finding in found]
    if args.json:
        checks = [{"name": name, **finding._asdict()} for name, finding in found]
        print(json.dumps({"verdict": doctor.worst(verdicts), "checks": checks}, indent=2, ensure_ascii=False))
    else:
        print(f"\n  {verdicts.count('bad')} bad, {verdicts.count('note')} to note, {verdicts.count('ok')} ok")
    return Unavailable.exit_code if "bad" in verdicts else 0


def _check_config(args: argparse.Namespace) -> int:
    from . import config

    if args.file is None:
        print(config.default_text(), end="")
        return 0
    config.load(args.file)
    print(f"{args.file}: right")
    return 0
