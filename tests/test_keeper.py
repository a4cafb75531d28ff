"""The process that holds the pins, on gpiozero's real lgpio pins over an lgpio that writes down what it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_door import CONFIG, Script
from test_lights import on_a_pi, pi_process
from test_perception import frame_at

from edge import door, gpio, keeper, manifest
from edge.errors import LightsError
from edge.events import EventLog
from edge.keeper import Keeper
from edge.perception import Perception
from edge.records import Signal

#: Levels of (green, red, buzzer), from what the fake lgpio prints: "17 1".
GREEN, RED, OFF = (1, 0, 0), (0, 1, 0), (0, 0, 0)
IMPORTS = """
    import signal, time
    from edge import keeper
    from edge.keeper import Keeper
    # Whoever runs the tests in the background (nohup) has these ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""


class Pi:
    """A door in a process of its own, on a machine that passes for a Raspberry Pi, and what becomes of its pins."""

    def __init__(self, folder: Path, code: str) -> None:
        self.process = pi_process(folder, textwrap.dedent(IMPORTS) + textwrap.dedent(code))
        self.printed: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.printed.append(line.strip())
                self._news.notify_all()

    def levels(self) -> tuple[int, ...]:
        written = dict(line.split() for line in self.printed if line[:1].isdigit())
        return tuple(int(written[pin]) for pin in ("17", "27", "24"))

    def until(self, test: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(test, 60), self.printed

    def until_levels(self, levels: tuple[int, ...]) -> None:
        self.until(lambda: "ready" in self.printed and self.levels() == levels)

    def end(self) -> list[str]:
        """All that it and its keeper have printed, once both have ended."""
        self._reader.join(60)
        assert not self._reader.is_alive(), self.printed
        return self.printed


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[Callable[[str], Pi]]:
    started: list[Pi] = []

    def start(code: str) -> Pi:
        started.append(Pi(tmp_path, code))
        return started[-1]

    yield start
    for one in started:
        for number in (signal.SIGKILL, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.process.pid, number)
        one.process.wait()
        one._reader.join()
        for pipe in (one.process.stdin, one.process.stdout, one.process.stderr):
            assert pipe is not None
            pipe.close()


STANDS = """
    opened = Keeper(settings, {patience})
    with opened.lights() as shown:
        shown.show(Signal.PASS)
        print("ready", flush=True)
        {then}
"""
FOREVER = "while True: time.sleep(0.02); shown.show(Signal.PASS)"


def test_signals_get_to_the_pins(tmp_path: Path) -> None:
    printed = on_a_pi(tmp_path, """
        from edge.keeper import Keeper
        opened = Keeper(settings, 60)
        with opened.lights(print) as shown:
            for signal in (Signal.PASS, Signal.STOP, Signal.STOP, Signal.IDLE):
                shown.show(signal)
                while opened._waiting:
                    opened._hear()
            print("simulated", shown.simulated)
    """)  # fmt: skip
    written = [line for line in printed if line[0].isdigit()]
    assert written[:3] == ["17 0", "27 0", "24 0"]
    assert [line for line in written if line.endswith("1")] == ["17 1", "27 1"]
    assert written.index("17 1") < written.index("27 1")
    last = dict(line.split() for line in written)
    assert set(last.values()) == {"0"}
    assert "closed []" in printed, "every pin an input again"
    assert "simulated False" in printed


def test_silence_is_a_fault_until_the_door_speaks_again(pi: Callable[[str], Pi]) -> None:
    door = pi(STANDS.format(patience=0.3, then=f"sys.stdin.readline()\n        {FOREVER}"))
    door.until_levels(GREEN)
    door.until_levels(RED)
    door.until_levels(OFF)  # it blinks
    door.until_levels(RED)
    assert door.process.stdin is not None
    door.process.stdin.write("\n")
    door.process.stdin.flush()
    door.until_levels(GREEN)


def test_before_the_first_signal_it_waits_for_as_long_as_it_takes(pi: Callable[[str], Pi]) -> None:
    door = pi("""
        with Keeper(settings, 0.05).lights() as shown:
            time.sleep(0.5)
            print("ready", flush=True)
    """)
    assert "27 1" not in door.end()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "SIGABRT", "exit", "exception"])
def test_nothing_stays_lit_for_a_dead_door(pi: Callable[[str], Pi], how: str) -> None:
    then = {"exit": "os._exit(3)", "exception": "raise ZeroDivisionError"}.get(how, FOREVER)
    door = pi(STANDS.format(patience=60, then=then))
    if how.startswith("SIG"):
        door.until_levels(GREEN)
        door.process.send_signal(signal.Signals[how])
    printed = door.end()
    assert "17 1" in printed
    assert door.levels() == OFF
    assert printed[-1] == "closed []"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGABRT, signal.SIGHUP])
def test_what_systemd_sends_to_all_ends_the_door_and_then_the_lights(pi: Callable[[str], Pi], number: int) -> None:
    door = pi(STANDS.format(patience=60, then=FOREVER))
    door.until_levels(GREEN)
    os.killpg(door.process.pid, number)
    assert door.end()[-1] == "closed []"
    assert door.levels() == OFF


def test_a_door_that_is_stopped_or_hangs_in_c_does_not_stay_green(pi: Callable[[str], Pi]) -> None:
    door = pi(STANDS.format(patience=0.3, then=FOREVER))
    door.until_levels(GREEN)
    door.process.send_signal(signal.SIGSTOP)
    door.until_levels(RED)
    door.process.send_signal(signal.SIGCONT)
    door.until_levels(GREEN)


#: `keeper.gpio.switch_off` says what it is asked to do: there is no kernel behind the fake lgpio.
LOSES = """
    keeper.gpio.switch_off = lambda resting: print("off", resting, flush=True)
    keeper.ANSWER_S = 0.3
    opened = Keeper(settings, 60)
    with opened.lights() as shown:
        shown.show(Signal.PASS)
        os.kill(opened._pid, signal.{number})
        try:
            while True:
                time.sleep(0.02)
                shown.show(Signal.PASS)
        except LightsError as error:
            print(error, flush=True)
        shown.show(Signal.STOP)
"""


@pytest.mark.parametrize(("number", "says"), [("SIGKILL", "has died"), ("SIGSTOP", "does not answer")])
def test_a_keeper_that_is_lost_is_given_up_and_the_pins_darkened(
    pi: Callable[[str], Pi], number: str, says: str
) -> None:
    door = pi(LOSES.format(number=number))
    printed = door.end()
    assert door.process.wait() == 0
    (line,) = [line for line in printed if line.startswith("the process that holds the pins")]
    assert says in line
    assert printed.count(f"off {CONFIG.lights.resting}") == 1


def test_pins_that_fail_later(tmp_path: Path) -> None:
    printed = on_a_pi(tmp_path, """
        import time
        from edge import keeper
        lights._import_lgpio()
        def gpio_write(handle, pin, level):
            if level:
                raise lgpio.error("no such device")
        lgpio = sys.modules["lgpio"]
        lgpio.gpio_write = gpio_write
        try:
            with keeper.Keeper(settings, 60).lights() as shown:
                while True:
                    shown.show(Signal.PASS)
                    time.sleep(0.02)
        except LightsError as error:
            print(error, error.exit_code)
    """)  # fmt: skip
    assert "the lights fail: no such device 69" in printed


@pytest.mark.parametrize("busy", ["27", "'no chip'"])
def test_what_is_wrong_with_the_pins_is_said_as_ever(tmp_path: Path, busy: str) -> None:
    printed = on_a_pi(tmp_path, f"""
        from edge.keeper import Keeper
        lights._import_lgpio()
        sys.modules["lgpio"].busy.add({busy})
        for start in (lambda: lights.Lights(settings), lambda: Keeper(settings, 60).lights()):
            try:
                start()
            except LightsError as error:
                print(error, "|", error.hint)
    """)  # fmt: skip
    direct, kept = [line for line in printed if "|" in line]
    assert direct == kept
    assert "gpio" in kept.lower()


def test_a_raspberry_pi_without_its_chip(tmp_path: Path) -> None:
    printed = on_a_pi(tmp_path, """
        from edge.keeper import Keeper
        gpio.CHIPS += "-not-there"
        try:
            Keeper(settings, 60).lights()
        except LightsError as error:
            print(error, error.exit_code)
    """)  # fmt: skip
    assert printed[-1].startswith("this is a Raspberry Pi without a GPIO chip (")
    assert printed[-1].endswith(" 69")


def test_where_there_are_no_pins_lights_are_simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    said: list[str] = []
    with Keeper(CONFIG.lights, 60).lights(said.append) as shown:
        assert shown.simulated
        shown.show(Signal.PASS)
    assert "no GPIO chip here" in said[0]
    assert said[1] == "● green  ○ red"


class Dark:
    """Lights of this very process, seen through nobody's eyes."""

    def __init__(self, settings: object) -> None:
        pass

    def show(self, signal: Signal) -> None:
        if signal is Signal.ALARM:
            raise RuntimeError("no such device")

    def __enter__(self) -> Dark:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def dark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pins that are there, and do nothing."""
    monkeypatch.setattr(keeper, "why_none", lambda: "")
    monkeypatch.setattr(keeper, "Lights", Dark)


@pytest.mark.usefixtures("dark")
def test_nothing_is_left_of_it() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    opened = Keeper(CONFIG.lights, 60)
    shown = opened.lights()
    shown.show(Signal.PASS)
    for _ in range(2):
        shown.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(opened._pid, os.WNOHANG)


@pytest.mark.usefixtures("dark")
def test_one_that_does_not_want_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "CLOSE_S", 0.1)
    darkened: list[object] = []
    monkeypatch.setattr(gpio, "switch_off", darkened.append)
    opened = Keeper(CONFIG.lights, 60)
    shown = opened.lights()
    os.kill(opened._pid, signal.SIGSTOP)
    shown.close()
    assert darkened == [CONFIG.lights.resting]
    with pytest.raises(ChildProcessError):
        os.waitpid(opened._pid, os.WNOHANG)


@pytest.mark.usefixtures("dark")
def test_orders_nobody_takes_do_not_hold_the_door_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than any socket holds."""
    monkeypatch.setattr(keeper, "ANSWER_S", 3600.0)
    opened = Keeper(CONFIG.lights, 60)
    with opened.lights() as shown:
        os.kill(opened._pid, signal.SIGSTOP)
        for _ in range(5000):
            shown.show(Signal.STOP)
        os.kill(opened._pid, signal.SIGCONT)
        end = time.monotonic() + 60
        while opened._waiting:
            assert time.monotonic() < end
            opened._hear()


@pytest.mark.usefixtures("dark")
def test_a_door_that_loses_its_lights_says_so_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "switch_off", lambda resting: "")
    opened = Keeper(CONFIG.lights, 60)
    with opened.lights() as shown:
        os.kill(opened._pid, signal.SIGKILL)
        os.waitid(os.P_PID, opened._pid, os.WEXITED | os.WNOWAIT)
        perception = Perception(CONFIG, manifest.load())
        with EventLog(tmp_path / "events.jsonl", 10**6, 2) as log, pytest.raises(LightsError, match="has died"):
            door.run(CONFIG, perception, Script([frame_at(4.0)] * 9), shown, log, threading.Event(), 0.0)
    kinds = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert kinds == ["started", "fault", "stopped"]


def test_it_loads_no_numpy() -> None:
    """It is there for as long as the door is, and memory is dear."""
    code = "import sys, edge.keeper; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"
