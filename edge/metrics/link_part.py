"""The metrics as a part of `doorlight link`, with `[link] metrics_listen`: for a Prometheus on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from ..errors import DoorlightError, OutputError
from ..link.service import Place
from ..link.status import LinkStatus
from ..link_settings import LinkSettings
from ..listen_address import parse_listen
from .keeper import TotalsKeeper
from .server import MetricsServer

NAME = "metrics"
#: How often (seconds) the link hears that this works, and how long it waits before it tries again.
TICK_S, RETRY_S = 2.0, 30.0


class MetricsWorker:
    """Answers a Prometheus. A problem, such as a port that is in use, is tried again: it must not end the other targets."""

    def __init__(self, log: Path, totals: Path, listen: str, status: LinkStatus) -> None:
        """`totals` is the file that keeps the counters growing."""
        self._log = log
        self._totals = totals
        self._address = parse_listen(listen)
        self._status = status
        status.add(NAME, listen, is_connected=True, takes_events=False)

    @property
    def name(self) -> str:
        """Its name in the status."""
        return NAME

    def run(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        while not stop.is_set():
            try:
                server = MetricsServer(TotalsKeeper(self._log, self._totals), *self._address)
            except DoorlightError as error:
                self._status.report_failure(NAME, error)
                self._wait(stop, RETRY_S)
                continue
            self._status.set_connected(NAME)
            self._wait(stop, None)
            try:
                server.close()
            except OutputError as error:  # the totals cannot be kept: the next start counts from the log again
                self._status.report_failure(NAME, error)

    def _wait(self, stop: threading.Event, limit_s: float | None) -> None:
        """Wait until `stop` is set, or for `limit_s` seconds."""
        waited_s = 0.0
        while (limit_s is None or waited_s < limit_s) and not stop.wait(TICK_S):
            self._status.beat(NAME)
            waited_s += TICK_S


def metrics_part(settings: LinkSettings, place: Place, status: LinkStatus) -> Iterator[MetricsWorker]:
    """Yield the worker, if it is wanted."""
    if settings.metrics_listen:
        yield MetricsWorker(place.log, place.state_folder / "metrics.json", settings.metrics_listen, status)
