"""Answer a Prometheus on this machine: http://127.0.0.1:PORT/metrics."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..doctor.host import Host
from ..errors import DoorlightError, UnavailableError
from ..system.limited_listener import LimitedListener
from ..system.terminal import printable
from .exposition import DoorCollector, of_the_machine
from .keeper import TotalsKeeper

#: The totals are written at most this often: SD cards wear out. After a crash, the events since then are read again.
STORE_EVERY_S = 300.0
#: Open connections. Each has a thread and a file, which the other parts of the link need, too.
MAX_CONNECTIONS = 4
#: A client that sends or reads nothing for this time (seconds) is cut off.
STALLED_AFTER_S = 10.0
#: No connection is accepted for this time (seconds) after one could not be.
ACCEPT_PAUSE_S = 0.1


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


class _Handler(WSGIRequestHandler):
    timeout = STALLED_AFTER_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request is no news."""


class _LimitedServer(ThreadingMixIn, WSGIServer):
    """A server of at most MAX_CONNECTIONS connections at a time."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        self.socket.close()  # TCPServer takes no socket, and has made one
        self.socket = LimitedListener(self.address_family, MAX_CONNECTIONS, ACCEPT_PAUSE_S)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report nothing: a client that goes away or stalls must not fill the journal."""


class MetricsServer:
    """Answers requests at an address from its construction until `close`."""

    def __init__(self, keeper: TotalsKeeper, host: str, port: int) -> None:
        """Raises UnavailableError if the port cannot be used, OutputError if the totals cannot be stored."""
        self._keeper = keeper
        keeper.store()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Served(keeper))
        try:
            self._server = _LimitedServer(host, port)
        except OSError as error:
            raise UnavailableError(
                f"{host}:{port}: cannot be used: {error.strerror}", "choose another port for the metrics"
            ) from error
        self._server.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

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
