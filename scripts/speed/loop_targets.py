"""Check targets of the loop in this process: ratios to other software, overhead, ten people at once. Processor time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from edge.bench.measure import MODEL_COLUMNS, FrameTimer
from edge.imaging.images import Picture
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline
from edge.policy import Verdict
from edge.records import Frame
from speed import measure, scenes
from speed.compare import Comparison
from speed.target import TargetResult

#: Milliseconds per frame, by scene and name of the pipeline.
Times = dict[str, dict[str, float]]

#: Frames of the overhead measurement, for each scene.
OVERHEAD_FRAMES = 300
#: Tolerance for sums of times.
TIME_EPSILON_S = 1e-6
#: A person who is present for less than this is a face that was lost for a moment, or no face.
MIN_PRESENCE_S = 1.0

AIZOO_NETWORK, AIZOO_BOXES = "AIZOO, network", "AIZOO, frame"
TUTORIAL_KERAS, TUTORIAL_TFLITE = "tutorial:", "tutorial, ported"


# ---- Ratios to other software ----------------------------------------------------------------------------------------


def check_ratios(comparison: Comparison, rounds: int) -> list[TargetResult]:
    """Time Doorlight beside AIZOO's network, which is the minimum for AIZOO, and beside the tutorials."""
    ours, *others = comparison.pipelines
    times: Times = {}
    for scene in comparison.scenes:
        if scene != scenes.TEN_FACES:
            pipelines = [ours] if scene == scenes.EMPTY else [ours, *others]
            times[scene] = {name: t.ms for name, t in comparison.time(scene, pipelines, rounds).items()}
    return ratios(times, ours.name)


def ratios(times: Times, ours: str) -> list[TargetResult]:
    """Return the results of the targets about time per frame; the worse of masked and unmasked counts."""
    return [
        _aizoo_ratio(times, ours, "settled", 0.3),
        _aizoo_ratio(times, ours, "new", 0.7),
        _tutorial_ratio(times, ours),
        _empty_door(times, ours),
    ]


def _rows(times: Times, state: str) -> list[dict[str, float]]:
    """Return the times of a settled or new face, masked and unmasked."""
    names = [scenes.one_face(state, kind) for kind in ("masked", "unmasked")]
    return [times[name] for name in names if name in times]


def _max_ratio(times: Times, ours: str, prefix: str, state: str) -> float | None:
    """Return our time relative to the pipeline whose name starts with `prefix`; None if it was not timed."""
    found = [row[ours] / ms for row in _rows(times, state) for name, ms in row.items() if name.startswith(prefix)]
    return max(found, default=None)


def _aizoo_ratio(times: Times, ours: str, state: str, limit: float) -> TargetResult:
    target = f"whole loop, one {state} face ≤ {limit} × AIZOO's detector alone"
    network = _max_ratio(times, ours, AIZOO_NETWORK, state)
    boxes = _max_ratio(times, ours, AIZOO_BOXES, state)
    if network is None or boxes is None:
        return TargetResult(target, "not measured: needs --aizoo", None)
    return TargetResult(target, f"{network:.2f} × the bare network, {boxes:.2f} × frame to boxes", network <= limit)


def _tutorial_ratio(times: Times, ours: str) -> TargetResult:
    target = "one settled face ≥ 40 × faster than the tutorials' pipeline"
    keras = _max_ratio(times, ours, TUTORIAL_KERAS, "settled")
    ported = _max_ratio(times, ours, TUTORIAL_TFLITE, "settled")
    ported_text = "" if ported is None else f" (ported to TFLite: {1 / ported:.0f} ×)"
    if keras is None:
        return TargetResult(target, f"not measured: needs --mobilenet build, or a Keras file{ported_text}", None)
    return TargetResult(target, f"{1 / keras:.0f} ×{ported_text}", 1 / keras >= 40)


def _empty_door(times: Times, ours: str) -> TargetResult:
    target = "empty door ≤ 10 % of the processor time of a busy one (one new face)"
    if scenes.EMPTY not in times:
        return TargetResult(target, "not measured: the footage never shows an empty door", None)
    new = min(row[ours] for row in _rows(times, "new"))
    settled = min(row[ours] for row in _rows(times, "settled"))
    empty = times[scenes.EMPTY][ours]
    measured = f"{empty / new:.1%} ({empty:.2f} of {new:.2f} ms a frame; {empty / settled:.1%} of a settled face)"
    return TargetResult(target, measured, empty / new <= 0.1)


# ---- Overhead --------------------------------------------------------------------------------------------------------


def check_overhead(comparison: Comparison, frames: int = OVERHEAD_FRAMES) -> list[TargetResult]:
    """Measure loop time minus model time: motion, resizing, boxes, crops, tracker, policy."""
    timer = FrameTimer(time.process_time_ns, time.process_time_ns)
    pipeline = measure.DoorlightPipeline(Perception(comparison.config, comparison.models, timer=timer), comparison.fps)
    medians_ms = {}
    for name, make_scene in comparison.scenes.items():
        if name == scenes.TEN_FACES:
            continue
        scene = make_scene()
        pipeline.begin(scene)
        overheads_ms = []
        for k in range(frames):
            timer.reset()
            pipeline.look(scene.frames[k % len(scene.frames)])
            timer.finish()
            overheads_ms.append((sum(timer.row) - sum(timer.row[column] for column in MODEL_COLUMNS)) / 1e6)
        medians_ms[name] = statistics.median(overheads_ms)
    worst = max(medians_ms, key=lambda name: medians_ms[name])
    measured = f"{medians_ms[worst]:.2f} ms ({worst})"
    return [TargetResult("loop time minus model time ≤ 1 ms a frame", measured, medians_ms[worst] <= 1)]


# ---- Ten people ------------------------------------------------------------------------------------------------------


def check_ten_faces(comparison: Comparison, slower: float, seconds: float = 10.0) -> list[TargetResult]:
    """Let ten people appear at once, on a processor that is `slower` times as slow as this one."""
    pipeline = Pipeline(comparison.config, comparison.perception)
    frames = comparison.scenes[scenes.TEN_FACES]().frames
    decisions = list(play_live(pipeline.step, frames, comparison.fps, seconds, slower))
    rate, slowest_s, people = crowd(decisions, seconds)
    as_if = "" if slower == 1 else f", as on a machine {slower:g} times slower"
    last = "not all of them" if slowest_s is None else f"the last one after {slowest_s:.2f} s"
    return [
        TargetResult(
            "ten faces: ≥ 10 decided frames/s",
            f"{rate:.1f} of the camera's {comparison.fps:g}{as_if}",
            rate >= 10,
        ),
        TargetResult(
            "ten faces: each decided within 2 s",
            f"{people} people, {last}{as_if}",
            people >= scenes.TEN and slowest_s is not None and slowest_s <= 2,
        ),
    ]


def play_live(
    step: Callable[[Frame], Decision],
    frames: Sequence[Picture],
    fps: float,
    seconds: float,
    slower: float = 1.0,
    clock: Callable[[], float] = time.process_time,
) -> Iterator[tuple[float, Decision]]:
    """Play frames like a camera with `fps`, which drops old frames; yield (time of the decision, decision).

    The time that `step` takes is multiplied by `slower`.
    """
    t = 0.0
    while t < seconds:
        number = int(t * fps + TIME_EPSILON_S)
        started_at = clock()
        decision = step(Frame(number, number / fps, frames[number % len(frames)]))
        t += (clock() - started_at) * slower
        yield t, decision
        # Take the newest frame, or wait for the next one.
        t = max(t, (number + 1) / fps)


def crowd(decisions: Sequence[tuple[float, Decision]], seconds: float) -> tuple[float, float | None, int]:
    """Return decided frames per second, the longest wait of a person for a verdict, and the number of people.

    The wait is None if a person never gets a verdict. People who are present for less than MIN_PRESENCE_S do not count.
    """
    since: dict[int, float] = {}
    until: dict[int, float] = {}
    decided: dict[int, float] = {}
    for t, decision in decisions:
        for track in decision.tracks:
            since[track.number], until[track.number] = track.first_seen, t
            if decision.verdict(track.number) is not Verdict.UNKNOWN:
                decided.setdefault(track.number, t)
    people = [person for person in since if until[person] - since[person] >= MIN_PRESENCE_S]
    waits = [decided[person] - since[person] for person in people if person in decided]
    slowest_s = max(waits) if waits and len(waits) == len(people) else None
    return len(decisions) / seconds, slowest_s, len(people)
