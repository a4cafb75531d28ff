"""Bring the door to an MQTT broker: every event once and in order, its state, its statistics, its place in Home Assistant."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path

from ..errors import DoorlightError
from ..events.record import EventRecord, utc_text
from ..link_settings import Broker
from ..remote_commands import COMMAND_BURST
from .announcement import Announcement
from .backoff import Backoff
from .broker_errors import BrokerError, refused
from .command_inbox import CommandError, CommandInbox
from .cursor import Cursor
from .cursor_keeper import CursorKeeper
from .discovery import ALARM_EVENT, OFFLINE, ONLINE
from .door_state import DoorState
from .hourly import HourlyStats
from .log_tail import Line, LogTail, Missing
from .mqtt import PACKET_OVERHEAD_BYTES, Login, MqttConnection, Received, Will
from .status import LinkStatus
from .topics import new_client_id
from .window import Window

NAME = "broker"
#: How often (seconds) the log is looked at, and the state is published if it has changed, or in any case.
POLL_S = 0.5
STATE_EVERY_S, STATE_AT_LEAST_EVERY_S = 1.0, 300.0
#: Waiting times (seconds) before the next attempt to connect.
FIRST_RETRY_S, MAX_RETRY_S = 1.0, 30.0
#: No events are sent for these times (seconds) after the broker has refused one.
FIRST_REFUSAL_S, MAX_REFUSAL_S = 5.0, 300.0
#: After this number of connections in a row that end within this time (seconds), another client may have the same id.
MAX_SHORT_SESSIONS, SHORT_SESSION_S = 3, 20.0
#: A broker that acknowledges nothing for this time (seconds) is left.
MAX_SILENCE_S = 60.0
#: No events are sent for this time (seconds) after the cursor could not be stored: they would be sent again and again.
HOLD_S = 30.0
#: A link that ends waits for this time (seconds) until the broker has everything.
GOODBYE_S = 2.0
#: Home Assistant asks devices not to answer its start all at once.
MAX_ANNOUNCE_DELAY_S = 3.0


class MqttWorker:
    """Keeps a connection to the broker. `run` returns when `stop` is set."""

    def __init__(
        self,
        log: Path,
        folder: Path,
        broker: Broker,
        login: Login,
        announcement: Announcement,
        state: DoorState,
        status: LinkStatus,
        inbox: CommandInbox | None = None,
    ) -> None:
        """Without `inbox`, the link takes no commands."""
        self.log = log
        self.inbox = inbox
        self._folder = folder
        self.broker = broker
        self.login = login
        self.announcement = announcement
        self.state = state
        self.status = status
        self.backoff = Backoff(FIRST_RETRY_S, MAX_RETRY_S)
        self.rng = random.Random()
        self._short_sessions = 0
        status.add(NAME, str(broker))
        self.cursor_keeper = CursorKeeper(folder / "broker.cursor", NAME, status)

    @property
    def name(self) -> str:
        """Its name in the status."""
        return NAME

    def run(self, stop: threading.Event) -> None:
        """Connect, send, and connect again. Raises OutputError if the cursor cannot be read."""
        cursor = self.cursor_keeper.load() or Cursor()
        self.status.set_received(NAME, cursor.seq)
        while not stop.is_set():
            self.status.beat(NAME)
            connection = MqttConnection(self.broker, self.login, Will(self.announcement.topics.availability, OFFLINE))
            session = _Session(self, connection, cursor)
            try:
                connection.open()
                session.run(stop)
            except BrokerError as error:
                self.status.report_failure(NAME, error)
                self._check_client_id(error, session.lasted_s)
            finally:
                cursor = session.cursor
                session.close()
                self.cursor_keeper.store(cursor, now=True)
            stop.wait(0 if stop.is_set() else self.backoff.next_s())
        self.state.close()
        if self.inbox is not None:
            self.inbox.close()

    def _check_client_id(self, error: BrokerError, lasted_s: float | None) -> None:
        """Choose a new client id if another door has the same, as after a card was copied: then both can be connected.

        `lasted_s` is how long the connection was open; None if it never was. Mosquitto 2.0 gives no reason when it ends the
        connection of a client whose id another one uses.
        """
        if lasted_s is not None and lasted_s >= SHORT_SESSION_S:
            self.backoff.reset()
        if lasted_s is not None:
            is_short = lasted_s < SHORT_SESSION_S and error.is_lost
            self._short_sessions = self._short_sessions + 1 if is_short else 0
        if not error.is_taken_over and self._short_sessions < MAX_SHORT_SESSIONS:
            return
        self._short_sessions = 0
        new = new_client_id(self.announcement.topics.door, self._folder)
        self.login = Login(new, self.login.username, self.login.password, self.login.tls)


class _Session:
    """What happens on one connection."""

    def __init__(self, worker: MqttWorker, connection: MqttConnection, cursor: Cursor) -> None:
        self._worker = worker
        self._connection = connection
        self._topics = worker.announcement.topics
        self._status = worker.status
        self._window = Window(cursor)
        self._tail = self._open_tail(cursor)
        #: A line that waits for the message about what is missing before it.
        self._waiting: Line | None = None
        #: Messages that are no events, by topic: a newer payload replaces an older one. The flag means "retain".
        self._outbox: dict[str, tuple[bytes, bool]] = {}
        #: Those on their way, by number: their topics.
        self._others: dict[int, str] = {}
        #: One more than are allowed at once, so that the surplus is refused with a message.
        self._commands: deque[Received] = deque(maxlen=COMMAND_BURST + 1)
        self._hourly = HourlyStats(worker.log)
        self._sent_state: bytes = b""
        self._state_due = self._state_at = 0.0
        self._announce_at: float | None = time.monotonic()
        self._opened_at: float | None = None
        #: The broker has acknowledged something then, or there was nothing to acknowledge.
        self._heard_at = 0.0
        self._log_problem: DoorlightError | None = None
        self._hold_until = 0.0
        self._refusals = Backoff(FIRST_REFUSAL_S, MAX_REFUSAL_S)

    @property
    def cursor(self) -> Cursor:
        """The cursor behind the last event that has arrived."""
        return self._window.cursor

    @property
    def lasted_s(self) -> float | None:
        """For how long (seconds) the connection has been open; None if it was not."""
        return None if self._opened_at is None else time.monotonic() - self._opened_at

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. Raises BrokerError if the connection ends."""
        self._opened_at = self._heard_at = time.monotonic()
        self._status.set_connected(NAME)
        self._connection.subscribe(*self._worker.announcement.subscriptions)
        if self._worker.inbox is not None:
            self._connection.subscribe(self._topics.command)
        while not stop.is_set():
            self._status.beat(NAME)
            self._announce()
            self._send_state()
            self._send_outbox()
            self._send_events()
            self._connection.wait(POLL_S if self._worker.state.is_current else 0.0)
            self._take_acknowledgements()
            self._take_messages()
            self._take_commands()
            if not self._worker.cursor_keeper.store(self.cursor):
                self._hold_until = time.monotonic() + HOLD_S
            self._heard_at = time.monotonic() if not (self._window or self._others) else self._heard_at
            if time.monotonic() - self._heard_at > MAX_SILENCE_S:
                raise BrokerError(f"{self._worker.broker}: the broker acknowledges nothing", "restart the broker")
        self._say_goodbye()

    def close(self) -> None:
        """Close connection and log."""
        self._connection.close()
        self._tail.close()

    def _open_tail(self, cursor: Cursor) -> LogTail:
        return LogTail(self._worker.log, cursor, partial(self._status.report_new_log, NAME))

    def _announce(self) -> None:
        if self._announce_at is None or time.monotonic() < self._announce_at:
            return
        self._announce_at = None
        for topic, payload in self._worker.announcement.messages():
            self._send(topic, payload, retain=True)
        self._send(self._topics.availability, ONLINE, retain=True)
        self._sent_state = b""
        self._hourly.forget()

    def _send_state(self) -> None:
        """Publish the state if it has changed, alarms of this moment, and the last hour if it is complete."""
        now = time.monotonic()
        state = self._worker.state
        try:
            state.update()
        except DoorlightError as error:
            self._log_problem = error
            self._status.report_failure(NAME, error, is_connected=True)
            return
        if self._log_problem is not None:
            self._status.report_solved(NAME, self._log_problem)
            self._log_problem = None
        for record in state.take_alarms():
            self._send(self._topics.alarm, _alarm(record))
        if not state.is_current or now < self._state_due:
            return
        self._state_due = now + STATE_EVERY_S
        payload = _json(state.as_json(self._status.lost_events(NAME)))
        if payload != self._sent_state or now - self._state_at > STATE_AT_LEAST_EVERY_S:
            self._sent_state, self._state_at = payload, now
            self._send(self._topics.state, payload, retain=True)
        if (hour := self._hourly.newest()) is not None:
            self._send(self._topics.stats, _json(hour), retain=True)

    def _send_events(self) -> None:
        """Send lines while the window has room. Raises InputError if the log cannot be read."""
        if time.monotonic() < self._hold_until:
            return
        while self._has_room():
            try:
                line, self._waiting = self._waiting or self._tail.next(), None
            except DoorlightError as error:
                self._status.report_failure(NAME, error, is_connected=True)
                self._hold_until = time.monotonic() + self._refusals.next_s()
                return
            if line is None:
                return
            if line.missing is not None:
                self._send_missing(line.missing)
                self._waiting = line._replace(missing=None)
                continue
            if self._is_too_long(line.text):
                self._status.count_skipped(NAME, 1, f"the line of event {line.seq} is longer than the broker accepts")
                self._send_missing(Missing(line.seq, line.seq), line.cursor)
                continue
            self._window.add(self._connection.publish(self._topics.events, line.text), line.cursor)

    def _send_missing(self, missing: Missing, cursor: Cursor | None = None) -> None:
        """Send what is missing. `cursor` is behind a line that is left out."""
        self._status.report_missing(NAME, missing)
        payload = _json({"first": missing.first, "last": missing.last, "time": utc_text(time.time())})
        self._window.add(self._connection.publish(self._topics.gap, payload), cursor)

    def _is_too_long(self, text: bytes) -> bool:
        limit = self._connection.max_packet_bytes
        return limit is not None and len(text) + len(self._topics.events) + PACKET_OVERHEAD_BYTES > limit

    def _send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message that is no event, as soon as the broker takes one."""
        self._outbox[topic] = payload, retain
        self._send_outbox()

    def _send_outbox(self) -> None:
        while self._outbox and self._has_room():
            topic = next(iter(self._outbox))
            payload, retain = self._outbox.pop(topic)
            self._others[self._connection.publish(topic, payload, retain=retain)] = topic

    def _has_room(self) -> bool:
        """Return whether the broker takes another message (its Receive Maximum)."""
        return len(self._window) + len(self._others) < self._connection.max_in_flight

    def _take_acknowledgements(self) -> None:
        before = self.cursor
        if self._connection.acknowledged:
            self._heard_at = time.monotonic()
        while self._connection.acknowledged:
            number, error = self._connection.acknowledged.popleft()
            topic = self._others.pop(number, None)
            if error is None:
                self._status.report_delivery(NAME, topic or self._topics.events)
                if topic is None:
                    self._window.acknowledge(number)
                continue
            problem = refused(str(self._worker.broker), error, f"the topic {topic or self._topics.events}")
            self._status.report_failure(NAME, problem, is_connected=True)
            if number in self._window:  # the broker refuses all of a window, one by one
                self._rewind()
        if self.cursor != before:
            self._status.set_received(NAME, self.cursor.seq)
            self._refusals.reset()
            self._worker.backoff.reset()

    def _rewind(self) -> None:
        """Send again, later, what the broker has refused: nothing is left out."""
        self._tail.close()
        self._tail = self._open_tail(self.cursor)
        self._window = Window(self.cursor)
        self._waiting = None
        self._hold_until = time.monotonic() + self._refusals.next_s()

    def _take_messages(self) -> None:
        while self._connection.received:
            message = self._connection.received.popleft()
            topic, payload = message.topic, message.payload
            if topic == self._topics.command:
                self._commands.append(message)
            elif topic == self._topics.availability:
                if payload == OFFLINE:  # the will of a former connection, which the broker has noticed late
                    self._send(topic, ONLINE, retain=True)
            elif payload == b"online":
                self._announce_at = time.monotonic() + self._worker.rng.uniform(0, MAX_ANNOUNCE_DELAY_S)

    def _take_commands(self) -> None:
        """Pass commands on to the door; report those that are refused, and a door that does not answer."""
        inbox = self._worker.inbox
        if inbox is None:
            return
        while self._connection.refused:
            topic, code = self._connection.refused.popleft()
            if topic == self._topics.command:
                problem = refused(str(self._worker.broker), code, f"the topic {topic}")
                self._status.report_failure(NAME, problem, is_connected=True)
        try:
            while self._commands:
                message = self._commands.popleft()
                inbox.take(message.payload, is_retained=message.is_retained)
            inbox.check_answer()
        except CommandError as error:
            self._status.report_refused_command(NAME, error)

    def _say_goodbye(self) -> None:
        """Publish that the door is offline: a broker keeps the will of a client that leaves in order."""
        self._send(self._topics.availability, OFFLINE, retain=True)
        until = time.monotonic() + GOODBYE_S
        while (self._outbox or self._others or self._window) and time.monotonic() < until:
            self._connection.wait(0.1)
            self._take_acknowledgements()
            self._send_outbox()


def _alarm(record: EventRecord) -> bytes:
    return _json({"event_type": ALARM_EVENT, "seq": record.get("seq"), "time": record.get("time")})


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
