"""What shall happen in a scene, at random: who walks where, with what, in which light."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..arrays import Rng
from .camera import Camera
from .moving_things import KINDS as THING_KINDS
from .paths import Path, path
from .truth import AGITATED, MASKED, UNMASKED, Worn

#: Kinds of scenes with their shares.
KINDS = (
    ("alone", 0.20), ("sequence", 0.20), ("side by side", 0.20), ("crossing", 0.20), ("crowd", 0.05), ("nobody", 0.15),
)  # fmt: skip
NOBODY = "nobody"
#: Frame rates of cameras with their shares.
RATES = ((2.0, 0.06), (3.0, 0.06), (4.0, 0.08), (5.0, 0.15), (8.0, 0.15), (10.0, 0.20), (12.0, 0.15), (15.0, 0.15))
#: Shares of scenes with background people, and with things; of visitors with each incident.
BACKGROUND, THINGS = 0.35, 0.35
HAND, TURN, CHANGE, SHIRT = 0.18, 0.35, 0.22, 0.12
#: Time (seconds) for which a hand is at the mask while it is put on or taken off.
CHANGE_TAKES_S = 0.8
#: A turn up to this angle (degrees) hides nothing.
CLEAR_DEGREES = 22.0
MAX_DEGREES = 35.0


@dataclass(frozen=True)
class Turn:
    """A turn of the head: from `start_s` to `end_s`, by `degrees` at its peak."""

    start_s: float
    end_s: float
    degrees: float

    def at(self, t: float) -> float:
        """Return the angle at time `t`: it grows, stays and returns, in a third of the time each."""
        p = (t - self.start_s) / (self.end_s - self.start_s)
        if not 0 <= p <= 1:
            return 0.0
        return float(self.degrees * min(1.0, 3 * min(p, 1 - p)))


@dataclass(frozen=True)
class Role:
    """A person of a scene.

    `kind` is a kind of person of make_passages. `changes_s` is the time at which a mask is put on (an unmasked
    person) or, if `takes_off`, taken off; None if nothing changes. `hands` are (start, end) in seconds.
    """

    kind: str
    path: Path
    is_visitor: bool = True
    changes_s: float | None = None
    takes_off: bool = False
    hands: tuple[tuple[float, float], ...] = ()
    turns: tuple[Turn, ...] = ()
    has_shirt: bool = False

    def worn(self) -> list[Worn]:
        """Return what the person wears over time."""
        start_s, end_s = self.path.start_s, self.path.end_s
        if self.changes_s is None:
            return [Worn(self.kind, start_s, end_s)]
        first, second = (MASKED, self.kind) if self.takes_off else (self.kind, MASKED)
        done_s = self.changes_s + CHANGE_TAKES_S
        return [Worn(first, start_s, done_s), Worn(second, self.changes_s, end_s)]

    def has_mask(self, t: float) -> bool:
        """Return True if a mask is drawn on at time `t`. It appears, or goes, halfway behind the hand."""
        return self.changes_s is not None and (t >= self.changes_s + CHANGE_TAKES_S / 2) != self.takes_off

    def has_hand(self, t: float) -> bool:
        """Return True if a hand is in front of the mouth at time `t`."""
        changing = self.changes_s is not None and 0 <= t - self.changes_s <= CHANGE_TAKES_S
        return changing or any(a <= t <= b for a, b in self.hands)

    def degrees(self, t: float) -> float:
        """Return how far the head is turned at time `t`."""
        return sum(turn.at(t) for turn in self.turns)

    def is_clear(self, t: float) -> bool:
        """Return True if neither a hand nor a turn hides the mouth at time `t`."""
        return not self.has_hand(t) and abs(self.degrees(t)) <= CLEAR_DEGREES


@dataclass(frozen=True)
class Script:
    """A scene: its kind, rate, length, camera, people and the kinds of moving things."""

    kind: str
    fps: float
    seconds: float
    camera: Camera
    roles: tuple[Role, ...]
    things: tuple[str, ...] = ()
    tags: tuple[str, ...] = field(default=())


def kinds_of(count: int, rng: Rng) -> list[str]:
    """Return the kinds of `count` scenes in random order, in their shares."""
    ends = np.cumsum([share for _, share in KINDS])
    at = (np.arange(count) + 0.5) / count
    names = [KINDS[int(np.searchsorted(ends, p))][0] for p in at]
    return [names[int(k)] for k in rng.permutation(count)]


def write_script(kind: str, rng: Rng) -> Script:
    """Return a random scene of a kind."""
    fps = float(rng.choice([rate for rate, _ in RATES], p=[share for _, share in RATES]))
    camera = Camera.random(rng)
    paths, seconds = _PATHS[kind](rng)
    wear = _wear(len(paths), rng)
    roles = [_visitor(k, p, rng) for k, p in zip(wear, paths, strict=True)]
    if kind == "alone" and rng.random() < 0.4:
        roles = [_with_change(roles[0], rng)]
    if kind == NOBODY or rng.random() < BACKGROUND:
        wear = _wear(int(rng.integers(1, 4)), rng)
        roles += [Role(k, _far_walk(seconds, rng), is_visitor=False) for k in wear]
    things: tuple[str, ...] = ()
    if kind == NOBODY or rng.random() < THINGS:
        things = tuple(str(rng.choice(THING_KINDS)) for _ in range(int(rng.integers(1, 3 if kind != NOBODY else 4))))
    script = Script(kind, fps, seconds, camera, tuple(roles), things)
    return replace(script, tags=_tags(script))


def _tags(script: Script) -> tuple[str, ...]:
    """Return what makes a scene hard."""
    visitors = [r for r in script.roles if r.is_visitor]
    tags = [script.camera.light] if script.camera.light != "daylight" else []
    tags += ["slow camera"] if script.fps < 5 else []
    tags += ["hand"] if any(r.hands for r in visitors) else []
    tags += ["turn"] if any(r.turns for r in visitors) else []
    tags += ["mask put on"] if any(r.changes_s is not None and not r.takes_off for r in visitors) else []
    tags += ["mask taken off"] if any(r.changes_s is not None and r.takes_off for r in visitors) else []
    tags += ["background"] if len(visitors) < len(script.roles) else []
    return (*tags, *dict.fromkeys(script.things))


def _wear(count: int, rng: Rng) -> list[str]:
    """Return the kinds of the people of a group: often all masked, because only then the door shows green."""
    if rng.random() < 0.45:
        return [MASKED] * count
    is_mixed = rng.random() < 0.55
    kinds = [UNMASKED if rng.random() < 0.72 else AGITATED for _ in range(count)]
    if is_mixed:
        for k in range(count):
            if rng.random() < 0.5:
                kinds[k] = MASKED
    return kinds


def _visitor(kind: str, there: Path, rng: Rng) -> Role:
    """Return a visitor with random incidents on the way."""
    role = Role(kind, there, has_shirt=bool(rng.random() < SHIRT))
    length_s = there.end_s - there.start_s
    if rng.random() < HAND and length_s > 4:
        start_s = there.start_s + float(rng.uniform(0.35, 0.7)) * length_s
        role = replace(role, hands=((start_s, start_s + float(rng.uniform(0.6, 1.5))),))
    if rng.random() < TURN:
        start_s = there.start_s + float(rng.uniform(0.15, 0.6)) * length_s
        degrees = float(rng.uniform(12, MAX_DEGREES) * rng.choice([-1, 1]))
        role = replace(role, turns=(Turn(start_s, start_s + float(rng.uniform(1.0, 2.5)), degrees),))
    if kind == UNMASKED and rng.random() < CHANGE:
        role = _with_change(role, rng)
    return role


def _with_change(role: Role, rng: Rng) -> Role:
    """Return the role with a mask that is put on or taken off early enough for the light to follow."""
    start_s, end_s = role.path.start_s, role.path.end_s
    if role.kind == AGITATED or end_s - start_s < 6.5:
        return role
    at_s = start_s + float(rng.uniform(0.30, 0.42)) * (end_s - start_s)
    return replace(role, kind=UNMASKED, changes_s=at_s, takes_off=bool(rng.random() < 0.5), hands=())


# ---- Where people walk -----------------------------------------------------------------------------------------------


def _at(x: float, face: float, rng: Rng) -> tuple[float, float, float]:
    """Return (x, y, face) of a person: heads of equal height are lower in the frame the nearer they are."""
    return x, 0.33 + 0.32 * face + float(rng.uniform(-0.07, 0.07)) * min(1.0, face * 5), face


def _start(rng: Rng, x: float | None = None) -> tuple[float, float, float]:
    """Return a place where a person comes into view: far away, or at a side at middle distance."""
    if x is None and rng.random() < 0.25:
        face = float(rng.uniform(0.10, 0.17))
        return _at(float(rng.choice([-0.12, 1.12])), face, rng)
    return _at(float(rng.uniform(0.25, 0.75)) if x is None else x, float(rng.uniform(0.06, 0.085)), rng)


def _exit(place: tuple[float, float, float], rng: Rng) -> tuple[float, float, float]:
    """Return a place outside the frame beside `place`."""
    x, y, face = place
    is_right = x > 0.5 if rng.random() < 0.7 else x < 0.5
    return (1.15 + 0.6 * face if is_right else -0.15 - 0.6 * face), y, face


def _visit(start_s: float, near: tuple[float, float, float], stay_until_s: float, rng: Rng, leaves: bool) -> Path:
    """Return the path of a person who comes to `near`, stands there and, if `leaves`, walks out of the frame."""
    walk_s = float(rng.uniform(1.8, 3.2))
    from_far = _start(rng)
    x, y, face = near
    still = (x + float(rng.uniform(-0.02, 0.02)), y, face * float(rng.uniform(0.97, 1.06)))
    knots = [(start_s, *from_far), (start_s + walk_s, *near), (max(stay_until_s, start_s + walk_s + 0.4), *still)]
    if leaves:
        knots.append((knots[-1][0] + float(rng.uniform(0.4, 0.9)), *_exit(still, rng)))
    return path(knots, rng)


def _alone(rng: Rng) -> tuple[list[Path], float]:
    seconds = float(rng.uniform(8.0, 9.5))
    near = _at(float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.22, 0.45)), rng)
    return [_visit(0.5, near, seconds - 1.0, rng, rng.random() < 0.5)], seconds


def _sequence(rng: Rng) -> tuple[list[Path], float]:
    """Return two or three people who arrive at different times; the first may leave."""
    count = 2 if rng.random() < 0.75 else 3
    seconds = 8.5 if count == 2 else 10.0
    places = _abreast(count, rng)
    starts = [0.3, float(rng.uniform(2.0, 3.2)), float(rng.uniform(3.4, 4.2))][:count]
    paths = []
    for k, start_s in enumerate(starts):
        leaves = k == 0 and rng.random() < 0.5
        paths.append(_visit(start_s, places[k], 5.0 if leaves else seconds, rng, leaves))
    return paths, seconds


def _side_by_side(rng: Rng) -> tuple[list[Path], float]:
    count = 2 if rng.random() < 0.7 else 3
    seconds = float(rng.uniform(7.0, 8.5))
    paths = []
    for place in _abreast(count, rng):
        leaves = rng.random() < 0.3
        paths.append(_visit(float(rng.uniform(0.2, 0.9)), place, seconds - 1.0 if leaves else seconds, rng, leaves))
    return paths, seconds


def _crowd(rng: Rng) -> tuple[list[Path], float]:
    seconds = float(rng.uniform(8.0, 9.0))
    return [_visit(float(rng.uniform(0.2, 2.0)), place, seconds, rng, False) for place in _abreast(4, rng)], seconds


def _crossing(rng: Rng) -> tuple[list[Path], float]:
    """Return two people of whom one passes in front of the other: who stands, or who also walks."""
    seconds = float(rng.uniform(8.5, 9.5))
    if rng.random() < 0.5:
        stands = _at(float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.17, 0.26)), rng)
        first = _visit(0.3, stands, seconds, rng, False)
        side = float(rng.choice([-1, 1]))
        face = stands[2] * float(rng.uniform(1.2, 1.6))
        start_s, across_s = float(rng.uniform(3.2, 4.5)), float(rng.uniform(1.3, 2.4))
        y = 0.33 + 0.32 * face + float(rng.uniform(-0.05, 0.05))
        begin = (start_s, 0.5 - side * (0.65 + 0.6 * face), y, face)
        if rng.random() < 0.5:
            end = [(start_s + across_s, 0.5 + side * (0.65 + 0.6 * face), y, face)]
        else:
            x = 0.5 + side * 0.3
            end = [(start_s + across_s, x, y, face), (seconds, x, y, face)]
        return [first, path([begin, *end], rng)], seconds
    # They change sides on the way to the door.
    side = float(rng.choice([-1, 1]))
    far, near = float(rng.uniform(0.10, 0.13)), float(rng.uniform(0.24, 0.34))
    paths = []
    for sign, size in ((side, 1.0), (-side, float(rng.uniform(0.65, 0.85)))):
        start_s, meet_s, arrive_s = float(rng.uniform(0.2, 0.8)), float(rng.uniform(2.6, 3.2)), 4.6
        x1, y1, f1 = _at(0.5 - sign * 0.28, far * size, rng)
        x2, y2, f2 = _at(0.5 + sign * 0.02, 0.5 * (far + near) * size, rng)
        x3, y3, f3 = _at(0.5 + sign * 0.24, near * size, rng)
        knots = [(start_s, x1, y1, f1), (meet_s, x2, y2, f2), (arrive_s, x3, y3, f3), (seconds, x3, y3, f3)]
        paths.append(path(knots, rng))
    return paths, seconds


def _nobody(rng: Rng) -> tuple[list[Path], float]:
    return [], float(rng.uniform(6.0, 8.0))


def _abreast(count: int, rng: Rng) -> list[tuple[float, float, float]]:
    """Return places side by side, in random order, with faces that do not hide each other."""
    centres = {1: (0.5,), 2: (0.32, 0.68), 3: (0.2, 0.5, 0.8), 4: (0.14, 0.38, 0.62, 0.86)}[count]
    low, high = {1: (0.22, 0.45), 2: (0.22, 0.36), 3: (0.17, 0.26), 4: (0.15, 0.20)}[count]
    spread = 0.04 if count < 4 else 0.015
    size = float(rng.uniform(low, high))
    places = [_at(x + float(rng.uniform(-spread, spread)), size * float(rng.uniform(0.85, 1.12)), rng) for x in centres]
    return [places[int(k)] for k in rng.permutation(count)]


def _far_walk(seconds: float, rng: Rng) -> Path:
    """Return the path of a person far behind, who walks through the frame and does not come nearer."""
    face = float(rng.uniform(0.028, 0.06))
    y = 0.34 + float(rng.uniform(-0.03, 0.05))
    a, b = (-0.06, 1.06) if rng.random() < 0.5 else (1.06, -0.06)
    start_s = float(rng.uniform(0, 0.3 * seconds))
    if rng.random() < 0.3:  # stays in view
        a, b = sorted((float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.9))))
        start_s = 0.0
    end_face = face * float(rng.uniform(0.85, 1.15))
    return path([(start_s, a, y, face), (min(start_s + float(rng.uniform(4, 8)), seconds), b, y, end_face)], rng)


_PATHS = {
    "alone": _alone,
    "sequence": _sequence,
    "side by side": _side_by_side,
    "crossing": _crossing,
    "crowd": _crowd,
    NOBODY: _nobody,
}
