"""Call one webhook about events: each at least once, at most one call in a while, whatever the receiver does."""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
import time
from functools import partial
from pathlib import Path

from .. import __version__
from ..errors import DoorlightError, InputError, UnavailableError
from ..events.summary import is_of_kind
from ..link_settings import SECRET_PREFIX, WebhookSettings, is_webhook_address
from .backoff import Backoff
from .certificates import client_context
from .cursor import Cursor
from .cursor_keeper import CursorKeeper
from .http_post import PostError, post
from .log_tail import LogTail, end_of_log
from .secret_files import read_secret, read_text_secret
from .status import LinkStatus
from .webhook_message import Batch, body_of, check_events, signature_headers

#: How often (seconds) the log is looked at.
POLL_S = 0.5
#: Waiting times (seconds) after a failure.
FIRST_RETRY_S, MAX_RETRY_S, MAX_RETRY_AFTER_S = 2.0, 600.0, 3600.0
#: No call is made for this time (seconds) after the cursor could not be stored.
HOLD_S = 30.0
#: Lines that are read before the worker gives a sign of life.
MAX_LINES = 5000
#: Answers that say that this very message is wrong: after some attempts it is left out, so that others get through.
_REFUSED, MAX_REFUSALS = (400, 413, 422), 5
_HINTS = {
    401: "check token and url",
    403: "check token and url",
    404: "check the url",
    405: "check the url: it does not take POST",
    410: "the receiver is gone: remove this webhook, or correct its url",
    429: "raise interval_s",
}


class WebhookWorker:
    """Calls the webhook of `settings` about events of the door `door`.

    `ca` is a PEM file of an authority that is trusted, too; "" for none. Raises InputError if a secret cannot be read, and
    ConfigError if there is no such event.
    """

    def __init__(
        self, settings: WebhookSettings, ca: str, door: str, log: Path, folder: Path, status: LinkStatus
    ) -> None:
        self._settings = settings
        self._door = door
        self._log = log
        self._status = status
        self._name = f"webhook {settings.name}"
        where = f"link.webhook {settings.name}:"
        check_events(settings)
        self._url = _url(settings, where)
        self._secret = read_secret(f"{where} secret", settings.secret) if settings.secret else b""
        self._token = read_text_secret(f"{where} token", settings.token) if settings.token else ""
        self._kinds = {event.lower() for event in settings.events}
        self._context = _context(ca)
        self._backoff = Backoff(FIRST_RETRY_S, MAX_RETRY_S)
        self._batch = Batch()
        self._due = -math.inf  # when the next call may be made, on the monotonic clock
        self._refusals = 0
        self._log_problem: DoorlightError | None = None
        if self._secret:
            self._signature("", 0, b"")  # or the first alarm would find that the secret is damaged
        status.add(self._name, host_of(self._url), is_connected=True)
        self._keeper = CursorKeeper(folder / f"webhook-{settings.name}.cursor", self._name, status)

    @property
    def name(self) -> str:
        """Its name in the status."""
        return self._name

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set. Raises OutputError if the cursor cannot be read."""
        self._batch = Batch()  # after a failure, the log is read again from the cursor on
        cursor = self._keeper.load()
        if cursor is None:  # a new webhook is not called about the past
            cursor = self._end_of_log(stop)
            if cursor is None:
                return
            self._keeper.store(cursor, now=True)
        self._status.set_received(self._name, cursor.seq)
        tail = LogTail(self._log, cursor, partial(self._status.report_new_log, self._name))
        try:
            while not stop.is_set():
                self._status.beat(self._name)
                try:
                    is_at_end = self._read(tail)
                except DoorlightError as error:
                    self._log_failed(error)
                    stop.wait(self._backoff.next_s())
                    continue
                self._log_works()
                if self._batch and is_at_end and time.monotonic() >= self._due:
                    self._call()
                if not self._batch:
                    cursor = tail.cursor
                    self._status.set_received(self._name, cursor.seq)
                    if not self._keeper.store(cursor):
                        self._due = time.monotonic() + HOLD_S
                stop.wait(POLL_S if is_at_end else 0)
        finally:
            tail.close()
            self._keeper.store(cursor, now=True)

    def _end_of_log(self, stop: threading.Event) -> Cursor | None:
        """Return the cursor behind the newest event; None if `stop` is set before the log can be read."""
        while not stop.is_set():
            try:
                newest = end_of_log(self._log)
                return newest if newest.seq else self._behind_all(stop)
            except (OSError, DoorlightError) as error:
                self._status.beat(self._name)
                self._log_failed(InputError(f"{self._log}: cannot be read: {error}", "doorlight doctor"))
                stop.wait(self._backoff.next_s())
        return None

    def _behind_all(self, stop: threading.Event) -> Cursor | None:
        """Return the cursor behind the last line of all files, also of those that another program has compressed."""
        with contextlib.closing(LogTail(self._log, Cursor())) as tail:
            while tail.next() is not None:
                self._status.beat(self._name)
                if stop.is_set():
                    return None
            return tail.cursor

    def _log_failed(self, error: DoorlightError) -> None:
        self._log_problem = error
        self._status.report_failure(self._name, error, is_connected=True)

    def _log_works(self) -> None:
        if self._log_problem is not None:
            self._status.report_solved(self._name, self._log_problem)
            self._log_problem = None
            self._backoff.reset()

    def _read(self, tail: LogTail) -> bool:
        """Add new events to the batch. Return whether this was the end of the log. Raises InputError."""
        for _ in range(MAX_LINES):
            line = tail.next()
            if line is None:
                return True
            if line.missing is not None:
                self._status.report_missing(self._name, line.missing)
                self._batch.add_missing(line.missing)
            if is_of_kind(line.record, self._kinds):
                self._batch.add(line.record)
        return False

    def _call(self) -> None:
        """Make a call. Afterwards the batch is empty if its events have been received, or are left out."""
        now = time.monotonic()
        identity = self._batch.identity(self._door)
        body = body_of(self._batch, self._door, self._settings.body)
        try:
            answer = post(self._url, self._headers(identity, body), body, self._context)
        except PostError as error:
            self._status.report_failure(self._name, error)
            self._due = now + self._backoff.next_s()
            return
        if 200 <= answer.status < 300:
            self._status.set_connected(self._name)
            self._finish(now)
            return
        self._refusals += answer.status in _REFUSED
        hint = _HINTS.get(answer.status, "see the log of the receiver")
        self._status.report_failure(
            self._name, UnavailableError(f"{host_of(self._url)}: answers {answer.status}", hint)
        )
        if self._refusals >= MAX_REFUSALS:
            self._status.count_skipped(self._name, self._batch.count, f"the receiver answers {answer.status}")
            self._finish(now)
            return
        wait_s = max(self._backoff.next_s(), min(answer.retry_after_s or 0.0, MAX_RETRY_AFTER_S))
        self._due = now + wait_s

    def _finish(self, now: float) -> None:
        self._batch = Batch()
        self._refusals = 0
        self._backoff.reset()
        self._due = now + self._settings.interval_s

    def _headers(self, identity: str, body: bytes) -> dict[str, str]:
        time_s = int(time.time())
        headers = {
            "User-Agent": f"doorlight/{__version__}",
            "Content-Type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": str(time_s),
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers | self._signature(identity, time_s, body)

    def _signature(self, identity: str, time_s: int, body: bytes) -> dict[str, str]:
        try:
            return signature_headers(self._secret, identity, time_s, body) if self._secret else {}
        except ValueError:
            raise InputError(
                f"link.webhook {self._settings.name}: secret: is no base64 after whsec_", "copy it again"
            ) from None


def _context(ca: str) -> ssl.SSLContext:
    try:
        return client_context(ca)
    except OSError as error:  # also an ssl.SSLError
        raise InputError(f"link.ca: {ca}: is no certificate, or cannot be read", f"ls -l {ca}") from error


def host_of(url: str) -> str:
    """Return the part of an address that may be shown: what follows may be a key."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}"


def _url(settings: WebhookSettings, where: str) -> str:
    if not settings.url.startswith(SECRET_PREFIX):
        return settings.url
    url = read_text_secret(f"{where} url", settings.url.removeprefix(SECRET_PREFIX))
    if not is_webhook_address(url):
        raise InputError(f"{where} url: its file has no address", "write https://… into it")
    return url
