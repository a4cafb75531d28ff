"""The report: a fragment for a page, or a whole HTML file that can be mailed, printed and opened without a network."""

from __future__ import annotations

import re
from datetime import datetime
from html import escape

from . import chart
from .figures import By, Statistics
from .phrases import MADE, TITLE, Phrases

#: With more days, the report has bars of weeks, and with more weeks, of months.
_MAX_DAYS, _MAX_WEEKS = 62, 62
_WEEK_DAYS = 7

_STYLE = """\
:root { color-scheme: light dark; --text: #1c2226; --quiet: #58636a; --page: #fff; --line: #d5dbde }
@media (prefers-color-scheme: dark) { :root { --text: #dde3e6; --quiet: #9aa6ad; --page: #15191c; --line: #384147 } }
@media print { :root { color-scheme: light; --text: #000; --quiet: #444; --page: #fff; --line: #bbb } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem; max-width: 46rem; font: 1rem/1.45 system-ui, sans-serif; color: var(--text);
  background: var(--page) }
h1 { margin: 0; font-size: 1.6rem }
p { margin: .2rem 0; color: var(--quiet) }
.doorlight-facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .6rem 1.2rem;
  margin: 1.2rem 0 }
.doorlight-facts div { border-top: 1px solid var(--line); padding-top: .35rem }
.doorlight-facts dt { font-size: .85rem; color: var(--quiet) }
.doorlight-facts dd { margin: 0 }
.doorlight-facts dd:nth-of-type(1) { font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums }
.doorlight-facts dd:nth-of-type(2) { font-size: .8rem; color: var(--quiet) }
.doorlight-chart { display: block; width: 100%; height: auto; margin: 1rem 0 0; break-inside: avoid }
.doorlight-notes { margin: 1.2rem 0 0; padding-left: 1.1rem; font-size: .85rem; color: var(--quiet) }
footer { margin-top: 1.2rem; font-size: .85rem; overflow-wrap: anywhere }
@page { size: A4; margin: 14mm }
@media print {
  body { padding: 0; max-width: none; font-size: 9.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  .doorlight-facts { grid-template-columns: repeat(4, 1fr); margin: .7rem 0 }
  .doorlight-chart { width: 66%; margin: .5rem auto 0 }
  .doorlight-notes, footer { margin-top: .6rem }
}
"""


def fragment(statistics: Statistics, phrases: Phrases) -> str:
    """Return figures, charts and notes as HTML without scripts, styles and links, for a page with a style sheet of its own.

    Its classes are doorlight-facts (a <dl>), doorlight-chart (each <svg>, with masked and unmasked) and doorlight-notes.
    """
    lines = ['<dl class="doorlight-facts">']
    for label, value, detail in phrases.facts(statistics):
        more = f"<dd>{_text(detail)}</dd>" if detail else ""
        lines.append(f"<div><dt>{escape(label)}</dt><dd>{_text(value)}</dd>{more}</div>")
    lines.append("</dl>")
    lines += [chart.render(statistics, by, phrases) for by in charts_of(statistics)]
    notes = [*phrases.explanations(statistics), *phrases.notes(statistics)]
    if notes:
        lines.append('<ul class="doorlight-notes">')
        lines += [f"<li>{escape(note)}</li>" for note in notes]
        lines.append("</ul>")
    return "\n".join(lines) + "\n"


def page(statistics: Statistics, phrases: Phrases, made: datetime, language: str = "en") -> str:
    """Return a whole HTML file. It needs no other file and no network. `made` is the time that it shows."""
    title = escape(phrases(TITLE))
    return f"""\
<!DOCTYPE html>
<html lang="{escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{_STYLE}{chart.STYLE}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{escape(phrases.period(statistics))}</p>
{fragment(statistics, phrases)}</main>
<footer>
<p>{escape(phrases(MADE, date=phrases.moment(made)))}</p>
</footer>
</body>
</html>
"""


def charts_of(statistics: Statistics) -> tuple[By, ...]:
    """Return the groups of the report's charts: hours, weekdays and days, or weeks or months if there are many days.

    A played file has hours only. A single bar, and weekdays of less than a week, would say nothing.
    """
    days = len(statistics.by("day"))
    if statistics.is_played or days < 2:
        return ("hour",)
    longest: By = "month"
    if days <= _MAX_DAYS:
        longest = "day"
    elif len(statistics.by("week")) <= _MAX_WEEKS:
        longest = "week"
    return ("hour", "weekday", longest) if days >= _WEEK_DAYS else ("hour", longest)


def _text(text: str) -> str:
    """Return text for HTML, in which a number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=%|s\b|min\b|h\b|d\b)", "\N{NO-BREAK SPACE}", escape(text))
