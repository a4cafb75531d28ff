"""Scenes to be timed on, made of any video or pictures, and a race over them: everybody in turn, the same frames."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from edge import images
from edge.camera import PictureFiles, open_source
from edge.config import Config
from edge.door import Decision, Loop, still
from edge.errors import InputMissing
from edge.perception import Perception
from edge.policy import Verdict
from edge.records import Box, Frame

Picture = npt.NDArray[np.uint8]

#: The frames that everybody is timed on.
WIDTH, HEIGHT = 640, 480
#: So much of each kind of footage is kept, in frames; a scene plays it forwards and backwards again and again.
LONGEST = 20
#: A scene has at least so many frames: a single picture is repeated, each time with other noise.
LEAST = 16
#: No camera is free of noise: the standard deviation, in levels of 255, of what is added to every frame.
NOISE = 3.0
#: A face has to be at least this large, as a share of the frame's height, to stand for somebody at the door.
NEAR = 0.15
#: They have to be beyond doubt, too (averaged log-odds): with noise added, they are to be decided again.
SURE = 2.0
#: Before the clock starts, everybody at the door has been looked at for so long: whoever can settle has settled.
SETTLING_S = 3.0
TEN = 10


class Shot(NamedTuple):
    """A frame, (480, 640, 3) uint8 RGB, and where the only face in it is, if there is one."""

    picture: Picture
    box: Box | None


Footage = dict[str, list[Shot]]


def film(config: Config, perception: Perception, source: str) -> Footage:
    """What can be seen in a video, a picture or a folder of them: frames in a row that show nobody ("empty"), or one
    person decided as "masked" or "unmasked"; the longest row of each, up to `LONGEST`.

    Raises InputMissing where `source` is not there, and where nobody is near enough and alone in any frame.
    """
    best: Footage = {}
    row: list[Shot] = []
    was = None

    def finish() -> None:
        # Whoever comes or goes at the end of a row is noticed a little late: its last third is left out.
        sure = row[: max(1, len(row) * 2 // 3)]
        if was is not None and len(sure) > len(best.get(was, ())):
            best[was] = sure

    def enough() -> bool:
        return len(best) == 3 and all(len(shots) >= LONGEST for shots in best.values())

    loop = Loop(config, perception)
    with open_source(config.camera, source) as opened:
        pictures = isinstance(opened, PictureFiles)
        while not enough() and (frame := opened.read()) is not None:
            picture = fitted(frame.picture)
            # Pictures have nothing to do with each other: each is looked at by itself.
            decision = (
                still(config, perception, picture) if pictures else loop.step(Frame(frame.number, frame.t, picture))
            )
            kind, box = _kind(decision)
            if kind != was or pictures:
                finish()
                row, was = [], kind
            if kind is not None and len(row) < LONGEST * 3 // 2:
                row.append(Shot(picture, box))
    finish()
    if not best.keys() & {"masked", "unmasked"}:
        raise InputMissing(
            f"{source}: shows nobody alone, near and long enough to be decided", "take a video of somebody at a door"
        )
    return best


def _kind(decision: Decision) -> tuple[str | None, Box | None]:
    if not decision.tracks:
        return "empty", None
    track = decision.tracks[0]
    verdict = decision.verdicts.get(track.person, Verdict.UNKNOWN)
    alone = len(decision.tracks) == 1 and decision.t - track.seen <= 0.2
    if not alone or track.height < NEAR or verdict is Verdict.UNKNOWN or abs(track.evidence) < SURE:
        return None, None
    return verdict.value, track.box


def fitted(picture: Picture) -> Picture:
    """The middle of `picture` as 640x480."""
    height, width = picture.shape[:2]
    w, h = min(width, height * WIDTH // HEIGHT), min(height, width * HEIGHT // WIDTH)
    left, top = (width - w) // 2, (height - h) // 2
    return images.resize(np.ascontiguousarray(picture[top : top + h, left : left + w]), WIDTH, HEIGHT)


class Scene(NamedTuple):
    """Frames to be played in a circle, looked at by a door of these settings."""

    frames: list[Picture]
    config: Config


EMPTY, TEN_FACES = "empty door", "ten faces"


def one(what: str, kind: str) -> str:
    """The name of a scene with one face: "settled" (decided) or "new" (not yet), "masked" or "unmasked"."""
    return f"one {what} face, {kind}"


def scenes(footage: Footage, config: Config) -> dict[str, Callable[[], Scene]]:
    """The scenes that can be made of `footage`, by name; each is made when called for only: it is large."""
    # Nobody is decided in an hour: everybody stays as interesting as somebody who has just come.
    never = msgspec.structs.replace(config, policy=msgspec.structs.replace(config.policy, decide_s=3600.0))
    made: dict[str, Callable[[], Scene]] = {}
    if "empty" in footage:
        made[EMPTY] = partial(_played, footage["empty"], config)
    for what, settings in (("settled", config), ("new", never)):
        for kind in people(footage):
            made[one(what, kind)] = partial(_played, footage[kind], settings)
    made[TEN_FACES] = lambda: Scene(circle(_ten(footage)), config)
    return made


def people(footage: Footage) -> list[str]:
    """Of "masked" and "unmasked", those that the footage shows."""
    return [kind for kind in ("masked", "unmasked") if kind in footage]


def _played(shots: Sequence[Shot], config: Config) -> Scene:
    return Scene(circle([shot.picture for shot in shots]), config)


def circle(pictures: Sequence[Picture], seed: int = 7) -> list[Picture]:
    """`pictures` forwards and backwards, so that nothing jumps when they are played in a circle; each with noise."""
    rng = np.random.default_rng(seed)
    # Drawn once, laid over each frame at another place: quick, and never the same twice in a row.
    noise = rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64, 3)).round().astype(np.int16)
    turn = [*pictures, *pictures[-2:0:-1]]
    made = []
    for k in range(len(turn) * -(-LEAST // len(turn))):
        top, left = rng.integers(0, 64, 2)
        noisy = turn[k % len(turn)] + noise[top : top + HEIGHT, left : left + WIDTH]
        made.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return made


def _ten(footage: Footage) -> list[Picture]:
    """Ten people in two rows, cut out of the footage of one, each at another moment and every second one mirrored."""
    cast = [footage[kind] for kind in people(footage)]
    across, down = WIDTH // 5, HEIGHT // 2
    out = []
    for k in range(max(len(shots) for shots in cast)):
        canvas = np.full((HEIGHT, WIDTH, 3), images.PADDING, np.uint8)
        for place in range(TEN):
            shots = cast[place % len(cast)]
            turn = [*shots, *shots[-2:0:-1]]
            picture, box = turn[(k + 3 * place) % len(turn)]
            assert box is not None
            square = images.crop_square(picture, box, down, 2.4)
            cut = square[:, (down - across) // 2 :][:, :across]
            row, column = divmod(place, 5)
            y, x = row * down, column * across
            canvas[y : y + down, x : x + across] = cut[:, ::-1] if place % 4 >= 2 else cut
        out.append(canvas)
    return out


class Contestant:
    """Something that looks at frames, 640x480 RGB. One that remembers nothing is spared two frames of `every` three."""

    name: str
    every: int = 1

    def begin(self, scene: Scene) -> None:
        """Forget what was; get ready for `scene`, on whose first frames the clock does not run."""
        self.look(scene.frames[0])

    def look(self, picture: Picture) -> int:
        """How many faces are in the next frame."""
        raise NotImplementedError


class Door(Contestant):
    """Doorlight's whole loop, from a frame to the light it decides. `looks` counts faces looked at closely."""

    name = "Doorlight, frame to light"

    def __init__(self, perception: Perception, fps: float) -> None:
        self._perception, self._fps = perception, fps
        self.looks = 0
        self.decision: Decision | None = None

    def begin(self, scene: Scene) -> None:
        self._loop, self._number = Loop(scene.config, self._perception), 0
        for k in range(settling(self._fps)):
            self.look(scene.frames[k % len(scene.frames)])
        self.looks = 0

    def look(self, picture: Picture) -> int:
        self.decision = self._loop.step(Frame(self._number, self._number / self._fps, picture))
        self._number += 1
        self.looks += len(self.decision.faces)
        return len(self.decision.tracks)


def settling(fps: float) -> int:
    """Frames before the clock starts."""
    return round(SETTLING_S * fps)


@dataclass
class Timing:
    """Milliseconds a frame, one value a round: of the processor, and of the clock on the wall. Faces found a frame."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    found: float = 0.0

    @property
    def ms(self) -> float:
        """The processor's time: what else this machine does leaves it alone."""
        return statistics.median(self.cpu_ms)

    def figures(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            "cpu_ms": spread(self.cpu_ms),
            "wall_ms": spread(self.wall_ms),
            "faces_found": round(self.found, 2),
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and extremes, to four digits."""
    least, q1, median, q3, most = np.percentile(values, [0, 25, 50, 75, 100])
    named = {"median": median, "q1": q1, "q3": q3, "least": least, "most": most}
    return {name: float(f"{value:.4g}") for name, value in named.items()}


def race(
    contestants: Sequence[Contestant],
    scene: Scene,
    rounds: int,
    block: int,
    start: int,
    clocks: tuple[Callable[[], float], Callable[[], float]] = (time.process_time, time.perf_counter),
) -> dict[str, Timing]:
    """Time everybody on the same `block` frames a round, in turn, another one first each round; by name.

    What disturbs the one disturbs the others. `start` is the first frame that counts; `clocks` are the processor's and
    the wall's, in seconds.
    """
    cpu, wall = clocks
    timings = {c.name: Timing() for c in contestants}
    for contestant in contestants:
        contestant.begin(scene)
    for number in range(rounds):
        first = start + number * block
        turn = number % len(contestants)
        for contestant in [*contestants[turn:], *contestants[:turn]]:
            chosen = [scene.frames[(first + k) % len(scene.frames)] for k in range(0, block, contestant.every)]
            wall_from, cpu_from = wall(), cpu()
            found = 0
            for picture in chosen:
                found += contestant.look(picture)
            spent = cpu() - cpu_from, wall() - wall_from
            timing = timings[contestant.name]
            timing.cpu_ms.append(spent[0] / len(chosen) * 1e3)
            timing.wall_ms.append(spent[1] / len(chosen) * 1e3)
            timing.found += found / len(chosen) / rounds
    return timings
