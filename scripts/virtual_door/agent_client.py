"""Send requests to the agent in the guest (guest/agent.py) over a serial line, and wait for the answers.

The serial line is a socket pair on the host. A request and its answer are one JSON object a line, with the same `id`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any


class MachineError(Exception):
    """The virtual machine did not do what was requested: no answer, no boot, a failed command."""


class AgentClient:
    """The host's end of the serial line.

    `is_running` returns False as soon as the machine has ended: waiting for an answer is then useless.
    """

    def __init__(self, line: socket.socket, is_running: Callable[[], bool]) -> None:
        self._line = line
        self._is_running = is_running
        #: Answers by id. Number 0 is the agent's own message once it is ready.
        self._answers: dict[int, list[dict[str, Any]]] = {0: []}
        self._new_answer = threading.Condition()
        self._numbers = itertools.count(1)
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_ready(self, within_s: float) -> None:
        """Wait until the agent has prepared the guest. Raises MachineError, also if the preparation failed."""
        problem = self._answer(0, within_s)["problem"]
        if problem:
            raise MachineError(f"the agent could not prepare the guest: {problem}")

    def ask(self, request: dict[str, Any], within_s: float) -> dict[str, Any]:
        """Send a request and return the answer. Raises MachineError if the answer is an error or does not come."""
        number = next(self._numbers)
        with self._new_answer:
            self._answers[number] = []
        self._line.sendall(json.dumps({"id": number, **request}).encode() + b"\n")
        answer = self._answer(number, within_s)
        if "error" in answer:
            raise MachineError(f"{request}: {answer['error']}")
        return answer

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := self._line.recv(65536):
                *texts, rest = (rest + data).split(b"\n")
                for text in texts:
                    with contextlib.suppress(ValueError), self._new_answer:
                        answer = json.loads(text)
                        if answer.get("id") in self._answers:
                            self._answers[answer["id"]].append(answer)
                            self._new_answer.notify_all()
        with self._new_answer:
            self._new_answer.notify_all()

    def _answer(self, number: int, within_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        with self._new_answer:
            while not self._answers[number]:
                left_s = deadline - time.monotonic()
                if not self._is_running():
                    raise MachineError("the machine has ended")
                if left_s <= 0:
                    raise MachineError(f"no answer within {within_s:.0f} s")
                self._new_answer.wait(min(left_s, 0.5))
            return self._answers.pop(number)[0]
