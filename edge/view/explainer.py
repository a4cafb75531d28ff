"""Have faces explained by a child process, one frame at a time, without keeping the door waiting.

A thread starts the child with the first question, and ends with it after IDLE_S without another one. The thread must live as
long as the child, see `child_process.set_up`.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import Config
from ..system import child_process
from .server import Reply

if TYPE_CHECKING:
    from ..imaging.images import Picture

#: As in explain_process, which loads the models' runtime.
JOB, RESULT = struct.Struct(">III"), struct.Struct(">II")
#: The child loads the models, and explains, within these times (seconds). Otherwise it is killed.
START_TIMEOUT_S, JOB_TIMEOUT_S = 15.0, 33.0
#: The child ends after this time (seconds) without a question: its memory is needed elsewhere.
IDLE_S = 20.0
#: After an explanation the child rests for as long as it took, at most this time (seconds): a small box becomes hot.
MAX_REST_S = 5.0
#: Larger results are an error.
MAX_RESULT_BYTES = 4 << 20

_now = time.monotonic


@dataclass(frozen=True, eq=False)
class Question:
    """A frame and what is asked about it. Two questions with the same `key` have the same answer.

    `job` is what `explain_process.Job` reads. `about` is added to the answer.
    """

    key: tuple[object, ...]
    picture: Picture
    job: dict[str, Any]
    about: dict[str, object] = field(default_factory=dict)


@dataclass(eq=False)
class _Running:
    question: Question
    askers: list[tuple[object, Reply]]


class Explainer:
    """Answers questions one after the other. The methods may be called by any thread, and never wait."""

    def __init__(self, config: Config, models_folder: Path | None) -> None:
        start = {"config": config, "models": models_folder and str(models_folder), "show_faces": config.web.show_faces}
        self._start_message = msgspec.json.encode(start) + b"\n"
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None
        self._cancel: int | None = None
        self._is_closing = False
        self._last: tuple[tuple[object, ...], dict[str, object], bytes] | None = None

    def ask(self, question: Question, client: object, reply: Reply) -> None:
        """Answer a question: at once if it is the last one again, or if another one is being answered.

        Raises OSError or RuntimeError if this process has too many open files or threads.
        """
        with self._changed:
            running = self._running
            if self._last is not None and self._last[0] == question.key:
                reply(*self._last[1:])
            elif running is not None and running.question.key == question.key and running.askers:
                running.askers.append((client, reply))
            elif running is not None or self._is_closing:
                reply({"state": "busy"}, b"")
            else:
                if self._thread is None:
                    self._start()
                self._running = _Running(question, [(client, reply)])
                self._changed.notify_all()

    def forget(self, client: object) -> None:
        """Drop the questions of a client; if nobody else waits for the answer, the child is killed."""
        if self._running is None:
            return
        with self._changed:
            running = self._running
            if running is None or all(asker is not client for asker, _ in running.askers):
                return
            running.askers = [(asker, reply) for asker, reply in running.askers if asker is not client]
            if not running.askers:
                self._cancel_now()
                self._changed.notify_all()  # wake the thread: it may be resting before this question

    def close(self) -> None:
        """End the child and the thread."""
        with self._changed:
            self._is_closing = True
            self._last = None
            self._cancel_now()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(2.0)

    def _start(self) -> None:
        cancel = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        thread = threading.Thread(target=self._run, args=(cancel,), name="explain", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            os.close(cancel)
            raise
        self._thread = thread

    def _cancel_now(self) -> None:
        if self._cancel is not None:
            os.eventfd_write(self._cancel, 1)

    # ---- The thread --------------------------------------------------------------------------------------------------

    def _run(self, cancel: int) -> None:
        child: _Child | None = None
        rest_until = 0.0
        try:
            while (running := self._next(rest_until, cancel)) is not None:
                began = _now()
                try:
                    child = child or _Child(self._start_message, cancel)
                    result, body = child.explain(running.question)
                    answer = {"state": "done", **running.question.about, **result}
                except Exception as error:  # whatever happens, the askers get an answer
                    answer, body = {"state": str(error) if isinstance(error, _ChildError) else "failed"}, b""
                    if child is not None:
                        child.close()
                        child = None
                self._finish(running, answer, body)
                rest_until = _now() + min(_now() - began, MAX_REST_S)
        finally:
            if child is not None:
                child.close()
            os.close(cancel)

    def _next(self, rest_until: float, cancel: int) -> _Running | None:
        """Return the next question, after the rest; None if there is none for long, or at the end."""
        idle_until = _now() + IDLE_S
        with self._changed:
            while not self._is_closing:
                if self._running is not None and not self._running.askers:
                    self._running = None
                left = (idle_until if self._running is None else rest_until) - _now()
                if left > 0:
                    self._changed.wait(left)
                elif self._running is None:
                    break
                else:
                    self._cancel = cancel
                    return self._running
            self._thread = None
            return None

    def _finish(self, running: _Running, answer: dict[str, object], body: bytes) -> None:
        with self._changed:
            if answer["state"] == "done":
                self._last = (running.question.key, answer, body)
            for _, reply in running.askers:
                reply(answer, body)
            self._running = None
            if self._cancel is not None:
                with contextlib.suppress(BlockingIOError):  # nothing was cancelled
                    os.eventfd_read(self._cancel)
            self._cancel = None


class _ChildError(Exception):
    """Why there is no answer: the state of the answer that says so."""


class _Child:
    """The child process, and its pipes. Belongs to one thread."""

    def __init__(self, start_message: bytes, cancel: int) -> None:
        self._cancel = cancel
        self._start_message = start_message
        self._process = subprocess.Popen(
            child_process.command("edge.view.explain_process"),
            env=child_process.environment() | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        self._first_s = START_TIMEOUT_S
        self._deadline = 0.0

    def explain(self, question: Question) -> tuple[dict[str, Any], bytes]:
        """Return the result of a question. Raises _ChildError, OSError."""
        self._deadline, self._first_s = _now() + self._first_s + JOB_TIMEOUT_S, 0.0
        data = msgspec.json.encode(question.job)
        height, width = question.picture.shape[:2]
        header, self._start_message = self._start_message + JOB.pack(len(data), height, width), b""
        self._write(header + data)
        picture = question.picture
        # A copy of a large picture would hold up the door's loop.
        self._write(picture.data.cast("B") if picture.flags.c_contiguous else memoryview(picture.tobytes()))
        lengths = RESULT.unpack(self._read(RESULT.size))
        if sum(lengths) > MAX_RESULT_BYTES:
            raise _ChildError("failed")
        return msgspec.json.decode(self._read(lengths[0])), self._read(lengths[1])

    def close(self) -> None:
        """Kill the child."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._stdin, select.POLLOUT)
            rest = rest[os.write(self._stdin, rest[: 64 << 10]) :]

    def _read(self, count: int) -> bytes:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._wait(self._stdout, select.POLLIN)
            size = os.readv(self._stdout, [rest])
            if not size:
                raise _ChildError("failed")  # it has died
            rest = rest[size:]
        return bytes(data)

    def _wait(self, file: int, event: int) -> None:
        """Wait until `file` is ready. Raises _ChildError after the deadline, or if nobody waits any more."""
        poll = select.poll()
        poll.register(file, event)
        poll.register(self._cancel, select.POLLIN)
        ready = dict(poll.poll(1000 * max(0.0, self._deadline - _now())))
        if self._cancel in ready:
            raise _ChildError("cancelled")
        if file not in ready:
            raise _ChildError("slow")
