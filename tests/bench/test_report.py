"""The tables of a report."""

from __future__ import annotations

from edge.bench.report import Percentiles, Report, Situation, SourceResult, StageTime, render

MS = Percentiles(p50=0.5, p95=5.0, p99=50.0, mean=1.0)


def situation(name: str, stages: tuple[str, ...]) -> Situation:
    times = {stage: StageTime(100, MS, None if stage == "capture" else 1 / len(stages)) for stage in stages}
    return Situation(name, 100, 1.0, 0.5, MS, MS, MS, 2.0, 500.0, times)


def report(caveats: tuple[str, ...] = ()) -> Report:
    situations = (
        situation("nobody in view", ("capture", "motion", "rest")),
        situation("everyone decided", ("capture", "motion", "detect", "mask", "rest")),
    )
    source = SourceResult("3 drawn faces", "640x480", 15.0, 10.0, 200, 30, 0, None, situations)
    machine = {
        "model": "Raspberry Pi 4 Model B Rev 1.5", "processor": "", "architecture": "aarch64", "cores": 4,
        "memory_mb": 1848, "system": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0", "python": "3.11.2",
    }  # fmt: skip
    models = {"mask_classifier": {"date": "2026-11-20", "sha256": "0123456789abcdef"}}
    return Report(
        "0.1.0", "2026-11-20T12:00:00Z", True, machine, {"numpy": "1.26.4"}, models, "CPU (ai_edge_litert)", 1,
        {"imports": 0.25, "models": 0.05}, {"now": 97.0, "peak": 102.0}, ("51 °C",), (source,), caveats,
    )  # fmt: skip


def test_the_tables_fit_the_terminal_and_nothing_is_cut_off() -> None:
    text = render(report(), 100)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    assert "0.30 s to the first decided frame: imports 0.25, models 0.05" in text
    assert "3 drawn faces, 640x480 at 15 frames/s: 200 frames in 10.0 s, after 30 warm-up frames" in text
    assert "mask_classifier 2026-11-20 (01234567)" in text
    for stage in ("capture", "motion", "detect", "mask", "rest"):
        assert f"\n  {stage} " in text


def test_the_share_of_a_stage_is_a_bar() -> None:
    lines = render(report(), 100).splitlines()
    assert "█" in next(line for line in lines if line.startswith("  detect"))
    assert next(line for line in lines if line.startswith("  capture")).endswith("(not counted)")


def test_colours_are_optional() -> None:
    assert "\x1b[1m" in render(report(), 100, colour=True)


def test_caveats_come_last() -> None:
    assert render(report(("interrupted",)), 100).splitlines()[-1] == "note: interrupted"
