"""Draw a decision into a picture: boxes, verdicts and scores, with the lights in a bar above the picture.

The bar is added to the picture, so the lights cover nobody.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .config import Config
from .imaging import images
from .imaging.images import Picture
from .imaging.label_layout import Layout, Rectangle, clip, overlap, place_labels
from .imaging.lettering import MIN_CAPITAL_PX, text_width, write
from .inference.perception import Perception, sigmoid
from .pipeline import Decision
from .policy import Verdict
from .records import Box, Face, Signal, Track
from .zone import Polygon, Zone

#: RGB, 0..255.
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BAR: Colour = (24, 26, 30)
SOFT: Colour = (188, 192, 200)
LAMP_OFF: Colour = (62, 65, 72)
LAMP_RIM: Colour = (120, 124, 132)
GREEN_ON: Colour = (40, 220, 100)
RED_ON: Colour = (255, 60, 50)
#: Dark enough for white text.
VERDICT_COLOURS: dict[Verdict, Colour] = {
    Verdict.MASKED: (0, 130, 66),
    Verdict.UNMASKED: (204, 32, 40),
    Verdict.UNKNOWN: (92, 96, 104),
}
#: Of faces that do not count, and of the lines around the zone and the areas to ignore.
OUTSIDE: Colour = (112, 116, 124)
#: Of faces that never move.
STILL: Colour = (40, 84, 150)
ZONE_LINE: Colour = (255, 214, 0)
#: Of landmarks: a dot and the ring around it, visible on any skin and mask.
LANDMARK: Colour = (255, 255, 255)
LANDMARK_RING: Colour = (24, 26, 30)
#: Areas to ignore are darkened to this share of their brightness.
IGNORED_BRIGHTNESS = 0.6
VERDICT_TEXTS = {Verdict.MASKED: "mask", Verdict.UNMASKED: "no mask", Verdict.UNKNOWN: "undecided"}
#: The green and the red lamp.
LAMPS: dict[Signal, tuple[Colour, Colour]] = {
    Signal.IDLE: (LAMP_OFF, LAMP_OFF),
    Signal.PASS: (GREEN_ON, LAMP_OFF),
    Signal.STOP: (LAMP_OFF, RED_ON),
    Signal.ALARM: (LAMP_OFF, RED_ON),
    Signal.FAULT: (LAMP_OFF, RED_ON),
}
SIGNAL_TEXTS = {
    Signal.PASS: "everyone wears a mask",
    Signal.STOP: "someone wears no mask",
    Signal.ALARM: "buzzer: someone looks agitated",
    Signal.FAULT: "red blinks: the door is blind",
}
#: Small pictures are enlarged by a whole number, up to about this size, so that there is room for text.
COMFORTABLE_HEIGHT_PX, COMFORTABLE_WIDTH_PX = 480, 1280
#: Labels that cover less than this share of the picture are accepted where there is no room.
TOLERABLE_COVER = 0.02
#: If the labels do not fit, or not directly at the faces, they become shorter, then smaller.
ATTEMPTS = ((False, 1.0), (False, 0.85), (True, 0.85), (True, 0.7))


#: Labels that became shorter stay so for this number of frames.
HELD_FRAMES = 30


class Label(NamedTuple):
    """What is written at a face, and in which colour. `box` is in pixels of the drawn picture, inside it."""

    box: Rectangle
    lines: tuple[str, ...]
    short: tuple[str, ...]
    colour: Colour


class LabelLayout(NamedTuple):
    """The places of labels, the lines of each, and the height of their capitals in pixels; one of ATTEMPTS."""

    placed: Layout
    texts: list[tuple[str, ...]]
    capital: float
    attempt: int


class Drawing:
    """Draws the decisions of one source. Between two looks at a face it shows the result of the last one."""

    def __init__(self, config: Config, perception: Perception) -> None:
        """`perception` names the expressions."""
        self._min_face_height = config.tracker.min_face_height
        self._zone = Zone(config.door.zone, config.door.ignore)
        classifier, above_mask = perception.expression, perception.masked_expression
        self._expressions = () if classifier is None else tuple(classifier.labels)
        self._masked_expressions = () if above_mask is None else tuple(above_mask.labels)
        self._looks: dict[int, Face] = {}
        self._attempt = 0
        self._held_frames = 0

    def draw(self, picture: Picture, decision: Decision) -> Picture:
        """Return `picture`, (H, W, 3) uint8 RGB, with everyone's box and verdict, below a bar with the lights.

        The zone and the areas to ignore are outlined. The landmarks of this frame's looks are dots. Faces that do not count are grey, or blue if they never move.

        The result is higher than `picture`, and larger by a whole factor if that is small. All pictures of a size give
        results of one size. People who are not in this frame are not drawn.
        """
        scale = enlargement(*picture.shape[:2])
        if scale > 1:
            picture = images.resize(picture, scale * picture.shape[1], scale * picture.shape[0])
        height, width = picture.shape[:2]
        bar = bar_height(height, width)
        out = np.empty((bar + height, width, 3), np.uint8)
        out[bar:] = picture
        _draw_zone(out[bar:], self._zone)
        for face in decision.faces.values():
            _draw_landmarks(out[bar:], face, scale)
        labels = self.labels(decision, width, height, scale)
        if labels:
            _draw_labels(out[bar:], labels, self._layout(labels, width, height))
        _draw_bar(out[:bar], decision, _meaning(decision, bool(self._zone.zone)))
        return out

    def add_looks(self, decision: Decision) -> None:
        """Remember the looks of a decision that is not drawn. `draw` does it for those that are."""
        present = {track.number for track in decision.tracks}
        self._looks = {number: face for number, face in self._looks.items() if number in present} | decision.faces

    def labels(self, decision: Decision, width: int, height: int, scale: int = 1) -> list[Label]:
        """Return the labels of everyone in this frame, for a picture of `width` x `height` enlarged by `scale`."""
        self.add_looks(decision)
        frame = (0, 0, width, height)
        counting = [self._label(t, decision, frame, scale) for t in decision.tracks if t.last_seen >= decision.t]
        still = [Label(_drawn_box(box, frame, scale), ("never moves",), ("still",), STILL) for box in decision.still]
        return counting + still + [self._outside_label(box, frame, scale) for box in decision.outside]

    def _layout(self, labels: list[Label], width: int, height: int) -> LabelLayout:
        """Return where the labels stand.

        Labels that became shorter stay so for a while: in a video they would flicker.
        """
        self._held_frames -= 1
        if self._held_frames <= 0:
            self._attempt = 0
        found = layout(labels, width, height, self._attempt)
        if found.attempt > self._attempt:
            self._attempt, self._held_frames = found.attempt, HELD_FRAMES
        return found

    def _label(self, track: Track, decision: Decision, frame: Rectangle, scale: int) -> Label:
        verdict = decision.verdict(track.number)
        text = VERDICT_TEXTS[verdict]
        if verdict is Verdict.UNKNOWN and track.height < self._min_face_height:
            text = "too far"
        person = decision.people.get(track.number)
        short: tuple[str, ...] = (f"#{person.number} {text}" if person is not None and person.number else text,)
        lines = short
        # Evidence that speaks against the verdict has not changed it yet: it is not shown, as it would contradict the
        # box.
        certainty = track.evidence if verdict is Verdict.MASKED else -track.evidence
        if verdict is not Verdict.UNKNOWN and certainty > 0:
            lines = (f"{short[0]} {_percent(sigmoid(certainty))}",)
        if person is not None and verdict is not Verdict.UNKNOWN:
            agitated = "agitated" if person.agitated else "perhaps agitated" if person.maybe_agitated else ""
            expression = self._expression(track.number, verdict)
            if verdict is Verdict.MASKED and expression and not person.maybe_agitated:
                expression = f"perhaps {expression}"  # a guess from what the mask leaves
            if person.agitated:
                short += (agitated,)
            if expression or agitated:
                lines += (": ".join(part for part in (agitated, expression) if part),)
        if track.number in decision.known:
            lines, short = (*lines, "known"), (*short, "known")
        return Label(_drawn_box(track.box, frame, scale), lines, short, VERDICT_COLOURS[verdict])

    def _outside_label(self, box: Box, frame: Rectangle, scale: int) -> Label:
        """Return the label of a face that does not count."""
        _, _, width, height = frame
        is_ignored = Zone(self._zone.zone).counts(box, width // scale, height // scale)
        where, short = ("in an ignored area", "ignored") if is_ignored else ("outside the zone", "outside")
        return Label(_drawn_box(box, frame, scale), (where,), (short,), OUTSIDE)

    def _expression(self, number: int, verdict: Verdict) -> str:
        """Return the most likely expression at the last look at a track, such as "angry 85 %"; "" if unknown."""
        face = self._looks.get(number)
        if face is None:
            return ""
        probabilities, names = face.expression, self._expressions
        if verdict is Verdict.MASKED:
            probabilities, names = face.masked_expression, self._masked_expressions
        if probabilities is None or not names:
            return ""
        probability, name = max(zip(probabilities, names, strict=True))
        return f"{name} {_percent(probability)}"


def _percent(share: float) -> str:
    """Return a share 0..1 as "85 %"."""
    return f"{100 * share:.0f} %"


def _drawn_box(box: Box, frame: Rectangle, scale: int) -> Rectangle:
    """Return a box of the original picture in pixels of the drawn one, inside `frame`."""
    x1, y1, x2, y2 = (round(scale * v) for v in box)
    return clip((x1, y1, x2, y2), frame)


def enlargement(height: int, width: int) -> int:
    """Return the whole factor by which a picture of this size is enlarged."""
    return max(1, min(COMFORTABLE_HEIGHT_PX // height, COMFORTABLE_WIDTH_PX // width))


def bar_height(height: int, width: int) -> int:
    """Return the height of the bar above a picture, in pixels. It is even, as video encoders need."""
    return 2 * round(max(12.0, 0.045 * min(height, width)))


def layout(labels: list[Label], width: int, height: int, first_attempt: int = 0) -> LabelLayout:
    """Return the best layout of `labels`, of which there is at least one, in a picture of this size."""
    found: list[LabelLayout] = []
    for attempt in range(first_attempt, len(ATTEMPTS)):
        is_short, factor = ATTEMPTS[attempt]
        capital = max(MIN_CAPITAL_PX, 0.023 * min(width, height) * factor)
        texts = [label.short if is_short else label.lines for label in labels]
        sizes = [_label_size(lines, capital) for lines in texts]
        boxes = [label.box for label in labels]
        placed = place_labels(width, height, boxes, sizes, gap=_line_width(width, height) + 1)
        found.append(LabelLayout(placed, texts, capital, attempt))
        if not placed.covered and not placed.detached:
            break
    if free := [one for one in found if not one.placed.covered]:
        return min(free, key=lambda one: one.placed.detached)
    # No attempt avoids every face, as with a face that fills the picture. Covering a corner is better than tiny text.
    tolerable = [one for one in found if one.placed.covered <= TOLERABLE_COVER * width * height]
    return tolerable[0] if tolerable else min(found, key=lambda one: one.placed.covered)


def _line_width(width: int, height: int) -> int:
    return max(1, round(min(width, height) / 240))


def _label_size(lines: tuple[str, ...], capital: float) -> tuple[int, int]:
    """Return the width and height of a label whose capitals are `capital` pixels high."""
    width = max(text_width(line, capital) for line in lines)
    return round(width + capital), round(len(lines) * 1.75 * capital + 0.35 * capital)


def _draw_labels(out: Picture, labels: list[Label], found: LabelLayout) -> None:
    """Draw boxes and labels into `out`, a contiguous picture."""
    line = _line_width(out.shape[1], out.shape[0])
    places, capital = found.placed.places, found.capital
    for label in labels:
        x1, y1, x2, y2 = label.box
        cv2.rectangle(out, (x1, y1), (x2 - 1, y2 - 1), label.colour, line + 2, cv2.LINE_AA)
    for label, place in zip(labels, places, strict=True):
        _draw_leader(out, label, place, line)
    for label, place, lines in zip(labels, places, found.texts, strict=True):
        x1, y1, x2, y2 = place
        cv2.rectangle(out, (x1, y1), (x2 - 1, y2 - 1), label.colour, -1)
        for k, text in enumerate(lines):
            write(out, text, x1 + capital / 2, y1 + 1.4 * capital + 1.75 * capital * k, capital, WHITE)


def _draw_leader(out: Picture, label: Label, place: Rectangle, line: int) -> None:
    """Connect a label with its box if it does not stand at it."""
    near = tuple(v + d * 2 * (line + 2) for v, d in zip(label.box, (-1, -1, 1, 1), strict=True))
    if overlap(place, near):  # type: ignore[arg-type]
        return
    ends = []
    for low, high in ((0, 2), (1, 3)):
        start = min(max((label.box[low] + label.box[high]) // 2, place[low]), place[high])
        ends.append((start, min(max(start, label.box[low]), label.box[high])))
    (x, box_x), (y, box_y) = ends
    cv2.line(out, (x, y), (box_x, box_y), label.colour, line, cv2.LINE_AA)


def _draw_zone(out: Picture, zone: Zone) -> None:
    """Outline the zone and the areas to ignore in `out`, and darken the areas to ignore."""
    if not zone.is_limited:
        return
    height, width = out.shape[:2]

    def corners(polygon: Polygon) -> npt.NDArray[np.int32]:
        return np.array([(round(x * (width - 1)), round(y * (height - 1))) for x, y in polygon], np.int32)

    ignored = [corners(area) for area in zone.ignore]
    if ignored:
        mask = np.zeros((height, width), np.uint8)
        for area in ignored:
            cv2.fillPoly(mask, [area], (255,))
        out[mask > 0] = (out[mask > 0] * IGNORED_BRIGHTNESS).astype(np.uint8)
    outlines = [(area, OUTSIDE) for area in ignored] + [(corners(zone.zone), ZONE_LINE)] * bool(zone.zone)
    for outline, colour in outlines:
        cv2.polylines(out, [outline], True, colour, _line_width(width, height), cv2.LINE_AA)


def _draw_landmarks(out: Picture, face: Face, scale: int) -> None:
    """Draw the landmarks of a face, if it has any, into `out`; its pixels are those of `face` times `scale`."""
    radius = max(1, round(scale * face.box.height / 60))
    for x, y in face.landmarks or ():
        centre = (round(scale * x), round(scale * y))
        cv2.circle(out, centre, radius + 1, LANDMARK_RING, -1, cv2.LINE_AA)
        cv2.circle(out, centre, radius, LANDMARK, -1, cv2.LINE_AA)


def _draw_bar(out: Picture, decision: Decision, meaning: str) -> None:
    """Draw the green lamp, the red lamp, the signal and its meaning into `out`, the part above the picture."""
    out[:] = BAR
    height, width = out.shape[:2]
    radius = round(0.3 * height)
    middle, x = height // 2, round(0.25 * height) + radius
    for colour in LAMPS[decision.signal]:
        cv2.circle(out, (x, middle), radius, colour, -1, cv2.LINE_AA)
        cv2.circle(out, (x, middle), radius, LAMP_RIM, max(1, height // 40), cv2.LINE_AA)
        x += round(2.6 * radius)
    capital, small = 0.36 * height, max(MIN_CAPITAL_PX, 0.26 * height)
    name = decision.signal.value
    left = x - 0.6 * radius + 0.1 * height
    room = width - left - 0.2 * height
    if (need := text_width(name, capital)) > room:
        capital *= max(room, 1) / need
    write(out, name, left, middle + capital / 2, capital, WHITE)
    left += text_width(name, capital) + 0.45 * height
    room = width - left - 0.25 * height
    if (need := text_width(meaning, small)) > room:
        small *= max(room, 1) / need
    if small >= MIN_CAPITAL_PX:
        write(out, meaning, left, middle + capital / 2, small, SOFT)


def _meaning(decision: Decision, has_zone: bool) -> str:
    """Return what the signal means, in a few words."""
    if decision.fault is not None:
        return f"red blinks: {decision.fault}"
    if decision.signal is not Signal.IDLE:
        return SIGNAL_TEXTS[decision.signal]
    is_present = any(track.last_seen >= decision.t for track in decision.tracks)
    if is_present:
        return "nobody is decided yet"
    return "nobody is in the zone" if has_zone else "nobody is there"
