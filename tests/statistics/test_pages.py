"""Charts and reports: well formed, self-contained, safe for a strict page, readable without seeing the bars."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.statistics import chart, figures, report
from edge.statistics.figures import By, Statistics
from edge.statistics.phrases import Phrases
from support.played_day import LogWriter, write_log

SVG = "{http://www.w3.org/2000/svg}"
MADE = datetime(2026, 11, 27, 12, tzinfo=UTC)


def statistics(path: Path, days: int = 10) -> Statistics:
    """Return the statistics of `days` days, one person on the first, two on the second, …, and one again."""
    log = LogWriter(datetime(2026, 11, 2, 9, 59, tzinfo=UTC))
    log.start()
    for day in range(days):
        begin = log.now_s
        for k in range(day % 10 + 1):
            log.passage("unmasked" if k % 3 == 2 else "masked")
        log.now_s = begin + 86_400
    log.stop()
    return figures.collect(write_log(path, log.records))


def bars(svg: str) -> dict[str, tuple[float, float]]:
    """Return the heights of both parts of each bar, by the name of its group."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        assert title is not None
        heights = {rect.get("class"): float(rect.get("height", "")) for rect in group.iter(f"{SVG}rect")}
        found[str(title.text).partition(":")[0]] = (heights.get("masked", 0.0), heights.get("unmasked", 0.0))
    return found


@pytest.mark.parametrize("by", figures.GROUPS)
def test_the_bars_show_the_figures(path: Path, by: By) -> None:
    found = statistics(path)
    heights = bars(chart.render(found, by, Phrases(), is_file=True))
    people = {
        Phrases().label(group, by).partition(":")[0]: group.figures for group in found.by(by) if group.figures.people
    }
    assert heights.keys() == people.keys()
    scale = max(sum(parts) for parts in heights.values()) / max(each.people for each in people.values())
    for name, each in people.items():
        assert heights[name] == pytest.approx((each.masked * scale, (each.people - each.masked) * scale), abs=0.11)


def test_everything_is_inside_the_picture(path: Path) -> None:
    for days in (1, 120):
        svg = ET.fromstring(chart.render(statistics(path, days), "day", Phrases(), is_file=True))
        for rect in svg.iter(f"{SVG}rect"):
            x, y, width, height = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + width <= chart.WIDTH
            assert 0 <= y <= y + height <= chart.HEIGHT
        labels = [text for text in svg.iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
        assert 1 <= len(labels) <= 9, "labels must not overlap"


def test_a_screen_reader_finds_all_figures(path: Path) -> None:
    svg = ET.fromstring(chart.render(statistics(path), "weekday", Phrases(), is_file=True))
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title") == "People by weekday"
    assert "Tuesday: people judged 11, with a mask 72.7 %" in str(svg.findtext(f"{SVG}desc"))


def test_the_fragment_fits_a_strict_page(path: Path) -> None:
    """A Content-Security-Policy of default-src 'self' forbids style elements and attributes, and scripts in the page."""
    text = report.fragment(statistics(path), Phrases())
    ET.fromstring(f"<body>{text}</body>")
    assert not re.search(r"<style|<script|<link| style=| on\w+=|http|url\(", text)
    assert text.count("<svg") == 3


@pytest.mark.parametrize(
    ("days", "charts"),
    [
        (1, ("hour",)),
        (3, ("hour", "day")),
        (30, ("hour", "weekday", "day")),
        (200, ("hour", "weekday", "week")),
        (700, ("hour", "weekday", "month")),
    ],
)
def test_the_charts_fit_the_time_span(path: Path, days: int, charts: tuple[By, ...]) -> None:
    log = LogWriter(datetime(2026, 1, 1, 9, tzinfo=UTC))
    for day in sorted({*range(0, days, 100), days - 1}):
        log.now_s = datetime(2026, 1, 1, 9, tzinfo=UTC).timestamp() + timedelta(days=day).total_seconds()
        log.start()
        log.passage()
        log.stop()
    assert report.charts_of(figures.collect(write_log(path, log.records))) == charts


def test_the_report_needs_nothing_else(path: Path) -> None:
    text = report.page(statistics(path), Phrases(), MADE)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert not re.search(r"https?:|//|<script|<link|<img|@import|url\(| src=| href=", text)
    assert "default-src 'none'" in text
    for needed in ("prefers-color-scheme: dark", "@media print", "passages, not persons", "2026-11-27 12:00", "72.7"):
        assert needed in text, needed


def test_names_from_outside_are_escaped(path: Path) -> None:
    found = statistics(path)
    found.source = "<script>alert(1)</script>"
    found.unread = {"<b>&": '"x"'}
    text = report.page(found, Phrases(), MADE)
    assert "<script" not in text
    assert "&lt;b&gt;&amp;" in text


def test_nobody(path: Path) -> None:
    path.write_bytes(b"")
    found = figures.collect(path)
    assert "Nobody was judged in this time." in chart.render(found, "hour", Phrases())
    assert "no events" in report.page(found, Phrases(), MADE)


def test_another_language(path: Path) -> None:
    """Every word comes from the translation, which gets the English text."""
    german = Phrases(
        lambda text: (
            "".join("ß" if character.isalpha() else character for character in text) if "{" not in text else text
        ),
        decimal=",",
        thousands=".",
    )
    text = report.fragment(statistics(path), german)
    words = re.sub(r"<[^>]*>|\b(ß+)\b", " ", text)
    assert not re.search(r"people|mask|alarm|week|hour|Nov", words.lower().replace("95 % interval", ""))
    assert "72,7" in text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"), (59_400, "59 s"), (59_600, "1 min"), (61_000, "1 min 1 s"), (3_599_600, "1 h"), (3_630_000, "1 h 1 min"),
        (86_399_000, "24 h"), (86_400_000, "1 d"), (100_000_000, "1 d 4 h"),
    ],
)  # fmt: skip
def test_long_times(ms: int, text: str) -> None:
    assert Phrases().duration(ms) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.00001, "0.1 %"), (0.99999, "99.9 %"), (0.6711, "67.1 %"), (0.5, "50.0 %")],
)
def test_only_all_is_100_percent(share: float, text: str) -> None:
    assert Phrases().percent(share) == text
