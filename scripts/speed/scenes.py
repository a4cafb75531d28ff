"""Make the frames of a comparison from a video, a picture or a folder of pictures.

`collect_footage` finds frames of an empty door, of one masked and of one unmasked person. `scenes` makes scenes of
them: an empty door, one settled face, one new face, ten faces. A scene is played in a loop, and has the noise of a
camera. All frames are (480, 640, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from edge.camera.factory import open_source
from edge.camera.folder import Folder
from edge.camera.picture_files import PictureFile
from edge.config import Config
from edge.errors import InputError
from edge.imaging import images
from edge.imaging.images import Picture
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline, decide_image
from edge.policy import Verdict
from edge.records import Box, Frame

#: The size of all frames.
WIDTH, HEIGHT = 640, 480
#: The largest number of frames of each kind. A scene plays them forwards and backwards.
MAX_SHOTS = 20
#: The smallest number of frames of a scene. A single picture is repeated, each time with other noise.
MIN_FRAMES = 16
#: The standard deviation of the noise, in levels of 255. Every camera has noise.
NOISE_LEVELS = 3.0
#: The noise is drawn once, and laid over each frame at another place within this many pixels.
NOISE_SHIFT_PX = 64
#: The smallest height of a face at the door, as a share of the frame's height.
MIN_FACE_HEIGHT = 0.15
#: The smallest evidence (averaged log-odds) for a verdict. Noise is added later, and must not change the verdict.
MIN_EVIDENCE = 2.0
#: A person is alone and present if their track was seen within this time.
SEEN_WITHIN_S = 0.2
#: A policy with this `min_decide_s` never decides, so that every person stays new.
NEVER_DECIDE_S = 3600.0
TEN = 10
#: Side of a person's place in the picture of ten, in units of the face box's longer side.
PERSON_MARGIN = 2.4

EMPTY, TEN_FACES = "empty door", "ten faces"

_T = TypeVar("_T")


class Shot(NamedTuple):
    """A frame, and the box of its only face; None without a face."""

    picture: Picture
    box: Box | None


#: Shots by kind: "empty", "masked" or "unmasked".
Footage = dict[str, list[Shot]]


class Scene(NamedTuple):
    """Frames that are played in a loop, for a door with these settings."""

    frames: list[Picture]
    config: Config


# ---- Footage ---------------------------------------------------------------------------------------------------------


def collect_footage(config: Config, perception: Perception, source: str) -> Footage:
    """Return the longest sequence of each kind in a source, at most MAX_SHOTS frames.

    The kinds are "empty" (nobody), and "masked" and "unmasked" (one person with that verdict).
    Raises InputError if `source` does not exist, or if no frame shows a person who is alone and near enough.
    """
    footage: Footage = {}
    with closing(_sequences(config, perception, source)) as sequences:
        for kind, shots in sequences:
            # The door notices late that a person comes or goes: the last third is left out.
            kept = shots[: max(1, len(shots) * 2 // 3)]
            if len(kept) > len(footage.get(kind, ())):
                footage[kind] = kept
            if len(footage) == 3 and all(len(shots) >= MAX_SHOTS for shots in footage.values()):
                break
    if not footage.keys() & {"masked", "unmasked"}:
        raise InputError(
            f"{source}: shows no person who is alone, near and long enough for a verdict",
            "record a video of one person at a door",
        )
    return footage


def _sequences(config: Config, perception: Perception, source: str) -> Generator[tuple[str, list[Shot]], None, None]:
    """Yield (kind, consecutive shots of that kind). Each picture of a folder is a sequence of its own."""
    shots: list[Shot] = []
    last_kind = None
    pipeline = Pipeline(config, perception)
    with open_source(msgspec.structs.replace(config.camera, picture_s=0), source) as opened:
        is_pictures = isinstance(opened, PictureFile | Folder)
        while (frame := opened.read()) is not None:
            picture = crop_to_frame(frame.picture)
            if is_pictures:
                decision = decide_image(config, perception, picture)
            else:
                decision = pipeline.step(Frame(frame.number, frame.t, picture))
            kind, box = _kind(decision)
            if kind != last_kind or is_pictures:
                if last_kind is not None:
                    yield last_kind, shots
                shots, last_kind = [], kind
            if kind is not None and len(shots) < MAX_SHOTS * 3 // 2:
                shots.append(Shot(picture, box))
    if last_kind is not None:
        yield last_kind, shots


def _kind(decision: Decision) -> tuple[str | None, Box | None]:
    """Return the kind of a frame, and the box of its face; None if the frame is of no use."""
    if not decision.tracks:
        return "empty", None
    track = decision.tracks[0]
    verdict = decision.verdict(track.number)
    is_alone = len(decision.tracks) == 1 and decision.t - track.last_seen <= SEEN_WITHIN_S
    is_sure = verdict is not Verdict.UNKNOWN and abs(track.evidence) >= MIN_EVIDENCE
    if is_alone and is_sure and track.height >= MIN_FACE_HEIGHT:
        return verdict.value, track.box
    return None, None


def crop_to_frame(picture: Picture) -> Picture:
    """Return the centre of `picture`, (H, W, 3) uint8 RGB, as (480, 640, 3)."""
    height, width = picture.shape[:2]
    w, h = min(width, height * WIDTH // HEIGHT), min(height, width * HEIGHT // WIDTH)
    left, top = (width - w) // 2, (height - h) // 2
    return images.resize(np.ascontiguousarray(picture[top : top + h, left : left + w]), WIDTH, HEIGHT)


# ---- Scenes ----------------------------------------------------------------------------------------------------------


def one_face(state: str, kind: str) -> str:
    """Return the name of a scene with one face: "settled" (with a verdict) or "new", "masked" or "unmasked"."""
    return f"one {state} face, {kind}"


def scenes(footage: Footage, config: Config) -> dict[str, Callable[[], Scene]]:
    """Return functions that make the scenes of `footage`, by name. A scene is large: make one at a time."""
    never_decide = msgspec.structs.replace(
        config, policy=msgspec.structs.replace(config.policy, min_decide_s=NEVER_DECIDE_S)
    )
    makers: dict[str, Callable[[], Scene]] = {}
    if "empty" in footage:
        makers[EMPTY] = partial(_scene, footage["empty"], config)
    for state, settings in (("settled", config), ("new", never_decide)):
        for kind in _people(footage):
            makers[one_face(state, kind)] = partial(_scene, footage[kind], settings)
    makers[TEN_FACES] = lambda: Scene(with_noise(_ten_people(footage)), config)
    return makers


def _people(footage: Footage) -> list[str]:
    return [kind for kind in ("masked", "unmasked") if kind in footage]


def _scene(shots: Sequence[Shot], config: Config) -> Scene:
    return Scene(with_noise([shot.picture for shot in shots]), config)


def with_noise(pictures: Sequence[Picture], seed: int = 7) -> list[Picture]:
    """Return `pictures` forwards and backwards, each with noise, so that a loop over them has no jump."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, NOISE_LEVELS, (HEIGHT + NOISE_SHIFT_PX, WIDTH + NOISE_SHIFT_PX, 3)).round().astype(np.int16)
    cycle = _forwards_and_backwards(pictures)
    frames = []
    for k in range(len(cycle) * -(-MIN_FRAMES // len(cycle))):
        top, left = rng.integers(0, NOISE_SHIFT_PX, 2)
        noisy = cycle[k % len(cycle)] + noise[top : top + HEIGHT, left : left + WIDTH]
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames


def _forwards_and_backwards(items: Sequence[_T]) -> list[_T]:
    return [*items, *items[-2:0:-1]]


def _ten_people(footage: Footage) -> list[Picture]:
    """Return pictures of ten people in two rows, cut out of footage of one person.

    Each is shown at another moment, and every second pair is mirrored.
    """
    cast = [footage[kind] for kind in _people(footage)]
    width, height = WIDTH // 5, HEIGHT // 2
    pictures = []
    for k in range(max(len(shots) for shots in cast)):
        canvas = np.full((HEIGHT, WIDTH, 3), images.PADDING, np.uint8)
        for place in range(TEN):
            shots = _forwards_and_backwards(cast[place % len(cast)])
            picture, box = shots[(k + 3 * place) % len(shots)]
            assert box is not None
            square = images.crop_square(picture, box, height, PERSON_MARGIN)
            person = square[:, (height - width) // 2 :][:, :width]
            row, column = divmod(place, 5)
            y, x = row * height, column * width
            canvas[y : y + height, x : x + width] = person[:, ::-1] if place % 4 >= 2 else person
        pictures.append(canvas)
    return pictures
