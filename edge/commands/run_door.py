"""Run the door after the pin process is forked: connect source, models, log and lights, and report what happens.

This module imports NumPy, OpenCV and the model runtimes. Only `run` imports it, at the right moment.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import shlex
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import areas_file, door
from ..camera.factory import open_source
from ..camera.folder import Folder
from ..camera.source import Scene, Source
from ..config import Config
from ..counted import counted
from ..errors import DoorlightError, LightsError
from ..events.text import describe_without_time
from ..events.writer import EventLog
from ..frame_rate import SLOW_HINT, slow_note
from ..inference import manifest
from ..inference.edgetpu import Accelerator
from ..inference.perception import Perception, required_models
from ..lights.lights import Lights
from ..lights.pin_process import PinProcess
from ..pipeline import Decision, Pipeline
from ..records import Event, Frame, Signal
from ..settings_notes import camera_notes, other_notes, privacy_notes
from ..system.files import state_folder
from ..system.terminal import printable
from ..zone import Zone
from . import left_out, options
from .door_view import AreaTarget, DoorView
from .process import make_journal_output_nonblocking, stop_on_signals

if TYPE_CHECKING:
    from ..people.presence import Presence
    from ..remote_control import RemoteControl
    from ..view.encoder import FrameEncoder

#: How long a door that cannot start shows FAULT before it exits. The service then starts it again.
FAULT_BEFORE_EXIT_S = 5.0
#: A camera may deliver its first pictures late. It is slow if it still is after this time.
SLOW_AFTER_S = 5.0


def run_door(
    args: argparse.Namespace, settings: Path | None, config: Config, pin_process: PinProcess | None, started_at: float
) -> int:
    """Watch the door until the source ends or a signal arrives. Return the exit code.

    `config` has the settings of the file `settings`. Without `pin_process`, the lights are simulated. `started_at` is the
    monotonic time at which this process started.
    """
    log_path = args.events or Path(config.events.file or options.LOCAL_LOG)
    stop = threading.Event()
    make_journal_output_nonblocking()
    # When the watchdog kills a hanging door (SIGABRT), the journal shows where it was.
    faulthandler.enable(2)
    if pin_process is None:
        opened_lights: Lights | PinProcess = Lights(config.lights, True, print_note, relay=config.relay)
    else:
        opened_lights = pin_process.connect(print_note)
    console = _Console(config.policy.min_looks)
    with opened_lights as lights:
        try:
            source, summary = _watch(args, settings, config, lights, log_path, stop, started_at, console)
        except LightsError:
            raise
        except DoorlightError:
            if not lights.simulated:
                _show_fault(lights, stop)
            raise
    _print_summary(summary, len(console.decided), log_path)
    for damage in source.damaged if isinstance(source, Folder) else ():
        print_note(f"note: {damage}")
    if not source.live and not console.decided:
        print_note(f"nobody was decided; doorlight annotate draws why: {_annotate_command(args, source)}")
    return left_out.report(source.name, source.left_out)


def _annotate_command(args: argparse.Namespace, source: Source) -> str:
    """Return the command that draws what this run saw, with the same settings and models."""
    options_used = [("--config", args.config), ("--models", args.models)]
    words = [word for name, value in options_used if value is not None for word in (name, str(value))]
    return f"{shlex.join(['doorlight', 'annotate', *words, source.name])} OUT"


class _Console:
    """Prints what happens while the door runs, and counts the people that are decided."""

    def __init__(self, min_looks: int) -> None:
        self.decided: set[object] = set()
        self._min_looks = min_looks
        self._is_slow_printed = False
        #: What is wrong with the files of a folder is printed at the end, a line for each file.
        self.is_folder = False
        #: Of a folder: the scene, its last decision, and the number of people decided before it.
        self._scene: Scene | None = None
        self._decision: Decision | None = None
        self._decided_before = 0

    def on_event(self, event: Event) -> None:
        """Print an event."""
        if event.kind in ("scene", "stopped"):
            self._print_result()
        if event.kind in ("masked", "unmasked"):
            self.decided.add(event.data.get("person"))
        if event.kind != "source_damaged" or not self.is_folder:
            print_event(event)

    def on_decision(self, scene: Scene | None, decision: Decision) -> None:
        """Keep the last decision of a file of a folder."""
        self._scene, self._decision = scene, decision

    def _print_result(self) -> None:
        """Print the result of the file of a folder that has ended, in the words of `doorlight annotate`."""
        if self._scene is not None and self._decision is not None:
            from ..annotate import describe  # only a folder needs it, and it loads the drawing

            people = f"people decided: {len(self.decided) - self._decided_before}"
            print_note(f"{self._scene.file}: {describe(self._decision) if self._scene.is_picture else people}")
        self._scene, self._decided_before = None, len(self.decided)

    def on_camera(self, _frame: Frame | None, decision: Decision) -> None:
        """Print once that the camera is slow, a few seconds after that is known: its rate may be settling."""
        if decision.interval_s and not self._is_slow_printed and decision.t >= SLOW_AFTER_S:
            self._is_slow_printed = True
            print_note(f"note: the camera is {slow_note(decision.interval_s, self._min_looks)}; {SLOW_HINT}")


def _watch(
    args: argparse.Namespace,
    settings: Path | None,
    config: Config,
    lights: Lights | PinProcess,
    log_path: Path,
    stop: threading.Event,
    started_at: float,
    console: _Console,
) -> tuple[Source, door.Summary]:
    """Open source, models and log, and run the door's loop. Return the source, closed, and the totals."""
    areas_path = options.areas_path(settings)
    with_areas, areas_note = areas_file.applied(config, areas_path, settings)
    _print_notes(config, args.source or "", areas_note)
    source = open_source(config.camera, args.source)
    _release_relay(config, source, lights)
    with contextlib.ExitStack() as opened:
        opened.callback(source.close)
        source.prepare()
        found = manifest.load(options.models_folder(args, config))
        accelerator = opened.enter_context(Accelerator(config.models.accelerator, found, required_models(config)))
        perception = Perception(config, found, accelerator=accelerator)
        presence = _presence(config, settings, perception, source.live, opened)
        # Open the log last, so that a missing source leaves no empty file.
        events, counter = config.events, _machine_counter() if source.live else None
        with source, EventLog(log_path, events.rotate_bytes, events.keep_files, machine_counter=counter) as log:
            # Only from here on: opening a camera may take long, and until then a signal should end the process at once.
            stop_on_signals(stop)
            if source.note:
                print_note(f"note: {source.note}")

            def write(event: Event) -> None:
                log.write(event)
                console.on_event(event)

            pipeline = Pipeline(with_areas, perception, presence)
            remote = _remote_control(config, source, lights, write)
            target = _area_target(config, areas_path, settings, pipeline)
            view = _make_view(args, config, pipeline, perception, source, log, write, target, remote)

            def on_decision(frame: Frame | None, decision: Decision) -> None:
                view.on_decision(frame, decision)
                if console.is_folder:
                    console.on_decision(source.scene, decision)
                elif source.live:
                    console.on_camera(frame, decision)

            after = on_decision if remote is None else remote.followed_by(on_decision)
            shown: door.SignalLights = lights if remote is None else remote
            console.is_folder = isinstance(source, Folder)
            view.start()
            try:
                summary = door.run(pipeline, perception, source, shown, log, stop, started_at, console.on_event, after)
                return source, summary
            finally:
                view.close()
                log.close()
                if log.problem:
                    print_note(f"the event log is incomplete: {log.problem}")


def _release_relay(config: Config, source: Source, lights: Lights | PinProcess) -> None:
    """Leave the relay off if the source is not a camera: the people of a file are not at the door."""
    if config.relay.resting and not source.live and not lights.simulated:
        lights.release_relay()
        print_note(f"note: the relay stays off: {source.name} is no camera")


def _presence(
    config: Config, settings: Path | None, perception: Perception, live: bool, opened: contextlib.ExitStack
) -> Presence | None:
    """Return what recognises enrolled people; None if that is off: nothing of it is loaded then."""
    if not config.people.enabled:
        return None
    from .door_people import open_presence

    return open_presence(config, settings, perception, live, print_note, opened)


def _print_notes(config: Config, source: str, areas_note: str) -> None:
    """Print what in the settings has no effect or needs attention; `source` is that of the command line, or empty."""
    notes = (*camera_notes(config, source), *other_notes(config), *privacy_notes(config), areas_note)
    for note in notes:
        if note:
            print_note(f"note: {note}")


def _make_view(
    args: argparse.Namespace,
    config: Config,
    pipeline: Pipeline,
    perception: Perception,
    source: Source,
    log: EventLog,
    write: Callable[[Event], None],
    target: AreaTarget | None,
    remote: RemoteControl | None,
) -> DoorView:
    """Return the page's side of the door, not started. It loads the encoder of frames once it is needed."""
    return DoorView(
        config,
        options.models_folder(args, config),
        lambda: _frame_encoder(config, pipeline, perception, source, log, remote),
        write,
        print_note,
        target,
    )


def _area_target(config: Config, path: Path | None, settings: Path | None, pipeline: Pipeline) -> AreaTarget | None:
    """Return what the page may change of the areas; None if it may not."""
    if not config.web.may_configure or path is None or settings is None:
        return None

    def set_zone(zone: Zone) -> None:
        pipeline.zone = zone

    return AreaTarget(path, settings, set_zone)


def _remote_control(
    config: Config, source: Source, lights: Lights | PinProcess, write: Callable[[Event], None]
) -> RemoteControl | None:
    """Return what carries out commands from the network; None if it is off, or the source is a file."""
    if not config.link.commands or not source.live:
        return None
    from ..remote_commands import commands_file
    from ..remote_control import RemoteControl

    path = commands_file()
    if path is None:
        print_note("note: no commands from the network: there is no folder for them (XDG_RUNTIME_DIR)")
        return None
    print_note("note: the network may silence the buzzer and test the lamps ([link] commands)")
    return RemoteControl(config, lights, path, write, print_note)


def _frame_encoder(
    config: Config,
    pipeline: Pipeline,
    perception: Perception,
    source: Source,
    log: EventLog,
    remote: RemoteControl | None,
) -> FrameEncoder:
    """Return what encodes frames and decisions for the page. Called once it is needed."""
    from ..view.encoder import FrameEncoder
    from ..view.snapshot import Snapshots

    accelerator = perception.accelerator

    def problems() -> list[str]:
        return [text for text in (accelerator.problem if accelerator is not None else None, log.problem) if text]

    def silenced_until() -> str | None:
        return None if remote is None else remote.silenced_until

    return FrameEncoder(
        config,
        Snapshots(config, source.name, lambda: perception.runs_on, problems, lambda: pipeline.zone, silenced_until),
    )


def _machine_counter() -> Path | None:
    """Return the path of the counter that all logs of this machine's door share; None if there is no place for it.

    Files that are played do not use it: the same file always gives the same events.
    """
    folder = state_folder()
    if folder is None:
        return None
    with contextlib.suppress(OSError):  # then only the counter beside the log counts
        folder.mkdir(parents=True, exist_ok=True)
    return folder / "sequence"


def _show_fault(lights: Lights | PinProcess, stop: threading.Event) -> None:
    """Show FAULT for a while: people at the door do not read the journal."""
    lights.show(Signal.FAULT)
    stop_on_signals(stop)
    stop.wait(FAULT_BEFORE_EXIT_S)


def _print_summary(summary: door.Summary, decided: int, log_path: Path) -> None:
    rate = summary.frames / max(summary.seconds, 1e-3)
    first = "none" if summary.first_decision_s is None else f"{summary.first_decision_s:.2f} s after start"
    print_line(
        f"{counted(summary.frames, 'frame')} in {summary.seconds:.1f} s ({rate:.0f} frames/s), first frame {first}; "
        f"people decided: {decided}; events in {log_path}"
    )


def print_line(line: str) -> None:
    """Print a line. A closed pipe or a full disk behind standard output does not stop the door."""
    with contextlib.suppress(OSError):
        print(printable(line), flush=True)


def print_event(event: Event) -> None:
    """Print an event with its time in the source, in seconds."""
    print_line(f"{event.t:8.2f} s  {describe_without_time({'event': event.kind, **event.data})}")


def print_note(line: str) -> None:
    """Print a line without a time, in the column of the events."""
    print_line(f"{'':12}{line}")
