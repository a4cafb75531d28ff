"""Run the lights in a child process, so that no lamp stays lit when the door dies or hangs.

On Raspberry Pi OS the pins of a dead process keep their levels. A door process that is stopped, loops, or waits forever
for an inference does not change its pins any more, and could stay green. A watching thread would stop with its process.

Therefore a small child process holds the pins. The door sends it the signal to show with every frame. The child shows
FAULT if no message arrives within a timeout. When the door exits for any reason, the kernel closes the socket and the
child switches the lights off. systemd also restarts a door that hangs (WatchdogSec=), but only after a much longer
time.

The child is forked before the large imports to keep its memory small. It imports gpiozero and lgpio, which is slow,
while the door imports its own modules.

The door watches the child, too. If the child does not answer, the door kills it, switches the pins off itself, and
fails, so that the service restarts. If both processes die at once, `doorlight lights --off` in ExecStopPost= switches
the pins off.

Each packet on the socket is one message:

- The child's first message is DONE if the pins are open, an error if they cannot be opened, or {"simulated": reason} on a
  machine without pins.
- The door then sends names of signals (with KNOWN behind it if everyone in view is known), SILENT_ALARM or LAMP_TEST, and
  RELEASE_RELAY before the first one. The child answers each with DONE, or with an error if the pins fail.
- An error is {"error": message, "hint": hint}, in JSON. The child exits after it.
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
from typing import NoReturn, Self

from ..config import LightSettings, RelaySettings
from ..errors import LightsError
from ..records import Signal
from ..system import child_process
from . import gpio
from .lights import Lights
from .pin_factory import missing_pins_reason

#: Importing gpiozero and opening the pins takes seconds on a Zero 2 W.
OPEN_TIMEOUT_S = 30.0
#: The child normally answers at once. After this time without an answer the door gives up.
ANSWER_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 65536
DONE = b"done"
RELEASE_RELAY = b"release relay"
KNOWN = b" known"
SILENT_ALARM, LAMP_TEST = b"silent alarm", b"lamp test"


class PinProcess:
    """Show signals as `Lights` does, through a child process that outlives this one.

    The constructor forks at once: call it early, while the process has one thread and little memory. Then call
    `connect` and show signals with what it returns.
    """

    simulated = False

    def __init__(self, settings: LightSettings, silence_timeout_s: float, relay: RelaySettings | None = None) -> None:
        """Fork the child. After its first signal, it shows FAULT if the next does not arrive within the timeout."""
        self._settings = settings
        self._relay = relay
        self._unanswered = 0
        self._unanswered_since = 0.0
        self._closed = False
        self._channel, child_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()  # or the child would print the buffered text a second time
        with child_channel:
            self._pid = os.fork()
            if not self._pid:
                self._channel.close()
                _run_child(child_channel, settings, relay, silence_timeout_s)
        self._channel.setblocking(False)

    def connect(self, report: Callable[[str], None] | None = None) -> Lights | Self:
        """Wait until the pins are open, and return this object, or simulated lights on a machine without pins.

        `report` is as for `Lights`. Raises LightsError, as `Lights` does. The result is a context manager.
        """
        select.select([self._channel], [], [], OPEN_TIMEOUT_S)
        try:
            answer = self._channel.recv(MAX_ANSWER_BYTES)
        except BlockingIOError:
            self._fail(f"does not open them within {OPEN_TIMEOUT_S:g} s")
        if answer == DONE:
            return self
        if not answer:
            self._fail("has died")
        self.close()
        message = json.loads(answer)
        if "simulated" not in message:
            raise LightsError(message["error"], message["hint"])
        if report:
            report(f"the lights are simulated: {message['simulated']}")
        return Lights(self._settings, True, report, relay=self._relay)

    def show(self, shown: Signal, known: bool = False, *, is_silent: bool = False) -> None:
        """Show a signal, and reset the child's timeout. Do nothing after `close` or after a LightsError.

        `known` is as for `Lights.show`. With `is_silent`, the buzzer does not sound. Never blocks. Raises LightsError if the
        pins cannot be driven any more.
        """
        if is_silent and shown is Signal.ALARM:
            self._send(SILENT_ALARM)
        else:
            self._send(shown.value.encode() + (KNOWN if known else b""))

    def test_lamps(self) -> None:
        """Light red and green together if IDLE is shown, until the next signal. As `show` otherwise."""
        self._send(LAMP_TEST)

    def release_relay(self) -> None:
        """Switch the relay off and release its pin: the signals that follow do not switch it. As `show` otherwise."""
        if self._relay is not None and self._relay.resting:
            self._send(RELEASE_RELAY)

    def _send(self, message: bytes) -> None:
        if self._closed:
            return
        self._read_answers()
        now = time.monotonic()
        if self._unanswered and now - self._unanswered_since > ANSWER_TIMEOUT_S:
            self._fail(f"does not answer (for {now - self._unanswered_since:.1f} s)")
        try:
            self._channel.send(message)
        except BlockingIOError:
            return  # the child does not read; the answer timeout ends this
        except OSError:
            self._read_answers()  # raises the child's own error if it sent one
            self._fail("has died")
        if not self._unanswered:
            self._unanswered_since = now
        self._unanswered += 1

    def close(self) -> None:
        """Switch everything off, release the pins, and wait for the child. Can be called more than once.

        If the child does not exit, or fails, this process switches the pins off.
        """
        self._closed = True
        if self._channel.fileno() < 0:
            return
        self._channel.close()
        child = os.pidfd_open(self._pid)
        try:
            if not select.select([child], [], [], CLOSE_TIMEOUT_S)[0]:
                os.kill(self._pid, signal.SIGKILL)
                # The kernel may hold the child in a driver, where no signal ends it. Then nobody else gets the pins
                # either, and this process must not hang, too.
                if not select.select([child], [], [], CLOSE_TIMEOUT_S)[0]:
                    return
        finally:
            os.close(child)
        _, status = os.waitpid(self._pid, 0)
        if status:
            with contextlib.suppress(LightsError, OSError):
                gpio.switch_off({**(self._relay.resting if self._relay is not None else {}), **self._settings.resting})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read_answers(self) -> None:
        """Read the answers that have arrived. Raises LightsError if one is an error, or if the child has exited."""
        while True:
            try:
                answer = self._channel.recv(MAX_ANSWER_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # reported once if the child exits with unread messages; a final message may still follow
            if answer != DONE:
                break
            self._unanswered -= 1
            self._unanswered_since = time.monotonic()
        if answer:
            message = json.loads(answer)
            self.close()
            raise LightsError(message["error"], message["hint"])
        self._fail("has died")

    def _fail(self, problem: str) -> NoReturn:
        """Kill the child, switch the pins off, and raise LightsError."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self.close()
        raise LightsError(f"the process that holds the pins {problem}", "nothing to do: the service restarts")


def _run_child(
    channel: socket.socket, settings: LightSettings, relay: RelaySettings | None, silence_timeout_s: float
) -> NoReturn:
    """Run the child process: open the pins and serve the door until it closes the socket."""
    exit_code = 1
    try:
        # The child exits when the socket closes, so that the lights go off after the door has ended. SIGABRT is the
        # watchdog's: systemd sends it to every process of the door.
        child_process.ignore_stop_signals(signal.SIGABRT)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text("doorlight-pins")  # shown by `ps`, and for the holder of a pin
        try:
            if reason := missing_pins_reason():
                channel.send(json.dumps({"simulated": reason}).encode())
            else:
                with Lights(settings, relay=relay) as lights:
                    _serve(channel, lights, silence_timeout_s)
        except ConnectionError:
            pass  # the door has exited
        except LightsError as error:
            _send_error(channel, str(error), error.hint)
        except Exception as error:  # lgpio's errors have no common base
            _send_error(channel, f"the lights fail: {error}")
        exit_code = 0
    finally:
        os._exit(exit_code)  # skips the exit handlers that the child inherited from the door


def _serve(channel: socket.socket, lights: Lights, silence_timeout_s: float) -> None:
    """Show the signals that arrive; show FAULT while none arrives. Return when the door closes the socket."""
    channel.send(DONE)
    while True:
        try:
            message = channel.recv(64)
        except TimeoutError:
            lights.show(Signal.FAULT)
            continue
        if not message:
            return
        if message == RELEASE_RELAY:
            lights.release_relay()
            channel.send(DONE)
            continue
        channel.settimeout(silence_timeout_s)  # from the first signal on: loading the models may take long
        if message == LAMP_TEST:
            lights.test_lamps()
        elif message == SILENT_ALARM:
            lights.show(Signal.ALARM, is_silent=True)
        else:
            lights.show(Signal(message.removesuffix(KNOWN).decode()), message.endswith(KNOWN))
        channel.send(DONE)


def _send_error(channel: socket.socket, error: str, hint: str = "") -> None:
    channel.send(json.dumps({"error": error, "hint": hint}).encode())
