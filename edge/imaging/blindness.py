"""Detect pictures in which nothing can be seen: covered lens, no light, no data, noise, "no signal" screen, test picture.

The door must report such a picture as a fault, and not as an empty scene. `training.evaluate_blindness` measures how
often these rules are wrong, on simulated blind pictures and on photographs.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from .cells import HEIGHT, WIDTH, BrightnessGrid, Cells, grey_quarters
from .images import Picture
from .noise import MARGIN_COLUMNS, MARGIN_ROWS, NoiseDetector

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
#: The share of the blocks in which detail does not count: a text may also be elsewhere.
TEXT_BLOCKS = 0.1
#: Share of the variance that a repeated line or column may leave. A scene leaves more, even if it is a striped wall.
REPEATED_REST = 0.1
#: Weight of the detail that a repeated line leaves: weak texture in light from one side must not count as stripes.
REST_WEIGHT = 2.0
#: A picture of which half is darker than DARK shows a lamp shining into a covered lens if the brightness changes by
#: less than this share of its range over two cells, everywhere. Scenes at dusk have edges that are sharper.
DARK, LAMP_SHARPNESS = 30.0, 0.33
#: Cells in which sharpness does not count: a bright pixel, a short text.
SHARP_CELLS = 20
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
REPEATED_LINE = Blindness("one line repeated", "check the camera's cable and power, and restart it", True)
STRIPES = Blindness("only stripes", SIGNAL, False)
LAMP = Blindness("black with a lamp in it", "is the camera covered, and does a lamp shine into it?", False)
NOISE = Blindness("only noise", SIGNAL, False)
MISSING_PART = Blindness("incomplete", "check the camera's cable, power and network, and restart it", True)
NO_DETAIL = Blindness("without any detail", "is the lens covered, fogged, dirty or far out of focus?", False)


class BlindnessDetector:
    """Find blindness in the frames of one source, which need not be blind one by one: noise is seen in several."""

    def __init__(self, min_detail: float) -> None:
        """`min_detail` is that of `find_blindness`. With 0, noise is not found."""
        self._min_detail = min_detail
        self._noise = NoiseDetector()

    def find(self, picture: Cells, t: float) -> Blindness | None:
        """Return why nothing can be seen in the picture at time `t` (seconds); None if something can."""
        found = find_blindness(picture, self._min_detail)
        if self._min_detail <= 0 or found not in (None, NO_DETAIL):
            self._noise.clear()
            return found
        # Noise may have little detail in some frames.
        is_noise = self._noise.update(picture, t)
        return NOISE if found is None and is_noise else found

    @property
    def is_undecided(self) -> bool:
        """Whether more frames could show that there is only noise."""
        return self._noise.is_undecided

    def clear(self) -> None:
        """Forget the earlier frames."""
        self._noise.clear()


def find_blindness(picture: Cells, min_detail: float) -> Blindness | None:
    """Return why nothing can be seen in the picture by itself; None if something can.

    A picture with less `detail` than `min_detail` shows nothing; 0 allows any picture that is not black, white, of
    one colour or incomplete.
    """
    extreme = _black_or_white(picture.brightness)
    if extreme is WHITE_PICTURE or (extreme is not None and max(cv2.mean(picture.colours)) <= MAX_BLACK_CHANNEL):
        return extreme
    incomplete = _incomplete(picture.colours)
    if incomplete is not None:
        return incomplete
    colour = _one_colour(picture.colours)
    if colour is not None:
        return colour
    return _without_detail(picture, min_detail) if min_detail > 0 else None


def confirmed(found: Blindness | None, has_face: bool) -> Blindness | None:
    """Return `found`, a result of `find_blindness`; None if it is not certain and a face in the picture refutes it."""
    return None if found is not None and has_face and not found.is_certain else found


def clips_noise(brightness: BrightnessGrid) -> bool:
    """Return whether the picture is so dark or bright that a working sensor shows no noise."""
    return _black_or_white(brightness) is not None


def detail(picture: Cells) -> float:
    """Return the visible detail: the larger of coarse detail and weighted fine detail, at medium brightness.

    Noise and light that changes smoothly across the picture give less than 2, a sharp photograph 5 to 40. Detail that
    repeats along the whole picture does not count, and a lamp that shines into a covered lens has none.
    """
    if _is_lamp(picture.brightness):
        return 0.0
    grey = grey_quarters(picture)
    axis = _repeated_axis(picture.brightness)
    found = max(coarse_detail(picture.brightness), FINE_WEIGHT * fine_detail(grey))
    if axis is not None:
        rest, fine_rest = _without_lines(picture.brightness, axis), _without_lines(grey, axis)
        found = min(found, REST_WEIGHT * max(coarse_detail(rest), FINE_WEIGHT * fine_detail(fine_rest)))
    return found / _light(picture.brightness)


def _without_detail(picture: Cells, min_detail: float) -> Blindness | None:
    """Return why the picture has less `detail` than `min_detail`; None if it has as much."""
    brightness = picture.brightness
    limit = min_detail * _light(brightness)
    # Fine detail takes five times as long to measure, and most pictures have enough coarse detail.
    if coarse_detail(brightness) < limit and FINE_WEIGHT * fine_detail(grey_quarters(picture)) < limit:
        return NO_DETAIL
    if _is_lamp(brightness):
        return LAMP
    axis = _repeated_axis(brightness)
    if axis is None or coarse_detail(_without_lines(brightness, axis)) >= limit / REST_WEIGHT:
        return None
    fine_rest = fine_detail(_without_lines(grey_quarters(picture), axis))
    return STRIPES if FINE_WEIGHT * fine_rest < limit / REST_WEIGHT else None


def _is_lamp(brightness: BrightnessGrid) -> bool:
    """Return whether the picture is a blurred spot of light on black: a lamp that shines into a covered lens."""
    is_dark = 2 * np.count_nonzero(brightness <= DARK) > brightness.size
    return is_dark and sharpness(brightness) < LAMP_SHARPNESS


def sharpness(brightness: BrightnessGrid) -> float:
    """Return the largest change of brightness over two cells as a share of the range, without SHARP_CELLS."""
    smooth = cv2.blur(brightness[MARGIN_ROWS:-MARGIN_ROWS], (2, 2))
    steps = (cv2.absdiff(smooth[:, 2:], smooth[:, :-2]).ravel(), cv2.absdiff(smooth[2:], smooth[:-2]).ravel())
    low, high = np.partition(smooth, (4, smooth.size - 5), axis=None)[[4, -5]]
    step = np.partition(np.concatenate(steps), -SHARP_CELLS)[-SHARP_CELLS]
    return float(step) / max(float(high - low), 1.0)


def _repeated_axis(brightness: BrightnessGrid) -> int | None:
    """Return 0 if nearly all rows are equal, 1 if nearly all columns are, else None."""
    limit = (1 - REPEATED_REST) * _variance(brightness)
    for axis in (0, 1):
        # The variance of the mean line is the part that it explains.
        if _variance(cv2.reduce(brightness, axis, cv2.REDUCE_AVG)) > limit:
            return axis
    return None


def _variance(values: cv2.typing.MatLike) -> float:
    return float(cv2.meanStdDev(values)[1][0, 0]) ** 2


def _without_lines(values: BrightnessGrid, axis: int) -> BrightnessGrid:
    """Return what remains of `values` without the mean along `axis`, that is without a repeated line."""
    return cast(BrightnessGrid, values - cv2.reduce(values, axis, cv2.REDUCE_AVG))


def _light(brightness: BrightnessGrid) -> float:
    """Return the weight of the light: 1 at medium brightness, less in the dark, where detail has less contrast."""
    return 0.5 + float(cv2.mean(brightness)[0]) / (2 * MEDIUM_BRIGHTNESS)


def coarse_detail(brightness: BrightnessGrid) -> float:
    """Return the contrast (standard deviation) of shapes of 3 to 9 cells, in the block that exceeds 90 % of them."""
    band = cv2.blur(brightness, (3, 3)) - cv2.blur(brightness, (9, 9))
    return float(np.sqrt(_upper_block(cv2.multiply(band, band), BLOCK)))


def fine_detail(grey: BrightnessGrid) -> float:
    """Return the contrast of shapes of about a cell in (96, 128) quarters of cells, without noise, in the same block.

    It is the root of the covariance of neighbours, which is negative for stripes. Noise is independent from pixel to
    pixel, so it adds little to that.
    """
    rest = grey - cv2.GaussianBlur(grey, (0, 0), 2.0)
    across, down = rest[:, 1:] * rest[:, :-1], rest[1:] * rest[:-1]
    return float(np.sqrt(max(_upper_block(across, 2 * BLOCK), _upper_block(down, 2 * BLOCK))))


def _upper_block(values: cv2.typing.MatLike, side: int) -> float:
    """Return the largest absolute mean of `values` in blocks of `side` x `side`, without a share of TEXT_BLOCKS."""
    rows, columns = MARGIN_ROWS * side // BLOCK, MARGIN_COLUMNS * side // BLOCK
    inner = values[rows : values.shape[0] - rows, columns : values.shape[1] - columns]
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


def _incomplete(colours: Picture) -> Blindness | None:
    """Return a finding if a large part of the picture, from one edge on, is one colour or one line repeated."""
    return _copies(colours) or _copies(colours.transpose(1, 0, 2))


def _copies(lines: Picture) -> Blindness | None:
    """Return a finding if the first or the last lines of a picture, or all, are copies of each other."""
    inner = int(MISSING * len(lines)) - 1
    # A cheap test that most pictures fail.
    if all(int(cv2.absdiff(lines[k], lines[n]).max()) > COPY_LEVELS for k, n in ((0, inner), (-1, -1 - inner))):
        return None
    changes = cv2.absdiff(lines[1:], lines[:-1]).reshape(len(lines) - 1, -1).max(axis=1) > COPY_LEVELS
    if not changes.any():
        return REPEATED_LINE if _varies(lines[-1]) else None
    first, last = int(changes.argmax()), int(changes[::-1].argmax())
    copies = max(first, last)
    if copies < inner or abs(first - last) <= 1:  # equal bars on both sides: a film of another shape
        return None
    if first > last:
        lines = lines[::-1]
    if _varies(lines[-1]):
        return MISSING_PART  # the last line that was received, repeated
    fill = lines[-1].astype(np.int16)
    beyond = lines[max(len(lines) - 1 - copies - BORDER_LINES, 0)]
    return MISSING_PART if np.mean(np.abs(fill - beyond).max(axis=1) >= BORDER_STEP) >= 0.5 else None


def _varies(line: Picture) -> bool:
    """Return whether a line of cells is more than one colour."""
    return int((line.max(axis=0).astype(np.int16) - line.min(axis=0)).max()) > BORDER_STEP
