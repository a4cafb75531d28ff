"""The command `doorlight`: run, doctor, bench, annotate, events, lights, check-config."""

from __future__ import annotations

import argparse
import contextlib
import errno
import faulthandler
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import __version__
from .errors import DoorlightError, OutputError, Unavailable, UsageError
from .terminal import printable

if TYPE_CHECKING:
    from .checks import Finding
    from .config import Config
    from .events import Line, Summary
    from .records import Event

HERE_LOG = Path("doorlight-events.jsonl")
#: A door that cannot start blinks for so long before it ends, which the service makes it do again and again.
REFUSED_S = 5.0
#: Longest line of an error.
MOST_SAID = 900
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
  doorlight bench                                how fast is it?

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

BENCH = """\
Measure how fast this machine is as a door: the real loop over real models and a real event log, every stage of a frame's
way timed. Send it in with a question; no serial number, address, or name of a file or person is in it (--json: the same,
for programs).

Without --source, pictures are drawn in which people (one NASA portrait, public domain) come, stay and go, found and
decided as any other: one at a time, then ten. Tables are by what the door sees: nobody in view; everyone decided (looked at
again now and then); someone new (looked at until decided). "own": what the door spends beside the three models.

  doorlight bench                                20 seconds of drawn people
  doorlight bench --source picamera              30 seconds of this camera
  doorlight bench --source walk.mp4              a video, whole
  doorlight bench --faces 3 --threads 2          three people at once, two threads for each model
  doorlight bench --faces 1 --seconds 3600       does memory grow?
  doorlight bench --json > bench.json

Nothing else should run meanwhile: sudo systemctl stop doorlight. Ctrl-C shows what there is so far.
"""

CHECK = """\
Check a configuration file: unknown keys, wrong types, impossible values. Exit code 0 when right, 78 when wrong.
Without FILE, print the commented default file: every key, its default, and what it does.

  doorlight check-config > door.toml             a file to start from
  doorlight check-config door.toml
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message, MOST_SAID))


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    raw = argparse.RawDescriptionHelpFormatter
    top = _Parser(
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
    lights.add_argument("--seconds", type=_up_to(600), default=4.0, metavar="S", help="how long each step is shown (4)")
    lights.set_defaults(do=_lights)

    doctor = command("doctor", "check this machine: what is wrong, and what mends it", DOCTOR)
    door(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object, with all checks and a verdict")
    doctor.set_defaults(do=_doctor)

    bench = command("bench", "measure how fast this machine is as a door", BENCH)
    common(bench)
    bench.add_argument("--source", metavar="SRC", help="what `run` takes, instead of drawn people")
    bench.add_argument("--faces", type=_count(0, 20), metavar="N", help="so many drawn people at once (1, then 10)")
    bench.add_argument("--threads", type=_count(1, 16), metavar="N", help="for the models (default: config)")
    bench.add_argument(
        "--seconds",
        type=_up_to(86400),
        metavar="S",
        help="how long (drawn people 10, a camera 30, a file to its end)",
    )
    bench.add_argument("--pins", action="store_true", help="light the real lamps (default: simulated)")
    bench.add_argument("--json", action="store_true", help="one JSON object")
    bench.set_defaults(do=_bench)

    check = command("check-config", "check a configuration file, or print the default one", CHECK)
    check.add_argument("file", metavar="FILE", nargs="?", type=Path)
    check.set_defaults(do=_check_config)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors are one clear line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the terminal's character set has no "●", the door goes on
    args = parser().parse_args(argv)
    try:
        code: int = args.do(args)
        sys.stdout.flush()
        return code
    except DoorlightError as error:
        if args.debug:
            raise
        print(f"doorlight: {printable(str(error), MOST_SAID)}", file=sys.stderr)
        if error.hint:
            print(f"           {printable(error.hint, MOST_SAID)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `doorlight events | head`: whoever read has had enough.
        _silence()
        return 0
    except OSError as error:
        # Output into a file on a full disk, to a terminal that has gone, or to a journal that hangs.
        if args.debug or error.errno not in (errno.ENOSPC, errno.EIO, errno.EAGAIN):
            raise
        _silence()
        print(f"doorlight: the output cannot be written: {error.strerror}", file=sys.stderr)
        return OutputError.exit_code


def _silence() -> None:
    """Keep Python from complaining once more at exit about output that nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _up_to(most_s: float) -> Callable[[str], float]:
    """The type of an argument of more than no and at most `most_s` seconds."""

    def seconds(text: str) -> float:
        with contextlib.suppress(ValueError):
            if 0 < (value := float(text)) <= most_s:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to {most_s:g}")

    return seconds


def _count(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number."""

    def count(text: str) -> int:
        with contextlib.suppress(ValueError):
            if least <= (value := int(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")

    return count


def _settings(args: argparse.Namespace) -> Config:
    from . import config

    return config.load(args.config)


def _run(args: argparse.Namespace) -> int:
    config = _settings(args)
    from .keeper import Keeper

    # First of all, as it forks, and opens the pins while the rest is being loaded. Its patience goes beyond the longest
    # that the loop may wait for a picture.
    keeper = None if args.simulate else Keeper(config.lights, config.camera.timeout_s + 1)
    from . import door, manifest
    from .accelerator import Accelerator
    from .camera import open_source
    from .errors import LightsError
    from .events import EventLog, words
    from .lights import Lights
    from .perception import Perception, models
    from .records import Signal

    path = args.events or Path(config.events.file or HERE_LOG)
    stop = threading.Event()
    _never_wait_for_the_journal()

    def out(line: str) -> None:
        # A pipe whose reader has gone, or a full disk behind it, is no reason for the door to stop.
        with contextlib.suppress(OSError):
            print(printable(line), flush=True)

    def tell(event: Event) -> None:
        out(f"{event.t:8.2f} s  {words({'event': event.kind, **event.data})}")

    def say(line: str) -> None:
        out(f"{'':12}{line}")

    def keep(lights: Lights | Keeper) -> door.Summary:
        source = open_source(config.camera, args.source)
        found = manifest.load(args.models or _folder(config.models.directory))
        with Accelerator(config.models.accelerator, found, models(config)) as accelerator:
            perception = Perception(config, found, accelerator=accelerator)
            # The log last: a source that is not there leaves no empty file behind.
            with source, EventLog(path, config.events.rotate_bytes, config.events.keep) as log:
                # Only now: until here nothing runs, and opening a camera can take long enough to be worth interrupting.
                _stop_on_signals(stop)
                try:
                    return door.run(config, perception, source, lights, log, stop, _started_at(), tell)
                finally:
                    log.close()
                    if log.problem:
                        say(f"the event log is not whole: {log.problem}")

    faulthandler.enable(2)  # the journal shows where a door was that the watchdog ends
    with Lights(config.lights, True, say) if keeper is None else keeper.lights(say) as lights:
        try:
            summary = keep(lights)
        except LightsError:
            raise
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


def _never_wait_for_the_journal() -> None:
    """A journal that hangs, its disk being slow or full, must not stop the door: lines that it does not take are lost."""
    with contextlib.suppress(OSError, ValueError):
        output = sys.stdout.fileno()
        status = os.fstat(output)
        # Not any other output: whoever shares a terminal or a pipe with us would be surprised. See systemd.exec(5).
        if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
            os.set_blocking(output, False)


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
    after = events.last_before(events.read(path), since) if since is not None else 0

    stop = threading.Event()
    if args.follow:
        # Ctrl-C is the way out, and must not fall between a line and its counting.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

    def lines() -> Iterator[Line]:
        yield from events.select(reading, after, kinds)
        if args.follow:
            yield from events.select(events.follow(path, 0.2, stop.is_set, reading.last_seq), 0, kinds)

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
        lines.append("signals: " + ", ".join(f"{printable(name)} {count}" for name, count in found.signals.items()))
    others = {name: count for name, count in found.events.items() if name != "signal"}
    if others:
        lines.append("others: " + ", ".join(f"{printable(name)} {count}" for name, count in others.items()))
    if damaged:
        lines.append(f"{damaged} damaged lines were left out")
    return "\n" + "\n".join(lines)


def _lights(args: argparse.Namespace) -> int:
    settings = _settings(args).lights
    if args.off:
        # Runs after crashes (ExecStopPost=), so it needs neither gpiozero nor lgpio, and is quick.
        from . import gpio

        print(gpio.switch_off(settings.resting))
        return 0
    from . import wiring
    from .lights import Lights

    stop = threading.Event()
    with Lights(settings, args.simulate, lambda line: print(f"{'':8}{line}", flush=True)) as lights:
        _stop_on_signals(stop)
        finished = wiring.walk(lights, settings, args.seconds, stop, lambda line: print(line, flush=True))
    return 0 if finished else 130


def _terminal() -> tuple[bool, bool, int]:
    """Whether output goes to a terminal, whether in colours, and how many columns wide it may be."""
    import shutil

    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return terminal, terminal and not os.environ.get("NO_COLOR"), shutil.get_terminal_size((100, 24)).columns


def _doctor(args: argparse.Namespace) -> int:
    import json

    from . import doctor
    from .machine import Machine

    given = {name: str(getattr(args, name) or "") for name in ("config", "models", "source", "events")}
    terminal, colour, width = _terminal()

    def begin(name: str) -> None:
        if terminal and not args.json:
            print(f"\r\x1b[K  …     {name}", end="", flush=True)

    found: list[tuple[str, Finding]] = []
    for name, finding in doctor.examine(Machine(**given, simulate=args.simulate), begin):
        found.append((name, finding))
        if not args.json:
            print("\r\x1b[K" * terminal + doctor.described(name, finding, width, colour), flush=True)
    verdicts = [finding.verdict for _, finding in found]
    if args.json:
        checks = [{"name": name, **finding._asdict()} for name, finding in found]
        print(json.dumps({"verdict": doctor.worst(verdicts), "checks": checks}, indent=2, ensure_ascii=False))
    else:
        print(f"\n  {verdicts.count('bad')} bad, {verdicts.count('note')} to note, {verdicts.count('ok')} ok")
    return Unavailable.exit_code if "bad" in verdicts else 0


def _bench(args: argparse.Namespace) -> int:
    entered_at = time.monotonic()
    if args.source is not None and args.faces is not None:
        raise UsageError("--faces is for drawn people: who is in a source shows by itself", "leave one of the two out")
    config = _settings(args)
    from msgspec.structs import replace

    from . import bench, figures

    if args.threads is not None:
        config = replace(config, models=replace(config.models, threads=args.threads))

    def begin(what: str) -> None:
        # Only now: until here nothing is measured, and opening a camera can take long enough to be worth interrupting.
        _stop_on_signals(measuring.stop)
        if sys.stderr.isatty():
            print(f"measuring {what} …", file=sys.stderr, flush=True)

    measuring = bench.Bench(
        config=config,
        models=args.models or _folder(config.models.directory),
        source=args.source,
        faces=(1, 10) if args.faces is None else (args.faces,),
        seconds=args.seconds,
        pins=args.pins,
        started_at=_started_at(),
        entered_at=entered_at,
        begin=begin,
    )
    report = measuring.run()
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        _, colour, width = _terminal()
        print(figures.shown(report, width, colour))
    return 0


def _check_config(args: argparse.Namespace) -> int:
    from . import config

    if args.file is None:
        print(config.default_text(), end="")
        return 0
    config.load(args.file)
    print(f"{printable(str(args.file))}: right")
    return 0
