"""Brightness, backlight and focus of a camera picture, with advice on how to improve them.

The limits are levels of luma, 0 to 255, of the picture reduced to 320 pixels of width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .finding import Finding, Severity

if TYPE_CHECKING:
    from ..imaging.blindness import Blindness
    from ..imaging.images import Picture

#: The mean luma of a dark picture.
DARK = 45
#: Pixels from OVEREXPOSED on count as overexposed. Backlight: more than BACKLIT_SHARE of them, and a median below
#: BACKLIT_MEDIAN. Too bright: more than TOO_BRIGHT_SHARE of them.
OVEREXPOSED, BACKLIT_SHARE, BACKLIT_MEDIAN, TOO_BRIGHT_SHARE = 250, 0.15, 90, 0.3
#: Blurred if `sharpness` is below BLURRED; with less contrast (standard deviation) than this, it cannot be determined.
BLURRED, MIN_CONTRAST = 4, 12


class Measures(NamedTuple):
    mean: float
    median: float
    overexposed: float  # share of the pixels
    contrast: float
    sharpness: float


def assess_picture(picture: Picture, blindness: Blindness | None = None, faces: str = "") -> Finding:
    """Return a finding about light and focus of `picture`, (H, W, 3) uint8 RGB.

    With `blindness`, the finding is bad and has the words of `doorlight run`. `faces` is appended to the message.
    """
    height, width = picture.shape[:2]
    measures = measure(picture)
    figures = [f"brightness {measures.mean:.0f} of 255", f"{measures.overexposed:.0%} overexposed"]
    figures += [f"sharpness {measures.sharpness:.1f}", *filter(None, [faces])]
    if blindness is not None:
        return Finding("bad", f"{blindness.sentence} ({width}x{height}, {', '.join(figures)})", blindness.fix)
    severity, result, fix = judge(measures)
    return Finding(severity, f"a picture of {width}x{height}: {result} ({', '.join(figures)})", fix)


def measure(picture: Picture) -> Measures:
    """Return the measures of `picture`, (H, W, 3) uint8 RGB.

    Sharpness is the variance of the Laplacian divided by the variance of the picture, in thousandths. The picture is
    smoothed slightly before, because noise is not sharpness. Sharp photographs have 10 to 55; photographs with motion
    blur, or blurred by more than 1/150 of their width, have 0.5 to 4.
    """
    import cv2
    import numpy as np

    height, width = picture.shape[:2]
    small = cv2.resize(picture, (320, max(1, round(320 * height / width))), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    contrast = float(luma.std())
    edges = cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.CV_32F)
    return Measures(
        mean=float(luma.mean()),
        median=float(np.median(luma)),
        overexposed=float((luma >= OVEREXPOSED).mean()),
        contrast=contrast,
        sharpness=1000 * float(edges.var()) / max(contrast**2, 1.0),
    )


def judge(measures: Measures) -> tuple[Severity, str, str]:
    """Return severity, result and fix; the first problem counts."""
    if measures.overexposed > BACKLIT_SHARE and measures.median < BACKLIT_MEDIAN:
        fix = 'turn the camera away from the window; or in [camera] metering = "spot", exposure_stops = 1.0 (Pi camera)'
        return "note", "bright light behind the people", fix
    if measures.overexposed > TOO_BRIGHT_SHARE:
        return "note", "too bright", "shade the lens; or in [camera] exposure_stops = -1.0 (Pi camera)"
    if measures.mean < DARK:
        return "note", "dark", "put a lamp at the door; or in [camera] exposure_stops = 1.0 (Pi camera)"
    if measures.contrast > MIN_CONTRAST and measures.sharpness < BLURRED:
        fix = "remove the protective film, clean the lens, turn its focus ring; repeat while nothing moves"
        return "note", "blurred (or nothing in view has edges)", fix
    return "ok", "bright and sharp enough", ""
