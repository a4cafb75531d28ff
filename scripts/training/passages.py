"""People walking up in a video: who was there when, and what the lights made of it."""

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

#: Whom a passage shows, and the lights that are right for them.
KINDS = {"masked": {Signal.PASS}, "unmasked": {Signal.STOP, Signal.ALARM}, "agitated": {Signal.STOP, Signal.ALARM}}
#: Someone who walked out of the picture is remembered for a moment: what shows until then still counts as theirs.
TAIL_S = 0.7
#: This long after someone left, the lights are off.
LIGHTS_OFF_S = 2.0


class Passage(NamedTuple):
    """Someone walks up: who, and from when to when they can be seen, in seconds of the video."""

    kind: str
    start_s: float
    end_s: float


def read_truth(path: Path) -> list[Passage]:
    """The passages of a truth file in the order of their start. Raises InputError, or DataError naming the field."""
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
    """What one passage came to.

    `wrong_t` is when a wrong light first showed, `decided_s` how long after `start_s` the first light did, `last` the
    last one shown (IDLE: none ever).
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
    """What each passage came to, and the share of empty time with a light on (None: the scene was never empty).

    `shown` is (t, signal) of every frame. A passage is judged from `start_s` until TAIL_S after `end_s`, or until the
    next one starts. A light that was on before it started and has not changed since is the previous person's, for up
    to LIGHTS_OFF_S after they left. The scene counts as empty from LIGHTS_OFF_S after somebody left until the next
    start.
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
    """Counts per kind; `light_while_empty` is a share, 0..1."""
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
