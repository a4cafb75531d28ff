"""Judge the lights of the door over a video of people who walk up."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge.errors import InputError
from edge.records import Signal

from .dataset import DataError
from .metrics import share

#: The kinds of people, and the right signals for each.
KINDS = {"masked": {Signal.PASS}, "unmasked": {Signal.STOP, Signal.ALARM}, "agitated": {Signal.STOP, Signal.ALARM}}
#: The door remembers a person who left for a moment: a signal until then still counts for that passage.
TAIL_S = 0.7
#: The lights must be off this long after a person left.
LIGHTS_OFF_S = 2.0


class Passage(NamedTuple):
    """One person walks up: the kind, and the time span in which the person is visible, in seconds of the video."""

    kind: str
    start_s: float
    end_s: float


def read_truth(path: Path) -> list[Passage]:
    """Return the passages of a truth file in the order of their start. Raises InputError, or DataError with the field."""
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
    def right(self) -> bool:
        return self.last in KINDS[self.passage.kind]


def judge(passages: Sequence[Passage], shown: Sequence[tuple[float, Signal]]) -> tuple[list[Outcome], float | None]:
    """Return the outcome of each passage, and the share of empty time with a light on (None if never empty).

    `shown` is (t, signal) of every frame. A passage is judged from `start_s` until TAIL_S after `end_s`, or until the
    next passage starts. A signal from before the start that has not changed belongs to the previous person, for up to
    LIGHTS_OFF_S after that person left. The scene is empty from LIGHTS_OFF_S after a passage until the next one.
    """
    outcomes = []
    for k, passage in enumerate(passages):
        until = min([passage.end_s + TAIL_S, *(p.start_s for p in passages[k + 1 : k + 2])])
        until = max(until, passage.end_s)  # of two who overlap, both are judged to their end
        left = max((p.end_s for p in passages[:k]), default=-LIGHTS_OFF_S)
        before = [s for t, s in shown if t < passage.start_s]
        leftover = before[-1] if before else Signal.IDLE
        last, wrong_t, alarm, decided_s = Signal.IDLE, None, False, None
        for t, signal in shown:
            if not passage.start_s <= t <= until:
                continue
            if signal is leftover and t < left + LIGHTS_OFF_S:
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
        outcomes.append(Outcome(passage, last, wrong_t, alarm, decided_s))
    empty = [s for t, s in shown if not any(p.start_s <= t <= p.end_s + LIGHTS_OFF_S for p in passages)]
    return outcomes, share([s is not Signal.IDLE for s in empty])


def passage_figures(outcomes: Sequence[Outcome], light_while_empty: float | None) -> dict[str, Any]:
    """Return counts by kind and `light_while_empty`, a share 0..1."""
    figures: dict[str, Any] = {}
    for kind in KINDS:
        own = [o for o in outcomes if o.passage.kind == kind]
        decided = [o.decided_s for o in own if o.decided_s is not None]
        figures[kind] = {
            "n": len(own),
            "right": sum(o.right for o in own),
            "wrong_light_ever": sum(o.wrong_t is not None for o in own),
            "alarm": sum(o.alarm for o in own),
            "median_decision_s": statistics.median(decided) if decided else None,
        }
    return {**figures, "light_while_empty": light_while_empty}
