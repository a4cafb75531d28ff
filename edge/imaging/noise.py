"""Tell a picture of nothing but noise from a texture that fills the picture.

Snow of an analogue receiver and a decoder's random blocks look like gravel, plaster or carpet in a single picture. They
change with every frame, and a wall does not. Therefore two frames are compared, at the finest scale that the cells have.
"""

from __future__ import annotations

import cv2
import numpy as np

from .cells import BrightnessGrid, Cells, grey_quarters

#: Rows and columns of cells to ignore at each edge: many cameras write date and name there.
MARGIN_ROWS, MARGIN_COLUMNS = 8, 2
#: Cells at this distance are unrelated in noise and in random blocks. In a scene, they are correlated by more than
#: MIN_STRUCTURE across or down.
DISTANCE, MIN_STRUCTURE = 4, 0.2
#: A picture of noise has at least this mean brightness. A darker one may be a scene at night under the noise of a high
#: gain, too strong to find the scene in two frames.
MIN_BRIGHTNESS = 60.0
#: Deviations count up to this multiple of the standard deviation, so that a text on noise is not taken for structure.
MAX_DEVIATION = 2.0
#: Side (quarters of cells) of the area whose mean is subtracted before frames are compared.
FINE = 9
#: Frames are unrelated if their correlation is not larger than this. Frames of a wall have 0.5 to 1, also in bad light;
#: frames of noise have less than 0.1, and up to 0.3 if the picture has few blocks.
MAX_CORRELATION = 0.4
#: Motion of the camera, from one frame to the next, at which a wall is still recognised: quarters down and across.
MAX_MOTION = 6, 8
#: Number of unrelated frames in a row that make noise. A video may cut from one wall to another.
MIN_CHANGES = 2
#: A frame that is later than this (seconds) is not compared with the one before it: another file of a folder.
MAX_GAP_S = 10.0


class NoiseDetector:
    """Find noise in the frames of one source.

    It keeps one reduced frame while the pictures look like noise, and nothing otherwise.
    """

    def __init__(self) -> None:
        self._earlier: BrightnessGrid | None = None
        self._t = 0.0
        self._changes = 0

    @property
    def is_undecided(self) -> bool:
        """Whether the last picture looks like noise, and the frames so far do not prove it."""
        return self._earlier is not None and self._changes < MIN_CHANGES

    def clear(self) -> None:
        """Forget the earlier frames."""
        self._earlier, self._changes = None, 0

    def update(self, picture: Cells, t: float) -> bool:
        """Return whether there is only noise in the picture at time `t` (seconds) and in the frames before it.

        A picture that is sent again proves nothing: it leaves the result as it is.
        """
        if not looks_like_noise(picture.brightness):
            self.clear()
            return False
        grey = grey_quarters(picture)
        if self._earlier is None or t - self._t > MAX_GAP_S:
            self._earlier, self._changes = grey, 0
        elif not np.array_equal(grey, self._earlier):
            self._changes = self._changes + 1 if are_unrelated(self._earlier, grey) else 0
            self._earlier = grey
        self._t = t
        return self._changes >= MIN_CHANGES


def looks_like_noise(brightness: BrightnessGrid) -> bool:
    """Return whether cells at DISTANCE are unrelated. This is also true for some textures."""
    inner = brightness[MARGIN_ROWS:-MARGIN_ROWS, MARGIN_COLUMNS:-MARGIN_COLUMNS]
    mean = cv2.mean(inner)[0]
    if mean < MIN_BRIGHTNESS:
        return False
    rest = inner - mean
    limit = MIN_STRUCTURE * float(np.vdot(rest, rest)) / rest.size
    if cv2.mean(rest[:, DISTANCE:] * rest[:, :-DISTANCE])[0] >= limit:
        return False
    return cv2.mean(rest[DISTANCE:] * rest[:-DISTANCE])[0] < limit


def are_unrelated(one: BrightnessGrid, other: BrightnessGrid) -> bool:
    """Return whether two frames, (96, 128) float32 quarters of cells, have no fine structure in common."""
    first, second = _fine_structure(one), _fine_structure(other)
    if float(np.vdot(first, second)) > MAX_CORRELATION * float(np.linalg.norm(first) * np.linalg.norm(second)):
        return False
    down, across = MAX_MOTION
    centre = np.ascontiguousarray(first[down:-down, across:-across])
    return float(cv2.matchTemplate(second, centre, cv2.TM_CCORR_NORMED).max()) <= MAX_CORRELATION


def _fine_structure(grey: BrightnessGrid) -> BrightnessGrid:
    """Return the deviations from the mean of the surroundings, limited to MAX_DEVIATION."""
    inner = grey[2 * MARGIN_ROWS : -2 * MARGIN_ROWS, 2 * MARGIN_COLUMNS : -2 * MARGIN_COLUMNS]
    rest = cv2.blur(inner - cv2.blur(inner, (FINE, FINE)), (2, 2))
    limit = MAX_DEVIATION * float(cv2.meanStdDev(rest)[1][0, 0])
    return np.clip(rest, -limit, limit)
