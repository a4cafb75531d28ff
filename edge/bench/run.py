"""The benchmark: the real loop with real models, log and lights, and a timer at every stage.

Without a source it draws pictures in which people come and go. They are treated as any other: the detector finds them,
the tracker follows them, the classifiers look at them, and the policy decides.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from .. import __version__, door
from ..camera.factory import open_source
from ..camera.folder import Folder
from ..camera.live import LiveSource
from ..camera.picture_files import PictureFile
from ..camera.source import Source
from ..camera.video import Video
from ..config import Config
from ..events.writer import EventLog
from ..inference import manifest
from ..inference.edgetpu import Accelerator
from ..inference.interpreter import load_runtime
from ..inference.manifest import Manifest
from ..inference.perception import Perception, required_models
from ..lights.lights import Lights
from ..pipeline import Pipeline
from ..source_kind import source_kind
from . import environment
from .drawn_people import DrawnPeople
from .measure import Collector, FrameTimer, peak_rss_mb, rss_mb
from .report import Report, SourceResult

#: The default duration for drawn people, for each number of faces, and for a camera.
DRAWN_S, CAMERA_S = 10.0, 30.0


def describe_source(source: Source) -> str:
    """Return what a source is, without names of files, addresses and serial numbers."""
    if isinstance(source, Video):
        return "a video"
    if isinstance(source, PictureFile | Folder):
        return "pictures"
    if not isinstance(source, LiveSource):
        return source.name
    kind = source_kind(source.name)
    if kind in ("HTTP camera", "network camera"):
        return "a network camera"
    return source.name if source.name == "picamera" or source.name.startswith("/dev/video") else "a camera"


@dataclass(frozen=True)
class _Door:
    """The open parts of a door, and the timer of its loop."""

    perception: Perception
    timer: FrameTimer
    lights: Lights
    log_folder: Path


@dataclass
class Bench:
    """A benchmark. Without `source` it draws pictures, one run for each number of people in `faces`.

    `seconds` is the duration for each source; None means whole files, CAMERA_S for cameras and DRAWN_S for drawn people.
    `pins` says whether the real lamps light up. `started_at` and `entered_at` are the monotonic times at which this
    process and its main() started. `begin` is called with a description of each source before it is measured. Set `stop`
    to end the benchmark early.
    """

    config: Config
    models: Path | None
    source: str | None
    faces: Sequence[int]
    seconds: float | None
    pins: bool
    started_at: float
    entered_at: float
    begin: Callable[[str], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    _caveats: list[str] = field(default_factory=list, init=False)
    #: (name of a part of the start, monotonic time at which it begins), in order.
    _start_marks: list[tuple[str, float]] = field(default_factory=list, init=False)

    def run(self) -> Report:
        """Measure all sources, or until `stop` is set; return the report.

        Raises DoorlightError as `doorlight run` does, and KeyboardInterrupt if it is stopped before there is a result.
        """
        load_runtime()  # here, so that its time counts as import
        self._start_marks = [("interpreter", self.started_at), ("imports", self.entered_at)]
        self._mark_start("lights")
        with ExitStack() as stack:
            lights = stack.enter_context(Lights(self.config.lights, not self.pins))
            self._mark_start("models")
            rows = manifest.load(self.models)
            names = required_models(self.config)
            accelerator = stack.enter_context(Accelerator(self.config.models.accelerator, rows, names))
            timer = FrameTimer()
            perception = Perception(self.config, rows, accelerator=accelerator, timer=timer)
            accelerator.wait_for_first_attempt()
            self._mark_start("source")
            log_folder = Path(stack.enter_context(self._log_folder()))
            results = list(self._measure_all(_Door(perception, timer, lights, log_folder)))
            if not results:
                raise KeyboardInterrupt
            memory = {"now": round(rss_mb(), 1), "peak": round(peak_rss_mb(), 1)}
            runs_on = perception.runs_on
            if accelerator.problem is not None:
                self._caveats.append(f"Edge TPU: {accelerator.problem}")
        return self._report(results, rows, memory, runs_on, perception.runtime)

    def _mark_start(self, name: str) -> None:
        self._start_marks.append((name, time.monotonic()))

    def _sources(self) -> Sequence[Source]:
        if self.source is None:
            return [DrawnPeople(faces, self.config.camera) for faces in self.faces]
        return [open_source(replace(self.config.camera, wait=False), self.source)]

    def _measure_all(self, parts: _Door) -> Iterator[SourceResult]:
        """Yield the result of each source until `stop` is set."""
        for number, source in enumerate(self._sources()):
            with source:
                if number == 0:
                    self._mark_start("first frame")
                collector = self._measure(source, parts, parts.log_folder / f"{number}.jsonl")
            if number == 0 and collector.first_decision_at is not None:
                self._start_marks.append(("", collector.first_decision_at))
            if collector.first_decision_at is None and self.stop.is_set():
                return
            yield collector.result(describe_source(source), source.fps)
            if source.damage is not None:
                self._caveats.append("a part of the source could not be read and was skipped")
            if self.stop.is_set():
                return

    def _measure(self, source: Source, parts: _Door, log_path: Path) -> Collector:
        seconds = self.seconds
        if seconds is None and (source.live or isinstance(source, DrawnPeople)):
            seconds = CAMERA_S if source.live else DRAWN_S
        self.begin(describe_source(source) + (f" for {seconds:g} s" if seconds else ""))
        events = self.config.events
        with EventLog(log_path, events.rotate_bytes, events.keep_files) as log:
            parts.timer.include_capture = source.live
            collector = Collector(parts.timer, seconds, self.stop)
            parts.timer.reset()
            door.run(
                Pipeline(self.config, parts.perception),
                parts.perception,
                source,
                parts.lights,
                log,
                collector.finished,
                self.started_at,
                collector.on_event,
                collector.on_frame,
            )
        return collector

    def _log_folder(self) -> tempfile.TemporaryDirectory[str]:
        """Return a folder for the log, on the disk of the door's log: each disk has its own speed."""
        try:
            folder = Path(self.config.events.file or ".").parent
            return tempfile.TemporaryDirectory(prefix=".doorlight-bench-", dir=folder)
        except OSError:
            self._caveats.append(
                "the event log was written to the temporary folder: this user cannot write to the folder of the door's log"
            )
            return tempfile.TemporaryDirectory(prefix="doorlight-bench-")

    def _report(
        self,
        results: Sequence[SourceResult],
        rows: Manifest,
        memory_mb: dict[str, float],
        runs_on: str,
        runtime_name: str,
    ) -> Report:
        from ..doctor.host import Host  # not at the top: the import must not count as time to start

        host = Host()
        caveats = [*self._caveats]
        if self.stop.is_set():
            caveats.append("interrupted: these are the results until then")
        if (caveat := environment.service_caveat(host)) is not None:
            caveats.append(caveat)
        marks = self._start_marks
        return Report(
            doorlight=__version__,
            time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            complete=not self.stop.is_set(),
            machine=environment.describe_machine(host),
            libraries=environment.library_versions(runtime_name),
            models=environment.describe_models(rows, required_models(self.config)),
            runs_on=runs_on,
            threads=self.config.models.threads,
            start_s={name: round(end - begun, 3) for (name, begun), (_, end) in itertools.pairwise(marks)},
            memory_mb=memory_mb,
            heat=environment.describe_heat(host),
            sources=tuple(results),
            caveats=tuple(map(environment.without_home, caveats)),
        )
