"""Draw the sign as an SVG of size A4. All lengths are in millimetres.

An SVG does not break lines, and the font is that of the program that shows it. Lines are therefore broken with widths on the
safe side, and the text is made smaller until everything fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from ..errors import UsageError
from .sentences import Section

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 15.0
#: Sizes of the text that are tried, from large to small.
SIZES = tuple(7.0 - 0.1 * step for step in range(45))
LINE_HEIGHT = 1.34
HEADER = 44.0
#: Size of the QR code and of its white margin, in the header.
QR_SIZE, QR_MARGIN = 32.0, 4.0
#: Length of the line on which the name of the responsible is written by hand.
BLANK_LINE = 100.0
#: Widths of characters as shares of the text's size, those of DejaVu Sans: the widest of the usual fonts.
WIDTHS = {
    0.34: " 'ijlIJ,./:;\\|",
    0.42: "-f()[]!tr",
    0.53: '"*_`§–s?z',
    0.61: "cLFkvxyPTY",
    0.66: "aeoäößESbdghnpqu{}ü0123456789$K",
    0.72: "ABVXZÄCR",
    0.8: "UÜNHDGOQÖ&",
    0.88: "w#+<=>^~M",
}
#: The width of all other characters.
WIDEST = 1.0
#: Width of bold letters, as a multiple of those of the others.
BOLD = 1.15
_WIDTH_OF = {character: width for width, characters in WIDTHS.items() for character in characters}
FONT = "font-family=\"Arial, Helvetica, 'DejaVu Sans', sans-serif\""


class Side(NamedTuple):
    """The text of one language."""

    title: str
    sections: Sequence[Section]


def render(sides: Sequence[Side], qr_path: tuple[str, float] | None = None) -> str:
    """Return the sign with one or more languages, below each other.

    `qr_path` is a QR code: the data of an SVG path, and its width and height in its own units. Raises UsageError if the texts do
    not fit at the smallest size.
    """
    available = HEIGHT - HEADER - MARGIN
    for size in SIZES:
        lines = list(_lines(sides, size))
        if sum(line.height for line in lines) <= available:
            return _document(sides, lines, size, qr_path)
    raise UsageError(
        "the text does not fit on the sign", "shorten [privacy] controller and notice, or choose one --language"
    )


class _Line(NamedTuple):
    text: str
    weight: str
    height: float


def _lines(sides: Sequence[Side], size: float) -> Iterator[_Line]:
    """Yield the lines of all languages. Empty ones are gaps."""
    for number, side in enumerate(sides):
        if number:
            yield _Line("", "rule", size)
        for heading, paragraphs in side.sections:
            yield _Line("", "gap", 0.5 * size)
            yield _Line(heading, "bold", LINE_HEIGHT * size)
            for paragraph in paragraphs:
                # A text of the settings may end with a colon, too.
                blank = MARGIN + text_width(paragraph) * size + 2 + BLANK_LINE
                if paragraph.endswith(":") and blank <= WIDTH - MARGIN:
                    yield _Line(paragraph, "blank", 2 * LINE_HEIGHT * size)
                    continue
                for text in wrap(paragraph, (WIDTH - 2 * MARGIN) / size):
                    yield _Line(text, "normal", LINE_HEIGHT * size)


def wrap(text: str, width: float) -> list[str]:
    """Break a text into lines of at most `width`, a multiple of the text's size. A word that is too long is cut."""
    lines, line = [], ""
    for word in text.split():
        while text_width(word) > width:
            fitting = next(k for k in range(len(word), 0, -1) if k == 1 or text_width(word[:k]) <= width)
            lines += [line, word[:fitting]] if line else [word[:fitting]]
            line, word = "", word[fitting:]
        longer = f"{line} {word}" if line else word
        if text_width(longer) <= width:
            line = longer
        else:
            lines.append(line)
            line = word
    return [*lines, line] if line else lines


def text_width(text: str) -> float:
    """Return the width of a line as a multiple of the text's size; an upper limit for the usual fonts."""
    return sum(_WIDTH_OF.get(character, WIDEST) for character in text)


def _document(sides: Sequence[Side], lines: list[_Line], size: float, qr_path: tuple[str, float] | None) -> str:
    title = " · ".join(side.title for side in sides)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}mm" height="{HEIGHT:g}mm" '
        f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}">',
        f"<title>{escape(title)}</title>",
        # A printer puts the picture into its own margins unless the page has none.
        "<style>@page { size: A4; margin: 0 }</style>",
        f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#fff"/>',
        *_header(sides, qr_path),
        f'<g {FONT} font-size="{size:.1f}" fill="#111">',
    ]
    y = HEADER
    for line in lines:
        y += line.height
        parts += _drawn(line, y, size)
    parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _header(sides: Sequence[Side], qr_path: tuple[str, float] | None) -> Iterator[str]:
    """Yield a black bar with a camera, the titles, the two lights, and the QR code."""
    bottom = HEADER - 4
    yield f'<rect width="{WIDTH:g}" height="{bottom:g}" fill="#111"/>'
    yield '<g fill="none" stroke="#fff" stroke-width="2" stroke-linejoin="round">'
    yield '<path d="M15 13h7l2.5-4h9l2.5 4h7v18h-28z"/><circle cx="29" cy="21.5" r="6"/></g>'
    right = WIDTH - (QR_SIZE + 2 * QR_MARGIN if qr_path else 10)
    if qr_path:
        data, units = qr_path
        place = f"translate({right + QR_MARGIN:g} {(bottom - QR_SIZE) / 2:g}) scale({QR_SIZE / units:.4f})"
        yield f'<rect x="{right:g}" width="{WIDTH - right:g}" height="{bottom:g}" fill="#fff"/>'
        yield f'<path transform="{place}" stroke="#000" d="{data}"/>'
    yield f'<circle cx="{right - 9:g}" cy="13" r="5.5" fill="#2ecc40"/>'
    yield f'<circle cx="{right - 9:g}" cy="27" r="5.5" fill="#ff4136"/>'
    size = min(12.0, (right - 16 - 50) / max(BOLD * text_width(side.title) for side in sides))
    step = 1.25 * size
    first = bottom / 2 - step * (len(sides) - 1) / 2 + 0.36 * size
    for number, side in enumerate(sides):
        yield (
            f'<text x="50" y="{first + number * step:.2f}" {FONT} font-size="{size:.2f}" font-weight="bold" '
            f'fill="#fff">{escape(side.title)}</text>'
        )


def _drawn(line: _Line, y: float, size: float) -> Iterator[str]:
    if line.weight == "rule":
        yield f'<path d="M{MARGIN:g} {y - 0.3 * size:.2f}H{WIDTH - MARGIN:g}" stroke="#999" stroke-width="0.3"/>'
    if not line.text:
        return
    weight = ' font-weight="bold"' if line.weight == "bold" else ""
    yield f'<text x="{MARGIN:g}" y="{y:.2f}"{weight}>{escape(line.text)}</text>'
    if line.weight == "blank":
        x = MARGIN + text_width(line.text) * size + 2
        yield f'<path d="M{x:.2f} {y + 1:.2f}h{BLANK_LINE:g}" stroke="#111" stroke-width="0.3"/>'
