"""The child process that holds the pins, on real gpiozero pins over a fake lgpio.

In the first half, the door runs in a child process of its own (`PiDoor`), so that it can be killed and stopped. In the
second half, the test process is the door, with `SilentLights` in the pin process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import door
from edge.errors import LightsError
from edge.events.writer import EventLog
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.lights import gpio, pin_process
from edge.lights.pin_process import PinProcess
from edge.pipeline import Pipeline
from edge.records import Signal
from support.clip import frame_at
from support.command import environment
from support.door import CONFIG, Script
from support.pi import run_on_pi
from support.pi_door import FOREVER, GREEN, OFF, RED, SHOW_GREEN, PiDoor


def test_signals_reach_the_pins(tmp_path: Path) -> None:
    printed = run_on_pi(tmp_path, """
        from edge.lights.pin_process import PinProcess
        process = PinProcess(settings, 60)
        with process.connect(print) as shown:
            for signal in (Signal.PASS, Signal.STOP, Signal.STOP, Signal.IDLE):
                shown.show(signal)
                while process._unanswered:
                    process._read_answers()
            print("simulated", shown.simulated)
    """)  # fmt: skip
    written = [line for line in printed if line[0].isdigit()]
    assert written[:3] == ["17 0", "27 0", "24 0"]
    assert [line for line in written if line.endswith("1")] == ["17 1", "27 1"]
    assert written.index("17 1") < written.index("27 1")
    last = dict(line.split() for line in written)
    assert set(last.values()) == {"0"}
    assert "closed []" in printed, "every pin is an input again"
    assert "simulated False" in printed


def test_absent_lights_have_no_pin(tmp_path: Path) -> None:
    printed = run_on_pi(tmp_path, """
        import msgspec
        from edge.lights.pin_process import PinProcess
        process = PinProcess(msgspec.structs.replace(settings, green="none", buzzer="none"), 60)
        with process.connect(print) as shown:
            for signal in (Signal.PASS, Signal.ALARM, Signal.STOP):
                shown.show(signal)
                while process._unanswered:
                    process._read_answers()
    """)  # fmt: skip
    written = [line for line in printed if line[0].isdigit()]
    assert {line.split()[0] for line in written} == {"27"}
    assert "27 1" in written


def test_a_door_without_relay_sends_no_message_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_process, "missing_pins_reason", lambda: "")
    monkeypatch.setattr(pin_process, "Lights", SilentLights)
    for relay in (None, CONFIG.relay):
        process = PinProcess(CONFIG.lights, 60, relay)
        with process.connect() as shown:
            shown.release_relay()
            assert process._unanswered == 0


def test_commands_reach_the_pins(start_door: Callable[[str], PiDoor]) -> None:
    running = start_door("""
        with PinProcess(settings, 60).connect() as shown:
            print("ready", flush=True)
            shown.show(Signal.IDLE)
            shown.test_lamps()
            sys.stdin.readline()
            shown.show(Signal.ALARM, is_silent=True)
            sys.stdin.readline()
            shown.show(Signal.ALARM)
            sys.stdin.readline()
    """)
    assert running.process.stdin is not None
    for levels in ((1, 1, 0), (0, 1, 0), (0, 1, 1)):
        running.wait_for_levels(levels)
        running.process.stdin.write("\n")
        running.process.stdin.flush()


class TestSilence:
    def test_shows_fault_until_the_next_signal(self, start_door: Callable[[str], PiDoor]) -> None:
        running = start_door(SHOW_GREEN.format(timeout=0.3, then=f"sys.stdin.readline()\n        {FOREVER}"))
        running.wait_for_levels(GREEN)
        running.wait_for_levels(RED)
        running.wait_for_levels(OFF)  # red blinks
        running.wait_for_levels(RED)
        assert running.process.stdin is not None
        running.process.stdin.write("\n")
        running.process.stdin.flush()
        running.wait_for_levels(GREEN)

    def test_before_the_first_signal_is_no_fault(self, start_door: Callable[[str], PiDoor]) -> None:
        running = start_door("""
            with PinProcess(settings, 0.05).connect() as shown:
                time.sleep(0.5)
                print("ready", flush=True)
        """)
        assert "27 1" not in running.wait_for_end()

    def test_of_a_stopped_process_shows_fault(self, start_door: Callable[[str], PiDoor]) -> None:
        """A stopped process stands for one that hangs in native code."""
        running = start_door(SHOW_GREEN.format(timeout=0.3, then=FOREVER))
        running.wait_for_levels(GREEN)
        running.process.send_signal(signal.SIGSTOP)
        running.wait_for_levels(RED)
        running.process.send_signal(signal.SIGCONT)
        running.wait_for_levels(GREEN)


class TestDoorExit:
    @pytest.mark.parametrize("cause", ["SIGKILL", "SIGSEGV", "SIGABRT", "exit", "exception"])
    def test_no_lamp_stays_lit(self, start_door: Callable[[str], PiDoor], cause: str) -> None:
        then = {"exit": "os._exit(3)", "exception": "raise ZeroDivisionError"}.get(cause, FOREVER)
        running = start_door(SHOW_GREEN.format(timeout=60, then=then))
        if cause.startswith("SIG"):
            running.wait_for_levels(GREEN)
            running.process.send_signal(signal.Signals[cause])
        printed = running.wait_for_end()
        assert "17 1" in printed
        assert running.levels() == OFF
        assert printed[-1] == "closed []"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGABRT, signal.SIGHUP])
    def test_a_signal_to_both_processes_ends_the_door_first(
        self, start_door: Callable[[str], PiDoor], number: int
    ) -> None:
        """systemd and Ctrl-C send signals to all processes."""
        running = start_door(SHOW_GREEN.format(timeout=60, then=FOREVER))
        running.wait_for_levels(GREEN)
        os.killpg(running.process.pid, number)
        assert running.wait_for_end()[-1] == "closed []"
        assert running.levels() == OFF


class TestErrors:
    @pytest.mark.parametrize(("number", "message"), [("SIGKILL", "has died"), ("SIGSTOP", "does not answer")])
    def test_a_lost_pin_process_is_killed_and_the_pins_switched_off(
        self, start_door: Callable[[str], PiDoor], number: str, message: str
    ) -> None:
        # switch_off is replaced because there is no kernel behind the fake lgpio.
        running = start_door(f"""
            pin_process.gpio.switch_off = lambda resting: print("off", resting, flush=True)
            pin_process.ANSWER_TIMEOUT_S = 0.3 if signal.{number} == signal.SIGSTOP else 60
            process = PinProcess(settings, 60)
            with process.connect() as shown:
                shown.show(Signal.PASS)
                os.kill(process._pid, signal.{number})
                try:
                    while True:
                        time.sleep(0.02)
                        shown.show(Signal.PASS)
                except LightsError as error:
                    print(error, flush=True)
                shown.show(Signal.STOP)
        """)
        printed = running.wait_for_end()
        assert running.process.wait() == 0
        (line,) = [line for line in printed if line.startswith("the process that holds the pins")]
        assert message in line
        assert printed.count(f"off {CONFIG.lights.resting}") == 1

    def test_a_pin_process_that_no_signal_ends_does_not_hold_the_door(
        self, start_door: Callable[[str], PiDoor]
    ) -> None:
        """As one that the kernel holds in a driver. Nobody else could switch its pins off."""
        running = start_door("""
            pin_process.gpio.switch_off = lambda resting: print("off", resting, flush=True)
            pin_process.CLOSE_TIMEOUT_S = 0.2
            process = PinProcess(settings, 60)
            process.connect().show(Signal.PASS)
            kill = os.kill
            kill(process._pid, signal.SIGSTOP)
            pin_process.os.kill = lambda *_: None
            process.close()
            print("returned", flush=True)
            kill(process._pid, signal.SIGKILL)
        """)
        printed = running.wait_for_end()
        assert running.process.wait() == 0
        assert "returned" in printed
        assert not [line for line in printed if line.startswith("off")]

    def test_pins_that_fail_later(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            import time
            from edge.lights import pin_process
            pin_factory.import_lgpio()
            def gpio_write(handle, pin, level):
                if level:
                    raise lgpio.error("no such device")
            lgpio = sys.modules["lgpio"]
            lgpio.gpio_write = gpio_write
            try:
                with pin_process.PinProcess(settings, 60).connect() as shown:
                    while True:
                        shown.show(Signal.PASS)
                        time.sleep(0.02)
            except LightsError as error:
                print(error, error.exit_code)
        """)  # fmt: skip
        assert "the lights fail: no such device 69" in printed

    @pytest.mark.parametrize("busy", ["27", "'no chip'"])
    def test_pins_that_cannot_be_opened_give_the_same_error_as_lights(self, tmp_path: Path, busy: str) -> None:
        printed = run_on_pi(tmp_path, f"""
            from edge.lights.pin_process import PinProcess
            pin_factory.import_lgpio()
            sys.modules["lgpio"].busy.add({busy})
            for open_lights in (lambda: lights.Lights(settings), lambda: PinProcess(settings, 60).connect()):
                try:
                    open_lights()
                except LightsError as error:
                    print(error, "|", error.hint)
        """)  # fmt: skip
        direct, by_process = [line for line in printed if "|" in line]
        assert direct == by_process
        assert "gpio" in by_process.lower()

    def test_a_raspberry_pi_without_a_chip(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            from edge.lights.pin_process import PinProcess
            gpio.CHIPS += "-missing"
            try:
                PinProcess(settings, 60).connect()
            except LightsError as error:
                print(error, error.exit_code)
        """)  # fmt: skip
        assert printed[-1].startswith("this is a Raspberry Pi without a GPIO chip (")
        assert printed[-1].endswith(" 69")


def test_the_lights_are_simulated_without_a_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    lines: list[str] = []
    with PinProcess(CONFIG.lights, 60).connect(lines.append) as shown:
        assert shown.simulated
        shown.show(Signal.PASS)
    assert "no GPIO chip here" in lines[0]
    assert lines[1] == "● green  ○ red"


class SilentLights:
    """Lights that do nothing, and fail at an alarm."""

    def __init__(self, settings: object, relay: object = None) -> None:
        pass

    def show(self, signal: Signal, known: bool = False) -> None:
        if signal is Signal.ALARM:
            raise RuntimeError("no such device")

    def __enter__(self) -> SilentLights:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


@pytest.fixture
def silent_lights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with pins that do nothing."""
    monkeypatch.setattr(pin_process, "missing_pins_reason", lambda: "")
    monkeypatch.setattr(pin_process, "Lights", SilentLights)


def has_been_reaped(process: PinProcess) -> bool:
    """Return whether the pin process has exited and nothing of it is left."""
    try:
        os.waitpid(process._pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


@pytest.mark.usefixtures("silent_lights")
class TestClose:
    def test_leaves_no_process_and_no_file_descriptor(self) -> None:
        before = sorted(os.listdir("/proc/self/fd"))
        process = PinProcess(CONFIG.lights, 60)
        shown = process.connect()
        shown.show(Signal.PASS)
        for _ in range(2):
            shown.close()
        assert sorted(os.listdir("/proc/self/fd")) == before
        assert has_been_reaped(process)

    def test_kills_a_process_that_does_not_exit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pin_process, "CLOSE_TIMEOUT_S", 0.1)
        switched_off: list[object] = []
        monkeypatch.setattr(gpio, "switch_off", switched_off.append)
        process = PinProcess(CONFIG.lights, 60)
        shown = process.connect()
        os.kill(process._pid, signal.SIGSTOP)
        shown.close()
        assert switched_off == [CONFIG.lights.resting]
        assert has_been_reaped(process)


@pytest.mark.usefixtures("silent_lights")
def test_a_full_socket_does_not_block_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_process, "ANSWER_TIMEOUT_S", 3600.0)
    process = PinProcess(CONFIG.lights, 60)
    with process.connect() as shown:
        os.kill(process._pid, signal.SIGSTOP)
        for _ in range(5000):  # more messages than the socket holds
            shown.show(Signal.STOP)
        os.kill(process._pid, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while process._unanswered:
            assert time.monotonic() < deadline
            process._read_answers()


@pytest.mark.usefixtures("silent_lights")
def test_a_door_that_loses_its_lights_logs_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio, "switch_off", lambda resting: "")
    process = PinProcess(CONFIG.lights, 60)
    with process.connect() as shown:
        os.kill(process._pid, signal.SIGKILL)
        os.waitid(os.P_PID, process._pid, os.WEXITED | os.WNOWAIT)
        perception = Perception(CONFIG, manifest.load())
        pipeline = Pipeline(CONFIG, perception)
        with EventLog(tmp_path / "events.jsonl", 10**6, 2) as log, pytest.raises(LightsError, match="has died"):
            door.run(pipeline, perception, Script([frame_at(4.0)] * 9), shown, log, threading.Event(), 0.0)
    kinds = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert kinds == ["started", "fault", "stopped"]


def test_importing_the_module_does_not_import_numpy() -> None:
    """The pin process keeps what the door has imported before the fork."""
    code = "import sys, edge.lights.pin_process; print('numpy' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    assert ran.stdout.strip() == "False"
