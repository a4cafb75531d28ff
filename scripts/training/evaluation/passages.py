"""Evaluate the lights of the whole door on a video of people who walk up."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from edge.camera.factory import open_source
from edge.config import Config
from edge.door import decisions
from edge.errors import InputError
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline
from edge.records import Frame, Signal

from .. import contact_sheet, metrics, plots
from ..arrays import Picture
from ..records import DataError
from .common import MAX_MISTAKES, Result

#: The kinds of people, and the right signals for each.
KINDS = {"masked": {Signal.PASS}, "unmasked": {Signal.STOP, Signal.ALARM}, "agitated": {Signal.STOP, Signal.ALARM}}
#: The door remembers a person who left for a moment: a signal until then still counts for that passage.
TAIL_S = 0.7
#: The lights must be off this long after a person left.
LIGHTS_OFF_S = 2.0
#: Pictures of the video are kept for the contact sheet at this rate.
THUMBNAILS_PER_S = 2


class Passage(NamedTuple):
    """One person walks up: the kind, and the time span in which the person is visible, in seconds of the video."""

    kind: str
    start_s: float
    end_s: float


def read_truth(path: Path) -> list[Passage]:
    """Return the passages of a truth file in the order of their start.

    Raises InputError, or DataError with the field.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "--truth takes a JSON file") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: expected a list of passages with at least one in it")
    passages = []
    for k, row in enumerate(rows):
        where = f"{path}: passage {k}"
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected an object, found {row!r}")
        if row.get("kind") not in KINDS:
            raise DataError(f"{where}: field 'kind': must be one of {', '.join(KINDS)}, found {row.get('kind')!r}")
        for name in ("start_s", "end_s"):
            value = row.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise DataError(f"{where}: field '{name}': must be seconds, 0 or more, found {value!r}")
        if row["end_s"] <= row["start_s"]:
            raise DataError(f"{where}: field 'end_s': {row['end_s']} is not after start_s {row['start_s']}")
        passages.append(Passage(row["kind"], float(row["start_s"]), float(row["end_s"])))
    return sorted(passages, key=lambda p: p.start_s)


class Outcome(NamedTuple):
    """The result of one passage.

    `last` is the last signal (IDLE if there was none). `wrong_t` is the time of the first wrong signal. `decided_s` is
    the time from `start_s` to the first signal.
    """

    passage: Passage
    last: Signal
    wrong_t: float | None
    alarm: bool
    decided_s: float | None

    @property
    def is_right(self) -> bool:
        """Return True if the last signal fits the kind of person."""
        return self.last in KINDS[self.passage.kind]


def judge(passages: Sequence[Passage], shown: Sequence[tuple[float, Signal]]) -> tuple[list[Outcome], float | None]:
    """Return the outcome of each passage, and the share of empty time with a light on (None if never empty).

    `shown` is (t, signal) of every frame. A passage is judged from `start_s` until TAIL_S after `end_s`, or until the
    next passage starts. A signal from before the start that has not changed belongs to the previous person, for up to
    LIGHTS_OFF_S after that person left. The scene is empty from LIGHTS_OFF_S after a passage until the next one.
    """
    outcomes = []
    for k, passage in enumerate(passages):
        until_s = min([passage.end_s + TAIL_S, *(p.start_s for p in passages[k + 1 : k + 2])])
        until_s = max(until_s, passage.end_s)  # passages that overlap are judged to their end
        previous_end_s = max((p.end_s for p in passages[:k]), default=-LIGHTS_OFF_S)
        outcomes.append(_outcome(passage, until_s, previous_end_s, shown))
    empty = [s for t, s in shown if not any(p.start_s <= t <= p.end_s + LIGHTS_OFF_S for p in passages)]
    return outcomes, metrics.share([s is not Signal.IDLE for s in empty])


def _outcome(passage: Passage, until_s: float, previous_end_s: float, shown: Sequence[tuple[float, Signal]]) -> Outcome:
    """Return the outcome of a passage, given the end of its judgement and the end of the previous passage."""
    before = [s for t, s in shown if t < passage.start_s]
    leftover = before[-1] if before else Signal.IDLE
    last, wrong_t, alarm, decided_s = Signal.IDLE, None, False, None
    for t, signal in shown:
        if not passage.start_s <= t <= until_s:
            continue
        if signal is leftover and t < previous_end_s + LIGHTS_OFF_S:
            continue
        leftover = Signal.IDLE
        if signal is Signal.IDLE:
            continue
        if decided_s is None:
            decided_s = t - passage.start_s
        last = signal
        alarm |= signal is Signal.ALARM
        if signal not in KINDS[passage.kind] and wrong_t is None:
            wrong_t = t
    return Outcome(passage, last, wrong_t, alarm, decided_s)


def passage_figures(outcomes: Sequence[Outcome], light_while_empty: float | None) -> dict[str, Any]:
    """Return counts by kind and `light_while_empty`, a share 0..1."""
    figures: dict[str, Any] = {}
    for kind in KINDS:
        own = [o for o in outcomes if o.passage.kind == kind]
        decided = [o.decided_s for o in own if o.decided_s is not None]
        figures[kind] = {
            "n": len(own),
            "right": sum(o.is_right for o in own),
            "wrong_light_ever": sum(o.wrong_t is not None for o in own),
            "alarm": sum(o.alarm for o in own),
            "median_decision_s": statistics.median(decided) if decided else None,
        }
    return {**figures, "light_while_empty": light_while_empty}


# ---- The video -------------------------------------------------------------------------------------------------------


@dataclass
class Playback:
    """The signals of a door that watched a video, as (t, signal) of every frame, and thumbnails of the video."""

    shown: list[tuple[float, Signal]] = field(default_factory=list)
    thumbnails: dict[int, Picture] = field(default_factory=dict)

    def add_thumbnail(self, frame: Frame) -> None:
        """Keep a small copy of the frame, unless there is one of about the same time."""
        key = int(frame.t * THUMBNAILS_PER_S)
        if key not in self.thumbnails:
            self.thumbnails[key] = contact_sheet.tile(frame.picture, None, ())[: contact_sheet.TILE_PX]

    def thumbnail(self, t: float) -> Picture:
        """Return the thumbnail of about the time `t`; a black one without it."""
        blank = np.zeros((contact_sheet.TILE_PX, contact_sheet.TILE_PX, 3), np.uint8)
        return self.thumbnails.get(int(t * THUMBNAILS_PER_S), blank)


def evaluate_passages(video: Path, truth: Path, settings: Config, models: Manifest, runtime: str | None) -> Result:
    """Play a video through the pipeline of `doorlight run`, and compare the signals with the truth.

    Raises InputError or DataError if the video or the truth cannot be used.
    """
    passages = read_truth(truth)
    if not video.is_file():
        raise InputError(f"{video}: no such file", "--video takes a video file")
    pipeline = Pipeline(settings, Perception(settings, models, runtime))
    playback = Playback()
    end_s = round(passages[-1].end_s)
    with (
        open_source(settings.camera, str(video)) as source,
        tqdm(total=end_s, unit="s", desc="passages", file=sys.stderr) as bar,
    ):
        if source.length and source.fps:
            _check_length(truth, passages, source.length / source.fps)
        for frame, decision in decisions(pipeline, source):
            playback.shown.append((decision.t, decision.signal))
            if frame is not None:
                playback.add_thumbnail(frame)
            bar.update(min(int(decision.t), end_s) - bar.n)
    _check_length(truth, passages, playback.shown[-1][0] if playback.shown else 0.0)
    outcomes, light_while_empty = judge(passages, playback.shown)
    return Result(passage_figures(outcomes, light_while_empty), lambda out: _draw(out, playback, outcomes))


def _check_length(truth: Path, passages: Sequence[Passage], video_s: float) -> None:
    for k, p in enumerate(passages):
        if p.start_s >= video_s:
            raise DataError(
                f"{truth}: passage {k}: field 'start_s': {p.start_s} is after the video's end ({video_s:.2f} s)"
            )


def _draw(out: Path, playback: Playback, outcomes: Sequence[Outcome]) -> None:
    shown = [(t, s.value) for t, s in playback.shown]
    plots.draw_timeline(out / "timeline.png", shown, [o.passage for o in outcomes])
    rows, columns = tuple(KINDS), tuple(s.value for s in Signal)
    counts = metrics.confusion([o.passage.kind for o in outcomes], [o.last.value for o in outcomes], rows, columns)
    plots.draw_confusion(out / "confusion.png", counts, rows, columns)
    tiles = []
    for o in outcomes:
        if o.wrong_t is not None or not o.is_right:
            t = o.passage.end_s if o.wrong_t is None else o.wrong_t
            what = "undecided" if o.wrong_t is None else "wrong light"
            lines = (o.passage.kind, f"{what} at {t:.2f} s", f"ends {o.last.value}")
            tiles.append(contact_sheet.tile(playback.thumbnail(t), None, lines))
    contact_sheet.write(out / "worst.png", tiles[:MAX_MISTAKES])
