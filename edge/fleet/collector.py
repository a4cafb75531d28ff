"""The loop of `doorlight collect`: receive, store, acknowledge.

A message is acknowledged after the commit that contains it. Whatever fails before that, the broker sends it again, and the
key of the table recognises what is there already. So nothing is lost and nothing is twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import psycopg

from ..counted import counted
from ..errors import UnavailableError
from ..system.systemd import SystemdNotifier
from .broker import MAX_IN_FLIGHT, Broker, BrokerError, Connection
from .database import Address, Database, DatabaseError, connect, explain, prepare
from .messages import Message, read_message
from .retry_timer import RetryTimer
from .store import Store, Written

#: A batch is written if no message has arrived for this time (seconds): at a quiet door, that is at once.
GATHER_S = 0.02
#: What waits for the database, at most. Beyond that the connection is closed: what was not acknowledged comes again.
MAX_WAITING_BYTES = 32 << 20
#: A collector that leaves waits this long (seconds) for messages that the broker has for it.
LEAVE_AFTER_S = 10.0
#: After this number of connections in a row that end within this time (seconds) although the broker answers, another
#: collector has the same name. Two of them end each other's connections; Mosquitto 2.0 gives no reason.
MAX_SHORT_SESSIONS, SHORT_SESSION_S = 5, 20.0
STATUS_EVERY_S = 10.0
IDLE_S = 0.5


class Collector:
    """Collects from a broker into one database, until it is stopped.

    `brokers` are the machines of one broker: if one is away, the next is tried. `report` is called with a line when a
    connection is lost or made. Used by one thread.
    """

    def __init__(
        self, brokers: Sequence[Broker], address: Address, report: Callable[[str], None], leave: bool = False
    ) -> None:
        """With `leave`, store what waits at the broker for this collector, and end its session there."""
        self.written = Written()
        self._leave = leave
        self._received_at = time.monotonic()
        self._opened_at = 0.0
        self._short_sessions = 0
        self._brokers = deque(brokers)
        self._address = address
        self._report = report
        self._systemd = SystemdNotifier()
        self._connection: Connection | None = None
        self._database: Database | None = None
        self._store: Store | None = None
        self._broker_retry, self._database_retry, self._write_retry = RetryTimer(), RetryTimer(), RetryTimer()
        self._problems: dict[str, str] = {}
        self._connected_once: set[str] = set()
        self._is_ready = False
        self._status_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Collect until `stop` is set.

        An outage is waited out. Raises UnavailableError for what no attempt mends: a wrong password, another schema.
        """
        try:
            while not stop.is_set():
                self._connect_database()
                self._connect_broker()
                self._receive(stop)
                self._write()
                self._tell_systemd()
                if self._leave and self._has_left():
                    return
            self._write()  # what has arrived; the rest waits at the broker
        finally:
            self._systemd.stopping()
            self._close()

    @property
    def _can_write(self) -> bool:
        """Whether the next attempt to write is due."""
        return self._database is not None and not self._write_retry.rest_s

    def _connect_database(self) -> None:
        if self._database is not None or self._database_retry.rest_s:
            return
        try:
            self._database = connect(self._address)
            prepare(self._database, self._address)
            self._store = Store(self._database)
        except DatabaseError as error:
            self._lose_database("database", error, self._database_retry)
            return
        self._database_retry.reset()
        self._recover("database", str(self._address))

    def _connect_broker(self) -> None:
        # Before the first connection to the database, nothing could be stored.
        if self._connection is not None or self._broker_retry.rest_s or self._database is None:
            return
        try:
            self._connection = Connection(self._brokers[0], self._leave)
        except BrokerError as error:
            self._lose_broker(error)
            return
        how = "" if self._connection.is_shared else " (it has no shared subscriptions: each collector receives all)"
        self._opened_at = self._received_at = time.monotonic()
        self._recover("broker", f"{self._brokers[0]}{how}")

    def _receive(self, stop: threading.Event) -> None:
        """Receive until nothing comes for a moment, or there is enough for a batch."""
        if self._connection is None:
            stop.wait(min(IDLE_S, max(self._broker_retry.rest_s, self._database_retry.rest_s, 0.01)))
            return
        waiting = self._connection.received
        size = sum(len(each.payload) for each in waiting)
        try:
            count = len(waiting)
            self._connection.wait(GATHER_S if waiting and self._can_write else IDLE_S)
            while True:
                size += sum(len(each.payload) for each in waiting[count:])
                is_enough = len(waiting) >= MAX_IN_FLIGHT or size >= MAX_WAITING_BYTES or not self._can_write
                if is_enough or len(waiting) == count:
                    break
                count = len(waiting)
                self._connection.wait(GATHER_S)
        except BrokerError as error:
            self._lose_broker(error)
            return
        if not self._can_write and (size > MAX_WAITING_BYTES or len(waiting) > 2 * MAX_IN_FLIGHT):
            full = BrokerError(
                f"{self._brokers[0]}: more waits for the database than fits into the memory", "it comes again"
            )
            self._lose_broker(full)

    def _write(self) -> None:
        """Store what was received, and acknowledge it."""
        if self._connection is None or self._store is None or not self._can_write or not self._connection.received:
            return
        self._received_at = time.monotonic()
        batch: list[Message] = self._connection.received[:]
        try:
            self.written += self._store.write([read_message(each) for each in batch])
        except psycopg.Error as error:
            # It may accept connections and no rows, as with a full disk.
            self._lose_database("writing", explain(self._address, error), self._write_retry)
            return
        self._write_retry.reset()
        if self._problems.pop("writing", None) is not None:
            self._report(f"writing again: {self._address}")
        del self._connection.received[: len(batch)]
        try:
            self._connection.acknowledge(batch)
        except BrokerError as error:
            self._lose_broker(error)

    def _has_left(self) -> bool:
        """Return whether nothing has come for a while; then end the session."""
        if (
            self._connection is None
            or self._connection.received
            or time.monotonic() - self._received_at < LEAVE_AFTER_S
        ):
            return False
        self._connection.close(end_session=True)
        self._connection = None
        self._report(f"left: {self._brokers[0]} keeps nothing for this collector any more")
        return True

    def _lose_broker(self, error: BrokerError) -> None:
        """Forget the connection, and what was not acknowledged on it: the broker has it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            error = self._check_name(error)
        else:
            self._short_sessions = 0  # the broker is away: that ends connections, too
        self._brokers.rotate(-1)
        self._lose("broker", error, self._broker_retry, is_permanent=error.is_permanent)

    def _check_name(self, error: BrokerError) -> BrokerError:
        """Return the error, or another one if the connections end as they do when another collector has the same name.

        Messages are no sign of a good connection: the broker sends retained ones at the start of each.
        """
        if time.monotonic() - self._opened_at >= SHORT_SESSION_S:
            self._short_sessions = 0
            self._broker_retry.reset()
            return error
        if error.is_lost:
            self._short_sessions += 1
        if self._short_sessions < MAX_SHORT_SESSIONS:
            return error
        return BrokerError(
            f"{self._brokers[0]}: it ends each connection at once; another collector seems to have the same name",
            "give each its own --name",
            is_permanent=True,
        )

    def _lose_database(self, what: str, error: DatabaseError, retry: RetryTimer) -> None:
        if self._database is not None:
            with contextlib.suppress(psycopg.Error):
                self._database.close()
        self._database = self._store = None
        self._lose(what, error, retry, is_permanent=error.is_permanent)

    def _lose(self, what: str, error: UnavailableError, retry: RetryTimer, is_permanent: bool) -> None:
        if is_permanent:
            raise error
        retry.fail()
        if self._problems.get(what) != str(error):
            self._report(f"{error}; trying again ({error.hint})")
        self._problems[what] = str(error)

    def _recover(self, what: str, text: str) -> None:
        # A database that takes no rows is connected again and again: that is no news.
        if self._problems.pop(what, None) is not None or what not in self._connected_once:
            self._report(f"connected: {text}")
        self._connected_once.add(what)

    def _tell_systemd(self) -> None:
        if self._connection is not None and self._database is not None and not self._is_ready:
            self._is_ready = True
            self._systemd.ready()
        if time.monotonic() - self._status_at >= STATUS_EVERY_S:
            self._status_at = time.monotonic()
            new, known, rejected = self.written
            counts = f"{counted(new, 'event')} written, {known} there before, {counted(rejected, 'message')} put aside"
            self._systemd.status("; ".join([*self._problems.values(), counts]))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._database is not None:
            with contextlib.suppress(psycopg.Error):
                self._database.close()
