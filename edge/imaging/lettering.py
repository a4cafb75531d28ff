"""Write text into pictures. The size of a text is the height of its capitals, in pixels."""

from __future__ import annotations

import cv2

from .images import Picture

FONT = cv2.FONT_HERSHEY_DUPLEX
#: Height of a capital letter of FONT at scale 1, in pixels.
FONT_CAPITAL_PX = 21
#: Smaller capitals cannot be read.
MIN_CAPITAL_PX = 8.0


def text_width(text: str, capital: float) -> int:
    """Return the width of a text, in pixels."""
    return cv2.getTextSize(text, FONT, capital / FONT_CAPITAL_PX, _stroke(capital))[0][0]


def write(out: Picture, text: str, x: float, baseline: float, capital: float, colour: tuple[int, int, int]) -> None:
    """Write a text into `out`, a contiguous picture, with its left end at `x`. FONT has ASCII characters only."""
    at = (round(x), round(baseline))
    cv2.putText(out, text, at, FONT, capital / FONT_CAPITAL_PX, colour, _stroke(capital), cv2.LINE_AA)


def _stroke(capital: float) -> int:
    return max(1, round(capital / 14))
