"""Detect pictures in which nothing can be seen: covered lens, no light, decoder without data, "no signal" screen.

The door must report such a picture as a fault, and not as an empty scene. `training.evaluate_blindness` measures how
often these rules are wrong, on simulated blind pictures and on photographs.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .cells import HEIGHT, WIDTH, BrightnessGrid, Cells
from .images import Picture

#: A picture is black or white if nearly all blocks are darker than BLACK or brighter than WHITE, and differ by less
#: than MIN_CONTRAST levels.
BLACK, WHITE, MIN_CONTRAST = 20.0, 240.0, 8.0
#: No channel of a black picture is brighter than this on average: a dark blue screen has the brightness of black.
MAX_BLACK_CHANNEL = 40
#: Cells along each side of a block, over which noise averages out.
BLOCK = 4
#: Blocks to ignore at each end of the brightness range: a status lamp may shine into a covered lens.
OUTLIERS = 2
#: A cell has the picture's colour if no channel differs from the median by more than this. A camera has more noise.
SAME_COLOUR = 1
#: Share of cells with the same colour in a picture of one colour, and in a screen with a text. White does not count as
#: a screen: people stand in front of bright windows.
ONE_COLOUR, TEXT_SCREEN = 0.98, 0.82
#: A part of the picture is missing if at least this share of its rows or columns, from one edge on, are copies of each
#: other. Rows are copies if no cell differs by more than COPY_LEVELS.
MISSING, COPY_LEVELS = 0.3, 1
#: An area of one colour may also be a shadow, a window, or the background of a portrait. It is missing if at least half
#: of its border is a step of BORDER_STEP levels. BORDER_LINES at the border are a mixture, because of the blocks of
#: JPEG.
BORDER_STEP, BORDER_LINES = 12, 4
#: A colour whose channels differ by less than this is grey. The names of the others, by hue in steps of 60 degrees.
MIN_CHROMA = 40
HUES = ("red", "yellow", "green", "turquoise", "blue", "pink")
#: Cells to ignore around the picture when looking for detail, and the share of the blocks in which detail does not
#: count: some cameras write date and name into the picture.
MARGIN, TEXT_BLOCKS = 2, 0.1
#: Weight of fine detail (about a cell) relative to coarse detail. The noise of a compressed video is mostly fine.
FINE_WEIGHT = 0.6
#: The mean brightness of a picture in good light.
MEDIUM_BRIGHTNESS = 100.0


class Blindness(NamedTuple):
    """Why nothing can be seen in a picture.

    `reason` completes the sentence "the picture is …", `fix` is what to do. If `is_certain` is False, a face in the
    picture proves that the door is not blind.
    """

    reason: str
    fix: str
    is_certain: bool

    @property
    def sentence(self) -> str:
        """Return the finding as a sentence, for example "the picture is black"."""
        return f"the picture is {self.reason}"


COVERED = "is the camera covered, is there light?"
SIGNAL = "is the lens covered? If not, check the camera's cable and power, and restart it"
BLACK_PICTURE = Blindness("black", COVERED, True)
WHITE_PICTURE = Blindness("white", COVERED, True)
MISSING_PART = Blindness("incomplete", "check the camera's cable, power and network, and restart it", True)
NO_DETAIL = Blindness("without any detail", "is the lens covered, fogged, dirty or far out of focus?", False)


def find_blindness(picture: Cells, min_detail: float) -> Blindness | None:
    """Return why nothing can be seen in the picture; None if something can.

    A picture with less `detail` than `min_detail` shows nothing; 0 allows any picture that is not black, white, of
    one colour or incomplete.
    """
    extreme = _black_or_white(picture.brightness)
    if extreme is WHITE_PICTURE or (extreme is not None and max(cv2.mean(picture.colours)) <= MAX_BLACK_CHANNEL):
        return extreme
    if _is_incomplete(picture.colours):
        return MISSING_PART
    colour = _one_colour(picture.colours)
    if colour is not None:
        return colour
    if min_detail > 0 and _lacks_detail(picture, min_detail):
        return NO_DETAIL
    return None


def confirmed(found: Blindness | None, has_face: bool) -> Blindness | None:
    """Return `found`, a result of `find_blindness`; None if it is not certain and a face in the picture refutes it."""
    return None if found is not None and has_face and not found.is_certain else found


def clips_noise(brightness: BrightnessGrid) -> bool:
    """Return whether the picture is so dark or bright that a working sensor shows no noise."""
    return _black_or_white(brightness) is not None


def detail(picture: Cells) -> float:
    """Return the visible detail: the larger of coarse detail and weighted fine detail, at medium brightness.

    Noise and light that changes smoothly across the picture give less than 2, a sharp photograph 5 to 40.
    """
    found = max(coarse_detail(picture.brightness), FINE_WEIGHT * fine_detail(picture.quarters))
    return found / _light(picture.brightness)


def _lacks_detail(picture: Cells, min_detail: float) -> bool:
    """Return whether the picture has less `detail` than `min_detail`."""
    limit = min_detail * _light(picture.brightness)
    # Fine detail takes five times as long to measure, and most pictures have enough coarse detail.
    return coarse_detail(picture.brightness) < limit and FINE_WEIGHT * fine_detail(picture.quarters) < limit


def _light(brightness: BrightnessGrid) -> float:
    """Return the weight of the light: 1 at medium brightness, less in the dark, where detail has less contrast."""
    return 0.5 + float(cv2.mean(brightness)[0]) / (2 * MEDIUM_BRIGHTNESS)


def coarse_detail(brightness: BrightnessGrid) -> float:
    """Return the contrast (standard deviation) of shapes of 3 to 9 cells, in the block that exceeds 90 % of them."""
    band = cv2.blur(brightness, (3, 3)) - cv2.blur(brightness, (9, 9))
    return float(np.sqrt(_upper_block(cv2.multiply(band, band), BLOCK)))


def fine_detail(quarters: Picture) -> float:
    """Return the contrast of shapes of about a cell in `Cells.quarters`, without noise, in the same block.

    It is the root of the covariance of neighbours, which is negative for stripes. Noise is independent from pixel to
    pixel, so it adds little to that.
    """
    grey = cv2.cvtColor(quarters, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rest = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
    across, down = rest[:, 1:] * rest[:, :-1], rest[1:] * rest[:-1]
    return float(np.sqrt(max(_upper_block(across, 2 * BLOCK), _upper_block(down, 2 * BLOCK))))


def _upper_block(values: cv2.typing.MatLike, side: int) -> float:
    """Return the largest absolute mean of `values` in blocks of `side` x `side`, without a share of TEXT_BLOCKS."""
    margin = MARGIN * side // BLOCK
    inner = values[margin : values.shape[0] - margin, margin : values.shape[1] - margin]
    height, width = inner.shape
    blocks = np.abs(cv2.resize(inner, (width // side, height // side), interpolation=cv2.INTER_AREA)).ravel()
    rank = int((1 - TEXT_BLOCKS) * (blocks.size - 1))
    return float(np.partition(blocks, rank)[rank])


def _black_or_white(brightness: BrightnessGrid) -> Blindness | None:
    shape = (WIDTH // BLOCK, HEIGHT // BLOCK)
    blocks = np.sort(cv2.resize(brightness, shape, interpolation=cv2.INTER_AREA), axis=None)
    low, high = float(blocks[OUTLIERS]), float(blocks[-1 - OUTLIERS])
    if high - low >= MIN_CONTRAST:
        return None
    if high <= BLACK:
        return BLACK_PICTURE
    if low >= WHITE:
        return WHITE_PICTURE
    return None


def _one_colour(colours: Picture) -> Blindness | None:
    """Return a finding if all cells have one colour, or all except a text."""
    some = np.ascontiguousarray(colours[::2, ::2]).reshape(-1, 3)  # every fourth cell: a text is larger
    middle = len(some) // 2
    median = np.partition(some, middle, axis=0)[middle]
    deviation = np.abs(some.astype(np.int16) - median)
    share = np.count_nonzero(cv2.reduce(deviation, 1, cv2.REDUCE_MAX) <= SAME_COLOUR) / len(some)
    if share >= ONE_COLOUR or (share >= TEXT_SCREEN and median.min() < WHITE):
        return Blindness(f"one colour ({_name(median)})", SIGNAL, share >= ONE_COLOUR)
    return None


def _name(colour: npt.NDArray[np.uint8]) -> str:
    """Return the name of an RGB colour."""
    low, high = float(colour.min()), float(colour.max())
    if high - low < MIN_CHROMA:
        return "black" if high <= BLACK else "white" if low >= WHITE else "grey"
    hue = cv2.cvtColor(colour.reshape(1, 1, 3), cv2.COLOR_RGB2HSV)[0, 0, 0]  # 0..179
    return HUES[round(float(hue) / 30) % len(HUES)]


def _is_incomplete(colours: Picture) -> bool:
    """Return whether a large part of the picture, from one edge on, is one colour or one line repeated."""
    return _ends_in_copies(colours) or _ends_in_copies(colours.transpose(1, 0, 2))


def _ends_in_copies(lines: Picture) -> bool:
    """Return whether the first or the last lines of a picture are copies of each other."""
    inner = int(MISSING * len(lines)) - 1
    # A cheap test that most pictures fail.
    if all(int(cv2.absdiff(lines[k], lines[n]).max()) > COPY_LEVELS for k, n in ((0, inner), (-1, -1 - inner))):
        return False
    changes = cv2.absdiff(lines[1:], lines[:-1]).reshape(len(lines) - 1, -1).max(axis=1) > COPY_LEVELS
    if not changes.any():
        return False
    first, last = int(changes.argmax()), int(changes[::-1].argmax())
    copies = max(first, last)
    if copies < inner or abs(first - last) <= 1:  # equal bars on both sides: a film of another shape
        return False
    if first > last:
        lines = lines[::-1]
    fill = lines[-1].astype(np.int16)
    if (fill.max(axis=0) - fill.min(axis=0)).max() > BORDER_STEP:
        return True  # the last line that was received, repeated
    beyond = lines[max(len(lines) - 1 - copies - BORDER_LINES, 0)]
    return bool(np.mean(np.abs(fill - beyond).max(axis=1) >= BORDER_STEP) >= 0.5)
