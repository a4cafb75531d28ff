"""Draw a decision into a picture: boxes, verdicts, scores and the lights."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .door import Decision
from .inference.perception import Perception
from .policy import Verdict
from .records import Signal

Picture = npt.NDArray[np.uint8]
#: RGB, 0..255.
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
LAMP_OFF: Colour = (70, 70, 70)
LAMP_RIM: Colour = (220, 220, 220)
VERDICT_COLOURS: dict[Verdict, Colour] = {
    Verdict.MASKED: (40, 190, 90),
    Verdict.UNMASKED: (230, 60, 50),
    Verdict.UNKNOWN: (170, 170, 170),
}
VERDICT_TEXTS = {Verdict.MASKED: "mask", Verdict.UNMASKED: "no mask", Verdict.UNKNOWN: "?"}
#: The green and the red lamp.
LAMP_COLOURS: dict[Signal, tuple[Colour, Colour]] = {
    Signal.IDLE: (LAMP_OFF, LAMP_OFF),
    Signal.PASS: ((40, 220, 100), LAMP_OFF),
    Signal.STOP: (LAMP_OFF, (255, 60, 50)),
    Signal.ALARM: (LAMP_OFF, (255, 60, 50)),
    Signal.FAULT: (LAMP_OFF, (255, 150, 50)),
}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(picture: Picture, decision: Decision, perception: Perception) -> Picture:
    """Return a copy of `picture`, (H, W, 3) uint8 RGB, with everyone's box, verdict and scores and the lights.

    People who are not in this frame are not drawn. `perception` names the expressions.
    """
    out = picture.copy()
    unit = max(0.4, min(out.shape[:2]) / 480)
    for track in decision.tracks:
        if track.last_seen < decision.t:
            continue
        verdict = decision.verdicts.get(track.number, Verdict.UNKNOWN)
        colour = VERDICT_COLOURS[verdict]
        x1, y1, x2, y2 = (round(v) for v in track.box)
        cv2.rectangle(out, (x1, y1), (x2, y2), colour, max(1, round(2 * unit)), cv2.LINE_AA)
        state = f"{VERDICT_TEXTS[verdict]} {track.evidence:+.1f}" if track.looks else "far"
        number = decision.numbers.get(track.number)
        lines = [f"{number}: {state}" if number else state]
        face = decision.faces.get(track.number)
        if face is not None and face.expression is not None and perception.expression is not None:
            p, label = max(zip(face.expression, perception.expression.labels, strict=True))
            lines.append(f"{label} {p:.0%}")
        if track.number in decision.agitated:
            lines.append("AGITATED")
        _draw_label(out, lines, x1, y1, colour, unit)
    _draw_lights(out, decision.signal, unit)
    return out


def _draw_label(out: Picture, lines: list[str], x: int, y: int, colour: Colour, unit: float) -> None:
    """Draw lines of text on a filled box above (x, y), or below it at the upper border."""
    scale, thickness = 0.5 * unit, max(1, round(unit))
    sizes = [cv2.getTextSize(line, FONT, scale, thickness)[0] for line in lines]
    line_height = max(h for _, h in sizes) + round(7 * unit)
    width, height = max(w for w, _ in sizes) + round(8 * unit), line_height * len(lines)
    x = max(0, min(x, out.shape[1] - width))
    y = y - height if y >= height else y
    cv2.rectangle(out, (x, y), (x + width, y + height), colour, -1)
    for k, line in enumerate(lines):
        at = (x + round(4 * unit), y + line_height * (k + 1) - round(5 * unit))
        cv2.putText(out, line, at, FONT, scale, WHITE, thickness, cv2.LINE_AA)


def _draw_lights(out: Picture, signal: Signal, unit: float) -> None:
    """Draw the green lamp, the red lamp and the signal's name into the upper left corner."""
    margin, radius = round(10 * unit), round(13 * unit)
    scale, thickness = 0.65 * unit, max(1, round(1.6 * unit))
    name = "ALARM + buzzer" if signal is Signal.ALARM else signal.value
    text_width, text_height = cv2.getTextSize(name, FONT, scale, thickness)[0]
    width, height = 5 * radius + 4 * margin + text_width, 2 * radius + 2 * margin
    panel = out[margin : margin + height, margin : margin + width]
    panel[:] = panel // 4 + 15
    y = margin + height // 2
    for k, colour in enumerate(LAMP_COLOURS[signal]):
        at = (2 * margin + radius + round(2.6 * radius) * k, y)
        cv2.circle(out, at, radius, colour, -1, cv2.LINE_AA)
        cv2.circle(out, at, radius, LAMP_RIM, max(1, round(unit)), cv2.LINE_AA)
    at = (2 * margin + round(5.2 * radius), y + text_height // 2)
    cv2.putText(out, name, at, FONT, scale, WHITE, thickness, cv2.LINE_AA)
