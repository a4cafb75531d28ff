"""What `doorlight metrics` shows, in Prometheus' text format. No label names a person.

The names and their meaning are listed in scripts/fleet/README.md; scripts/fleet/dashboard.json uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from .. import __version__
from ..doctor.host import Host
from ..records import Signal
from ..system.temperature import highest_c
from .keeper import Reading, TotalsKeeper
from .totals import Histogram, Totals


class DoorCollector(Collector):
    """The metrics of one door, counted anew at each scrape."""

    def __init__(self, keeper: TotalsKeeper, host: Host | None = None) -> None:
        self._keeper = keeper
        self._host = host or Host()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. Raises InputError if the log cannot be read."""
        reading = self._keeper.update()
        yield from _of_the_door(reading)
        yield from _of_people(reading.totals)
        yield from _of_the_log(reading.totals)
        yield from of_the_machine(self._host)


def render(collector: Collector) -> bytes:
    """Return the metrics of a collector as text. Raises what it raises."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


def of_the_machine(host: Host) -> Iterator[Metric]:
    """Yield what does not come from the log."""
    yield InfoMetricFamily("doorlight_build", "Version of Doorlight.", {"version": __version__})
    degrees = highest_c(Path(host.root))
    if degrees is not None:
        yield GaugeMetricFamily("doorlight_temperature_celsius", "Highest temperature of the machine.", degrees)


def _of_the_door(reading: Reading) -> Iterator[Metric]:
    totals = reading.totals
    yield GaugeMetricFamily("doorlight_running", "1 if the door runs now.", int(reading.is_running))
    shown = GaugeMetricFamily("doorlight_signal", "1 for the signal that the door shows now.", labels=["signal"])
    for signal in Signal:
        shown.add_metric([signal.value], int(reading.is_running and totals.signal == signal.value))
    yield shown
    changes = CounterMetricFamily("doorlight_signals", "Changes to each signal.", labels=["signal"])
    for name, count in totals.signals.items():
        changes.add_metric([name], count)
    yield changes
    yield CounterMetricFamily("doorlight_up_seconds", "Time in which the door ran.", reading.up_s)
    yield CounterMetricFamily("doorlight_fault_seconds", "Time in which the door was blind (FAULT).", reading.fault_s)
    yield CounterMetricFamily("doorlight_starts", "Starts of the door.", totals.starts)
    yield CounterMetricFamily("doorlight_crashes", "Runs that ended without the event stopped.", totals.crashes)
    yield CounterMetricFamily("doorlight_camera_lost", "Times that the door became blind.", totals.camera_lost)


def _of_people(totals: Totals) -> Iterator[Metric]:
    people = CounterMetricFamily("doorlight_people", "Visits that have ended, by the last verdict.", labels=["verdict"])
    for verdict, count in totals.people.items():
        people.add_metric([verdict], count)
    yield people
    yield CounterMetricFamily("doorlight_ignored", "Faces ignored because they never move.", totals.ignored)
    yield _histogram(
        "doorlight_decision_seconds", "Time from the first sighting to the first verdict.", totals.decision
    )
    yield _histogram("doorlight_dwell_seconds", "Time from the first sighting to the last.", totals.dwell)


def _of_the_log(totals: Totals) -> Iterator[Metric]:
    when = "Time of the last event."
    yield GaugeMetricFamily("doorlight_last_event_timestamp_seconds", when, totals.last_time_s)
    yield CounterMetricFamily("doorlight_events_lost", "Events that the door could not write.", totals.lost)
    yield CounterMetricFamily("doorlight_events_missing", "Numbers that no line of the log has.", totals.missing)
    yield CounterMetricFamily("doorlight_log_damaged_lines", "Lines of the log that are no events.", totals.damaged)
    yield CounterMetricFamily("doorlight_log_repairs", "Torn last lines removed from the log.", totals.repaired)
    yield CounterMetricFamily("doorlight_clock_set", "Times that the clock was set.", totals.clock_set)


def _histogram(name: str, text: str, times: Histogram) -> HistogramMetricFamily:
    limits = [*map(str, times.limits_s), "+Inf"]
    return HistogramMetricFamily(name, text, list(zip(limits, accumulate(times.counts), strict=True)), times.sum_s)
