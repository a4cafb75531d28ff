"""Compare what a door showed in scenes of make_walkups with their truth: its lights, and how it tells people apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge.pipeline import Decision
from edge.records import Signal

from .. import metrics
from ..walkups import truth
from ..walkups.truth import AGITATED, NEAR, UNMASKED, VISITOR, SceneTruth
from .identity import Followed, Identity, TrueFace, compare

#: Faces below this share of the frame's height, or of which less is visible, need not be followed.
MIN_FOLLOWED, MIN_VISIBLE = 0.09, 0.5
#: A state of the scene must last for this time (seconds) to be judged.
MIN_GROUP_S = 0.3
#: What lights can do wrong.
GREEN_FOR_BARE, RED_FOR_MASKED, ALARM_FOR_CALM, LIGHT_FOR_NOBODY, FAULT = (
    "green_for_bare", "red_for_masked", "alarm_for_calm", "light_for_nobody", "fault",
)  # fmt: skip
MISTAKES = (GREEN_FOR_BARE, RED_FOR_MASKED, ALARM_FOR_CALM, LIGHT_FOR_NOBODY, FAULT)
#: Kinds of groups by the lights that they require.
GROUPS = ("masked", "bare", "nobody")


class Shown(NamedTuple):
    """What the door showed in one frame, its tracks in view, and the numbers of the people in the log by track."""

    t: float
    signal: Signal
    tracks: tuple[Followed, ...]
    people: dict[int, int]


def shown_by(decision: Decision) -> Shown:
    """Return what is judged of a decision."""
    in_view = tuple(Followed(t.number, t.box) for t in decision.tracks if t.last_seen >= decision.t)
    people = {track: person.number for track, person in decision.people.items() if person.number}
    return Shown(decision.t, decision.signal, in_view, people)


@dataclass
class Outcome:
    """The result of one scene.

    `groups` has (kind of GROUPS, the time of its end, whether the last light was right) for each time in which one
    light is required. `mistakes` are the first time of each kind of MISTAKES. `alarm` is True if there was one.
    `may_alarm` and `must_stop`: an agitated person, any bare person had to be decided. `decision_s` is the time from the
    first near face to the first light. `doubles` are people in the log that have a number already, `strangers` those
    that are no visitor, `unnumbered` visitors without a number.
    """

    scene: SceneTruth
    groups: list[tuple[str, float, bool]] = field(default_factory=list)
    mistakes: dict[str, float] = field(default_factory=dict)
    alarm: bool = False
    may_alarm: bool = False
    must_stop: bool = False
    is_empty_ever: bool = False
    decision_s: float | None = None
    identity: Identity = field(default_factory=Identity)
    visitors: int = 0
    unnumbered: int = 0
    doubles: int = 0
    strangers: int = 0


def judge(scene: SceneTruth, shown: Sequence[Shown]) -> Outcome:
    """Return the outcome of a scene in which the door showed this, one moment a frame."""
    out = Outcome(scene)
    _judge_lights(out, shown)
    labels = {c.label for p in scene.people for c in p.claims if c.must}
    out.may_alarm = AGITATED in labels
    out.must_stop = bool(labels & {AGITATED, UNMASKED})
    out.alarm = any(m.signal is Signal.ALARM for m in shown)
    near_s = _first_near(scene)
    if near_s is not None:
        lit = [m.t for m in shown if m.signal is not Signal.IDLE]
        out.decision_s = max(0.0, lit[0] - near_s) if lit else None
    _judge_identity(out, shown)
    return out


def _judge_lights(out: Outcome, shown: Sequence[Shown]) -> None:
    run: list[tuple[float, bool]] = []
    kind = ""
    for m in shown:
        right = truth.lights(out.scene, m.t)
        out.is_empty_ever |= _group(right) == "nobody"
        if m.signal not in right.allowed:
            out.mistakes.setdefault(_mistake(m.signal, right), m.t)
        now = _group(right)
        if now != kind:
            _end_group(out, kind, run)
            kind, run = now, []
        run.append((m.t, right.required is not None and m.signal in right.required))
    _end_group(out, kind, run)


def _group(right: truth.Lights) -> str:
    """Return the kind of group that these lights are required for, or "" if none is required."""
    if right.required is None:
        return ""
    return "masked" if Signal.PASS in right.required else "nobody" if Signal.IDLE in right.required else "bare"


def _end_group(out: Outcome, kind: str, run: Sequence[tuple[float, bool]]) -> None:
    if kind and run[-1][0] - run[0][0] >= MIN_GROUP_S:
        out.groups.append((kind, *run[-1]))


def _mistake(signal: Signal, right: truth.Lights) -> str:
    """Return the kind of mistake of a signal that is not allowed."""
    if signal is Signal.FAULT:
        return FAULT
    if right.allowed == {Signal.IDLE}:
        return LIGHT_FOR_NOBODY
    if signal is Signal.PASS:
        return GREEN_FOR_BARE
    return ALARM_FOR_CALM if Signal.STOP in right.allowed else RED_FOR_MASKED


def _first_near(scene: SceneTruth) -> float | None:
    """Return when the first visitor's face is near; None if none ever is."""
    visitors = {p.id for p in scene.people if p.role == VISITOR}
    for k, faces in enumerate(scene.boxes):
        if any(p in visitors and y2 - y1 >= NEAR * scene.height for p, _, y1, _, y2, _ in faces):
            return k / scene.fps
    return None


def _judge_identity(out: Outcome, shown: Sequence[Shown]) -> None:
    scene = out.scene
    frames = []
    for m in shown:
        k = min(round(m.t * scene.fps), len(scene.boxes) - 1)
        faces = [
            TrueFace(person, (x1, y1, x2, y2), y2 - y1 >= MIN_FOLLOWED * scene.height and visible >= MIN_VISIBLE)
            for person, x1, y1, x2, y2, visible in scene.boxes[k]
        ]
        frames.append((faces, m.tracks))
    out.identity, of_track = compare(frames)
    numbered = {track for m in shown for track in m.people}
    visitors = {p.id for p in scene.people if p.role == VISITOR and any(c.must for c in p.claims)}
    known = {p.id for p in scene.people if p.role == VISITOR}
    whose = [of_track.get(track, 0) for track in numbered]
    out.visitors = len(visitors)
    out.unnumbered = len(visitors - set(whose))
    out.strangers = sum(person not in known for person in whose)
    out.doubles = sum(whose.count(person) - 1 for person in set(whose) & known)


def _share(hits: int, of: int) -> dict[str, Any]:
    """Return a share with its 95 % interval."""
    return {"n": of, "hits": hits, "share": hits / of if of else None, "interval": metrics.wilson(hits, of)}


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return all figures of scenes, each share with its 95 % interval; `errors` sums up what is wrong."""
    groups = [g for o in outcomes for g in o.groups]
    out: dict[str, Any] = {"scenes": len(outcomes)}
    for kind in GROUPS:
        own = [right for k, _, right in groups if k == kind]
        out[f"{kind}_right"] = _share(sum(own), len(own))
    with_visitors = [o for o in outcomes if o.visitors]
    empty = [o for o in outcomes if o.is_empty_ever]
    wrong = [o for o in with_visitors if o.mistakes.keys() - {LIGHT_FOR_NOBODY}]
    out["wrong_light"] = _share(len(wrong), len(with_visitors))
    out["light_for_nobody"] = _share(sum(LIGHT_FOR_NOBODY in o.mistakes for o in empty), len(empty))
    out["mistakes"] = {kind: sum(kind in o.mistakes for o in outcomes) for kind in MISTAKES}
    angry = [o for o in outcomes if o.may_alarm]
    calm = [o for o in outcomes if o.must_stop and not o.may_alarm]
    out["alarm_for_angry"] = _share(sum(o.alarm for o in angry), len(angry))
    out["alarm_for_calm"] = _share(sum(o.alarm for o in calm), len(calm))
    decided = [o.decision_s for o in outcomes if o.decision_s is not None]
    out["median_decision_s"] = statistics.median(decided) if decided else None
    out["identity"] = _identity_figures(outcomes)
    judged = [g for g in groups if g[0] != "nobody"]
    out["errors"] = (
        sum(not right for _, _, right in judged) + sum(out["mistakes"].values()) + sum(not o.alarm for o in angry)
    )
    kinds, tags = _unique(o.scene.kind for o in outcomes), _unique(tag for o in outcomes for tag in o.scene.tags)
    out["by_kind"] = {kind: _part([o for o in outcomes if o.scene.kind == kind]) for kind in kinds}
    out["by_tag"] = {tag: _part([o for o in outcomes if tag in o.scene.tags]) for tag in tags}
    return out


def _unique(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _part(own: Sequence[Outcome]) -> dict[str, Any]:
    """Return the main figures of a part of the scenes."""
    groups = [right for o in own for kind, _, right in o.groups if kind != "nobody"]
    identity = sum((o.identity for o in own), Identity())
    return {
        "scenes": len(own),
        "right": _share(sum(groups), len(groups)),
        "with_a_mistake": _share(sum(bool(o.mistakes) for o in own), len(own)),
        "switches": identity.switches,
    }


def _identity_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    total = sum((o.identity for o in outcomes), Identity())
    visitors = sum(o.visitors for o in outcomes)
    return {
        "idf1": total.idf1,
        "switches": total.switches,
        "faces": total.faces,
        "missed": total.missed,
        "false": total.false,
        "visitors": visitors,
        "unnumbered": sum(o.unnumbered for o in outcomes),
        "numbered_twice": sum(o.doubles for o in outcomes),
        "false_people": sum(o.strangers for o in outcomes),
    }
