"""Bars as SVG: people by hour, weekday or day, with and without a mask.

The few lines are our own. pygal 3.1 needs 0.3 s and 8 MB for its import, and its charts load a script from another host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from .figures import By, Group, Statistics
from .phrases import ALARMS, MASKED, NO_CHART, PEOPLE, PEOPLE_TITLE, UNMASKED, Phrases

#: In pixels, of which a phone shows two thirds: text of 13 pixels can be read on it, and is not too large on a desk.
WIDTH, HEIGHT, _TEXT = 560, 220, 13
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 6, 38, 26
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
#: More labels would overlap.
_MAX_LABELS = 9
_MAX_BAR_WIDTH = 44.0
#: Two colours that differ in lightness, too, for people who see no difference between red and green.
_MASKED, _UNMASKED = "#1b7f79", "#ee9b3f"
#: For an SVG file. On a page, the page's style sheet may set the same classes.
STYLE = """\
.doorlight-chart { color: #1c2226; background: #fff; font-family: system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
  .doorlight-chart { color: #dde3e6; background: #15191c }
  .doorlight-chart .masked { fill: #45b8ab }
  .doorlight-chart .unmasked { fill: #f0b266 }
}
@media print {
  .doorlight-chart { color: #000; background: #fff }
  .doorlight-chart .masked { fill: #1b7f79 }
  .doorlight-chart .unmasked { fill: #ee9b3f }
}"""


def render(statistics: Statistics, by: By, phrases: Phrases, is_file: bool = False) -> str:
    """Return an <svg> element with a bar for each group.

    It has no style sheet and no style attributes, so that a page with a strict Content-Security-Policy may contain it; with
    `is_file`, it has STYLE, and a name space. Screen readers find all figures in its description.
    """
    groups = statistics.by(by)
    heading = phrases.heading(by, statistics)
    name_space = ' xmlns="http://www.w3.org/2000/svg"' if is_file else ""
    title = f"{phrases(PEOPLE_TITLE)} {heading[:1].lower()}{heading[1:]}"
    lines = [
        f'<svg{name_space} class="doorlight-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="{_TEXT}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_description(groups, by, phrases))}</desc>",
    ]
    if is_file:
        lines.append(f"<style>{STYLE}</style>")
    lines.append(f'<text x="{_LEFT}" y="18" fill="currentColor" font-weight="600">{escape(title)}</text>')
    lines += _legend(phrases)
    most = max((group.figures.people for group in groups), default=0)
    if most:
        step = _tick_step(most)
        top = -(-most // step) * step
        lines += _grid(top, step, phrases)
        lines += _bars(groups, top, by, phrases)
    else:
        middle = f'x="{WIDTH // 2}" y="{HEIGHT // 2}" text-anchor="middle"'
        lines.append(f'<text {middle} fill="currentColor">{escape(phrases(NO_CHART))}</text>')
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _legend(phrases: Phrases) -> Iterator[str]:
    x = WIDTH - _RIGHT
    for name, colour, text in (("unmasked", _UNMASKED, UNMASKED), ("masked", _MASKED, MASKED)):
        label = phrases(text)
        x -= round(len(label) * 7.2) + 24
        yield f'<rect class="{name}" fill="{colour}" x="{x}" y="8" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 16}" y="18" fill="currentColor">{escape(label)}</text>'


def _grid(top: int, step: int, phrases: Phrases) -> Iterator[str]:
    for value in range(0, top + 1, step):
        y = _TOP + _PLOT_HEIGHT * (1 - value / top)
        opacity = 0.6 if value == 0 else 0.15
        yield (
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
            f'stroke-opacity="{opacity}"/>'
        )
        yield (
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="currentColor">{phrases.number(value)}</text>'
        )


def _bars(groups: Sequence[Group], top: int, by: By, phrases: Phrases) -> Iterator[str]:
    pitch = _PLOT_WIDTH / len(groups)
    width = min(pitch * (0.76 if pitch > 4 else 1), _MAX_BAR_WIDTH)
    labelled = -(-len(groups) // _MAX_LABELS)
    for k, group in enumerate(groups):
        figures = group.figures
        centre = _LEFT + pitch * (k + 0.5)
        y = float(_TOP + _PLOT_HEIGHT)
        if figures.people:
            yield f"<g><title>{escape(_sentence(group, by, phrases))}</title>"
            parts = (("masked", _MASKED, figures.masked), ("unmasked", _UNMASKED, figures.people - figures.masked))
            for name, colour, count in parts:
                height = _PLOT_HEIGHT * count / top
                y -= height
                if count:
                    yield (
                        f'<rect class="{name}" fill="{colour}" x="{centre - width / 2:.1f}" y="{y:.1f}" '
                        f'width="{width:.1f}" height="{height:.1f}"/>'
                    )
            yield "</g>"
        if k % labelled == 0:
            label = escape(phrases.short_label(group, by))
            place = f'x="{centre:.1f}" y="{HEIGHT - _BOTTOM + 17}" text-anchor="middle"'
            yield f'<text {place} fill="currentColor">{label}</text>'


def _tick_step(most: int) -> int:
    """Return the distance of four to six ticks from 0 to `most`: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if most <= 5 * step:
                return step
        power *= 10


def _description(groups: Sequence[Group], by: By, phrases: Phrases) -> str:
    return "; ".join(_sentence(group, by, phrases) for group in groups if group.figures.people) or phrases(NO_CHART)


def _sentence(group: Group, by: By, phrases: Phrases) -> str:
    figures = group.figures
    people = f"{phrases(PEOPLE)} {phrases.number(figures.people)}"
    share = figures.share_masked or 0.0
    text = f"{phrases.label(group, by)}: {people}, {phrases(MASKED)} {phrases.percent(share)}"
    return text + (f", {phrases(ALARMS)} {phrases.number(figures.alarms)}" if figures.alarms else "")
