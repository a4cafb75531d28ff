"""The lights in a process of their own, so that none stays lit for a door that has died or hangs.

The pins of a dead process stay as they were (Raspberry Pi OS wants it so), and a process that is stopped, that loops, or
whose inference never comes back changes nothing any more: whoever comes to the door would find it green. A thread that
watches over it stops with it. So a small process holds the pins and is told in every frame what to show. Told nothing for
too long, it shows FAULT; when the door has died, however it did, the kernel closes the line between the two and the lights
go off. systemd ends and restarts a door that hangs (WatchdogSec=), but only after many times as long.

It is a fork of the door from before the large imports, for the sake of memory; and what takes its time about pins, gpiozero
and lgpio, is loaded meanwhile.

In turn the door watches its keeper: without an answer it ends the keeper, darkens the pins itself and fails, to be started
anew. Should both die at once there is still `doorlight lights --off` in ExecStopPost=.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from . import gpio
from .config import LightSettings
from .errors import LightsError
from .lights import Lights, why_none
from .records import Signal

#: Importing gpiozero and opening the pins takes seconds on a Zero 2 W.
OPEN_S = 30.0
#: The keeper answers at once; so long without, and it hangs.
ANSWER_S = 3.0
#: How long it may take to end by itself.
CLOSE_S = 2.0
DONE = b"done"


class Keeper:
    """Shows signals as `Lights` does, by way of a process of its own that outlives this one; see the top of this module.

    The process is forked off at once: make it early, while there is one thread and little memory. `lights` then gives what
    to show signals with.
    """

    simulated = False

    def __init__(self, settings: LightSettings, patience_s: float) -> None:
        """Told nothing for `patience_s`, once it has been told something, it shows FAULT until it is told again."""
        self._settings = settings
        self._waiting = 0  # orders without an answer,
        self._since = 0.0  # and since when
        self._gone = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        with theirs:
            self._pid = os.fork()
            if not self._pid:
                self._channel.close()
                _keep(theirs, settings, patience_s)
        self._channel.setblocking(False)

    def lights(self, say: Callable[[str], None] | None = None) -> Lights | Self:
        """What to show signals with, a context manager: this, or, on a machine without pins, simulated lights.

        `say` as in `Lights`. Raises LightsError, as `Lights` does.
        """
        select.select([self._channel], [], [], OPEN_S)
        try:
            answer = self._channel.recv(65536)
        except BlockingIOError:
            self._fail(f"does not open them within {OPEN_S:g} s")
        if answer == DONE:
            return self
        if not answer:
            self._fail("has died")
        self.close()
        told = json.loads(answer)
        if "simulated" not in told:
            raise LightsError(told["error"], told["hint"])
        if say:
            say(f"the lights are simulated: {told['simulated']}")
        return Lights(self._settings, True, say)

    def show(self, shown: Signal) -> None:
        """Show `shown`, which also says that the door is alive. Raises LightsError where the pins cannot be driven any more.

        After that, and after close(), it does nothing.
        """
        if self._gone:
            return
        self._hear()
        now = time.monotonic()
        if self._waiting and now - self._since > ANSWER_S:
            self._fail(f"does not answer (for {now - self._since:.1f} s)")
        try:
            self._channel.send(shown.value.encode())
        except BlockingIOError:
            return  # full of orders that nobody takes: see above
        except OSError:
            self._hear()
            self._fail("has died")
        if not self._waiting:
            self._since = now
        self._waiting += 1

    def close(self) -> None:
        """Everything off, pins let go; may be called again and again."""
        # Its end is waited for; where it was not a good one, the pins are darkened from here.
        self._gone = True
        if self._channel.fileno() < 0:
            return
        self._channel.close()
        ended = os.pidfd_open(self._pid)
        try:
            in_order = bool(select.select([ended], [], [], CLOSE_S)[0])
        finally:
            os.close(ended)
        if not in_order:
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        if status:
            with contextlib.suppress(LightsError, OSError):
                gpio.switch_off(self._settings.resting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hear(self) -> None:
        """Take the answers that have come. Raises LightsError where one says so, or none will come any more."""
        while True:
            try:
                answer = self._channel.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # told once, where it has ended with orders untaken; its last word comes after that
            if answer != DONE:
                break
            self._waiting -= 1
            self._since = time.monotonic()
        if answer:
            told = json.loads(answer)
            self.close()
            raise LightsError(told["error"], told["hint"])
        self._fail("has died")

    def _fail(self, what: str) -> NoReturn:
        """Give the keeper up, and leave nothing lit."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.close()
        raise LightsError(f"the process that holds the pins {what}", "nothing to do: the service starts anew")


# ---- The keeper's side -----------------------------------------------------------------------------------------------


def _keep(channel: socket.socket, settings: LightSettings, patience_s: float) -> NoReturn:
    """What the forked process does: show what it is told until the door hangs up."""
    code = 1
    try:
        # Ctrl-C and systemd's signals, SIGABRT among them, go to every process of the door; the line says when it is over.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT):
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("doorlight-pins")  # what `ps` calls it, and who is said to hold a pin
        try:
            if reason := why_none():
                channel.send(json.dumps({"simulated": reason}).encode())
            else:
                with Lights(settings) as lights:
                    _serve(channel, lights, patience_s)
        except ConnectionError:
            pass  # the door is gone
        except Exception as error:  # lgpio's have no common base
            hint = error.hint if isinstance(error, LightsError) else ""
            said = str(error) if isinstance(error, LightsError) else f"the lights fail: {error}"
            channel.send(json.dumps({"error": said, "hint": hint}).encode())
        code = 0
    finally:
        os._exit(code)  # nothing of the door's own, say its exit handlers, is to run here


def _serve(channel: socket.socket, lights: Lights, patience_s: float) -> None:
    channel.send(DONE)
    while True:
        try:
            told = channel.recv(64)
        except TimeoutError:
            lights.show(Signal.FAULT)
            continue
        if not told:
            return
        channel.settimeout(patience_s)
        lights.show(Signal(told.decode()))
        channel.send(DONE)
