"""Answer a Prometheus on this machine: http://127.0.0.1:PORT/metrics."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..doctor.host import Host
from ..errors import DoorlightError, UnavailableError
from ..system.terminal import printable
from .exposition import DoorCollector, of_the_machine
from .keeper import TotalsKeeper

#: The totals are written at most this often: SD cards wear out. After a crash, the events since then are read again.
STORE_EVERY_S = 300.0


class _Served(Collector):
    """The metrics of a door, for several requests at once. A log that cannot be read is a metric, not an error."""

    def __init__(self, keeper: TotalsKeeper) -> None:
        self._keeper = keeper
        self._collector = DoorCollector(keeper)
        self._lock = threading.Lock()
        self._problems: dict[str, str | None] = {}
        self._stored_at = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            problem = None
            try:
                metrics = list(self._collector.collect())
            except DoorlightError as error:
                metrics, problem = list(of_the_machine(Host())), str(error)
            self._report("log", problem)
            if time.monotonic() - self._stored_at >= STORE_EVERY_S:
                self._stored_at = time.monotonic()
                self._report("totals", _store(self._keeper))
        yield GaugeMetricFamily("doorlight_log_readable", "1 if the event log can be read.", int(problem is None))
        yield from metrics

    def _report(self, what: str, problem: str | None) -> None:
        """Print a problem once."""
        if problem is not None and problem != self._problems.get(what):
            print(f"doorlight: {printable(problem)}", file=sys.stderr, flush=True)
        self._problems[what] = problem


def _store(keeper: TotalsKeeper) -> str | None:
    """Store the totals. Return what is wrong; None if nothing is."""
    try:
        keeper.store()
    except DoorlightError as error:
        return str(error)
    return None


class MetricsServer:
    """Answers requests at an address from its construction until `close`."""

    def __init__(self, keeper: TotalsKeeper, host: str, port: int) -> None:
        """Raises UnavailableError if the port cannot be used, OutputError if the totals cannot be stored."""
        self._keeper = keeper
        keeper.store()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Served(keeper))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise UnavailableError(
                f"{host}:{port}: cannot be used: {error.strerror}", "choose another port for the metrics"
            ) from error

    def close(self) -> None:
        """End, and store the totals. Raises OutputError if they cannot be stored."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._keeper.store()


def serve(keeper: TotalsKeeper, host: str, port: int, stop: threading.Event) -> None:
    """Answer requests until `stop` is set. Raises as MetricsServer."""
    server = MetricsServer(keeper, host, port)
    stop.wait()
    server.close()
