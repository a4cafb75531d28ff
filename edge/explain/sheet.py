"""Draw explanations: a face, the heat map beside it, and the words, for each person.

Blue speaks against the answer, orange for it: the two differ for colour-blind people too. The map lies on a grey copy of
the face, so that no colour of the picture is taken for a colour of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..imaging import images
from ..imaging.images import Picture
from ..imaging.lettering import text_width, write
from ..records import Box
from .explanation import Explanation
from .methods import Method
from .people import Person

Floats = npt.NDArray[np.float32]
#: RGB, 0..255.
Colour = tuple[int, int, int]

AGAINST: Colour = (0, 92, 185)
FOR: Colour = (230, 97, 1)
PAPER: Colour = (250, 250, 248)
INK: Colour = (28, 30, 34)
SOFT: Colour = (96, 100, 108)
RULE: Colour = (206, 208, 212)

TILE_PX, GAP_PX = 288, 16
PANEL_WIDTH_PX = 2 * TILE_PX + 3 * GAP_PX
#: Heights of capitals, and of a line of the text.
TITLE_PX, TEXT_PX, SMALL_PX, LINE_PX = 14.0, 11.0, 9.0, 24
#: Height of the colours with their meaning.
LEGEND_PX = 44
#: Share of the colour where the map is strongest.
OPACITY = 0.8
#: A map whose values all stay below this, in log-odds, is pale: its differences are noise.
MIN_SCALE = 0.25
#: Largest size of the picture with everyone's number.
OVERVIEW_HEIGHT_PX = 420
METHOD_NAMES = {Method.RISE: "RISE", Method.LIME: "LIME", Method.OCCLUSION: "occlusion"}


def scale_of(explanation: Explanation) -> float:
    """Return the log-odds at which the colours of a map are strongest."""
    return max(MIN_SCALE, float(np.abs(explanation.heat).max()))


def face_tile(explanation: Explanation, picture: Picture, size: int = TILE_PX) -> Picture:
    """Return the square of `picture` that was explained, (size, size, 3) uint8 RGB."""
    return images.crop_square(picture, explanation.window, size, 1.0)


def heat_tile(explanation: Explanation, picture: Picture, size: int = TILE_PX) -> Picture:
    """Return the same square in grey with the heat map on it, (size, size, 3) uint8 RGB."""
    grey = images.grey(face_tile(explanation, picture, size)).astype(np.float32)
    large = cv2.resize(explanation.heat / scale_of(explanation), (size, size), interpolation=cv2.INTER_LINEAR)
    share = np.clip(np.asarray(large, np.float32), -1, 1)[:, :, np.newaxis]
    return _coloured(np.repeat(0.8 * grey + 40, 3, 2), share)


def _coloured(ground: Floats, share: Floats) -> Picture:
    """Return `ground` (H, W, 3), 0..255, with the colours of `share` (H, W, 1), -1..1, over it."""
    opacity = OPACITY * np.abs(share)
    colour = np.where(share > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    return np.ascontiguousarray((ground * (1 - opacity) + colour * opacity).round().clip(0, 255), np.uint8)


def draw(picture: Picture, faces: Sequence[Box], people: Sequence[Person]) -> Picture:
    """Return a sheet, (H, W, 3) uint8 RGB, with a panel for each of `people`, of which one has an explanation.

    `faces` are the boxes of everyone in `picture`: if there are several, it stands above with their numbers.
    """
    panels = [panel(person, picture, len(faces)) for person in people]
    columns = min(len(panels), max(1, round(math.sqrt(len(panels) / 1.4))), 3)
    rows = [panels[k : k + columns] for k in range(0, len(panels), columns)]
    width = columns * PANEL_WIDTH_PX
    parts = [_overview(picture, faces, width)] if len(faces) > 1 else []
    for row in rows:
        height = max(one.shape[0] for one in row)
        line = _paper(height, width)
        for k, one in enumerate(row):
            line[: one.shape[0], k * PANEL_WIDTH_PX : (k + 1) * PANEL_WIDTH_PX] = one
        parts.append(line)
    return np.concatenate(parts)


def panel(person: Person, picture: Picture, count: int = 1) -> Picture:
    """Return what is known of one person: face, heat map, legend and words. `count` is the number of faces."""
    explanation = person.explanation
    name = f"Person {person.number}: " if count > 1 else ""
    if explanation is None:
        out = _paper(2 * LINE_PX + GAP_PX, PANEL_WIDTH_PX)
        _fit(out, f"Person {person.number} {person.reason}", GAP_PX + TITLE_PX, TEXT_PX, INK)
        return out
    lines = explanation.sentences
    head = 2 * LINE_PX + GAP_PX
    out = _paper(head + TILE_PX + LEGEND_PX + len(lines) * LINE_PX + GAP_PX // 2, PANEL_WIDTH_PX)
    _fit(out, name + explanation.verdict, GAP_PX + TITLE_PX, TITLE_PX, INK)
    _fit(out, score_line(explanation), GAP_PX + TITLE_PX + LINE_PX, SMALL_PX, SOFT)
    below = head + TILE_PX
    out[head:below, GAP_PX : GAP_PX + TILE_PX] = _boxed(face_tile(explanation, picture), explanation)
    right = 2 * GAP_PX + TILE_PX
    out[head:below, right : right + TILE_PX] = heat_tile(explanation, picture)
    _draw_legend(out[below : below + LEGEND_PX], explanation)
    for k, line in enumerate(lines):
        _fit(out, line[:1].upper() + line[1:], below + LEGEND_PX + (k + 0.7) * LINE_PX, TEXT_PX, INK)
    return out


def score_line(explanation: Explanation) -> str:
    """Return the score and what it means: "score -7.1 (log-odds of a mask; 0 is undecided), RISE"."""
    bound = ", or stronger: the model's 8 bits end here" if explanation.is_bounded else ""
    method = METHOD_NAMES[explanation.method]
    return f"score {explanation.log_odds:+.1f} (log-odds of {explanation.answer}{bound}). Map: {method}"


def _boxed(tile: Picture, explanation: Explanation) -> Picture:
    """Return `tile` with the face's box."""
    x, y, scale = explanation.window.x1, explanation.window.y1, len(tile) / explanation.window.width
    x1, y1, x2, y2 = (round((v - d) * scale) for v, d in zip(explanation.face, (x, y, x, y), strict=True))
    out = tile.copy()
    cv2.rectangle(out, (x1, y1), (x2, y2), (255, 255, 255), 1, cv2.LINE_AA)
    return out


def _draw_legend(out: Picture, explanation: Explanation) -> None:
    """Draw the colours and what they mean below the tiles; `out` is a part of a panel, (LEGEND_PX, W, 3)."""
    left, width, top, height = 2 * GAP_PX + TILE_PX, TILE_PX, GAP_PX // 2, 12
    share = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None].repeat(height, 0)
    out[top : top + height, left : left + width] = _coloured(np.full((height, width, 3), 160, np.float32), share)
    scale = scale_of(explanation)
    baseline = top + height + 6 + SMALL_PX
    against, of = f"{-scale:+.1f} against", f"for {explanation.answer} {scale:+.1f}"
    write(out, against, left, baseline, SMALL_PX, AGAINST)
    write(out, of, left + width - text_width(of, SMALL_PX), baseline, SMALL_PX, _darker(FOR))


def _darker(colour: Colour) -> Colour:
    """Return a colour dark enough for text on paper."""
    red, green, blue = (round(0.8 * v) for v in colour)
    return red, green, blue


def _overview(picture: Picture, faces: Sequence[Box], width: int) -> Picture:
    """Return the picture with everyone's number, centred on paper of this width."""
    scale = min((width - 2 * GAP_PX) / picture.shape[1], OVERVIEW_HEIGHT_PX / picture.shape[0])
    w, h = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = np.ascontiguousarray(images.resize(picture, w, h)).copy()
    for number, box in enumerate(faces, 1):
        x1, y1, x2, y2 = (round(v * scale) for v in box)
        cv2.rectangle(small, (x1, y1), (x2, y2), (255, 255, 255), 3, cv2.LINE_AA)
        cv2.rectangle(small, (x1, y1), (x2, y2), INK, 1, cv2.LINE_AA)
        text = str(number)
        side = text_width(text, TEXT_PX) + 10
        left, top = min(max(x1, 0), max(w - side, 0)), min(max(y1, 0), max(h - 22, 0))
        cv2.rectangle(small, (left, top), (left + side, top + 21), INK, -1)
        write(small, text, left + 5, top + 16, TEXT_PX, (255, 255, 255))
    out = _paper(h + 2 * GAP_PX, width)
    left = (width - w) // 2
    out[GAP_PX : GAP_PX + h, left : left + w] = small
    return out


def _paper(height: int, width: int) -> Picture:
    out = np.empty((height, width, 3), np.uint8)
    out[:] = PAPER
    out[-1:] = RULE
    return out


def _fit(out: Picture, text: str, baseline: float, capital: float, colour: Colour) -> None:
    """Write a line from the left margin; a long one becomes smaller."""
    room = out.shape[1] - 2 * GAP_PX
    if (need := text_width(text, capital)) > room:
        capital *= room / need
    write(out, text, GAP_PX, baseline, capital, colour)
