"""The relay that the pin process holds, on real gpiozero pins over a fake lgpio."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.lights import gpio, pin_process
from edge.lights.pin_process import PinProcess
from edge.records import Signal
from support.door import CONFIG
from support.lights import RELAY
from support.pi import run_on_pi
from support.pi_door import FOREVER, GREEN, SHOW_GREEN, WITH_RELAY, PiDoor

#: Levels of (relay, green, red, buzzer).
LOCKED_DARK, UNLOCKED_GREEN, LOCKED_RED = (0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0)
SHOW_GREEN_WITH_RELAY = SHOW_GREEN.replace("{timeout})", "{timeout}, relay)")


class TestRelay:
    """The levels are those of a lock that is locked without power, unless a test says otherwise."""

    def test_follows_the_signals(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            from edge.lights.pin_process import PinProcess
            with PinProcess(settings, 60, relay).connect(print) as shown:
                for signal in (Signal.IDLE, Signal.PASS, Signal.STOP):
                    shown.show(signal)
                    while shown._unanswered:
                        shown._read_answers()
        """)  # fmt: skip
        on = [line for line in printed if line.endswith(" 1")]
        assert on == ["17 1", "23 1", "27 1"], "unlocked after green is lit"
        after = printed[printed.index("23 1") :]
        assert after.index("23 0") < after.index("17 0") < after.index("27 1"), "locked before green goes off"
        assert printed[-1] == "closed []"

    @pytest.mark.parametrize("cause", ["SIGKILL", "SIGSEGV", "SIGABRT", "exit", "exception"])
    @pytest.mark.parametrize("pulse", ["", "relay = msgspec.structs.replace(relay, seconds=60)"])
    def test_is_off_after_the_end_of_the_door(
        self, start_door: Callable[[str], PiDoor], cause: str, pulse: str
    ) -> None:
        then = {"exit": "os._exit(3)", "exception": "raise ZeroDivisionError"}.get(cause, FOREVER)
        running = start_door(
            f"\n    import msgspec\n    {pulse}\n" + SHOW_GREEN_WITH_RELAY.format(timeout=60, then=then)
        )
        if cause.startswith("SIG"):
            running.wait_for_levels(UNLOCKED_GREEN)
            running.process.send_signal(signal.Signals[cause])
        printed = running.wait_for_end()
        assert "23 1" in printed
        assert running.levels(WITH_RELAY) == LOCKED_DARK
        assert printed[-1] == "closed []"

    @pytest.mark.parametrize("cause", ["SIGKILL", "exit"])
    def test_of_a_magnet_is_off_after_the_end_of_the_door(
        self, start_door: Callable[[str], PiDoor], cause: str
    ) -> None:
        """The relay is on while a magnet holds; nobody is locked in by a dead door."""
        running = start_door("""
            import msgspec
            with PinProcess(settings, 60, msgspec.structs.replace(relay, fail="safe")).connect() as shown:
                shown.show(Signal.STOP)
                print("ready", flush=True)
                while True:
                    time.sleep(0.02)
                    shown.show(Signal.STOP)
        """)
        running.wait_for_levels((1, 0, 1, 0))
        running.process.send_signal(signal.SIGKILL)
        running.wait_for_end()
        assert running.levels(WITH_RELAY) == LOCKED_DARK

    @pytest.mark.parametrize("fail", ["secure", "safe"])
    def test_is_off_while_the_door_is_stopped(self, start_door: Callable[[str], PiDoor], fail: str) -> None:
        replace = f'\n    import msgspec\n    relay = msgspec.structs.replace(relay, fail="{fail}")\n'
        running = start_door(replace + SHOW_GREEN_WITH_RELAY.format(timeout=0.3, then=FOREVER))
        green = UNLOCKED_GREEN if fail == "secure" else (0, *GREEN)
        running.wait_for_levels(green)
        running.process.send_signal(signal.SIGSTOP)
        running.wait_for_levels(LOCKED_RED)
        running.process.send_signal(signal.SIGCONT)
        running.wait_for_levels(green)

    @pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP"])
    @pytest.mark.parametrize("active_low", [True, False])
    def test_is_switched_off_by_the_door_if_the_pin_process_is_lost(
        self, start_door: Callable[[str], PiDoor], number: str, active_low: bool
    ) -> None:
        running = start_door(f"""
            import msgspec
            pin_process.gpio.switch_off = lambda resting: print("off", list(resting.items()), flush=True)
            pin_process.ANSWER_TIMEOUT_S = 0.3 if signal.{number} == signal.SIGSTOP else 60
            process = PinProcess(settings, 60, msgspec.structs.replace(relay, active_low={active_low}))
            with process.connect() as shown:
                shown.show(Signal.PASS)
                os.kill(process._pid, signal.{number})
                try:
                    while True:
                        time.sleep(0.02)
                        shown.show(Signal.PASS)
                except LightsError:
                    pass
        """)
        expected = [(23, active_low), *CONFIG.lights.resting.items()]
        assert running.wait_for_end().count(f"off {expected}") == 1

    def test_that_was_released_stays_off(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            import msgspec, time
            from edge.lights.pin_process import PinProcess
            relay = msgspec.structs.replace(relay, fail="safe")
            with PinProcess(settings, 0.2, relay).connect(print) as shown:
                shown.release_relay()
                time.sleep(0.5)  # is no silence, because there was no signal yet
                for signal in (Signal.PASS, Signal.IDLE, Signal.STOP):
                    shown.show(signal)
                    while shown._unanswered:
                        shown._read_answers()
        """)  # fmt: skip
        assert "23 1" not in printed
        assert "27 1" not in printed[: printed.index("17 1")], "no FAULT before the first signal"
        assert "27 1" in printed
        assert printed[-1] == "closed []"

    def test_a_pulse_that_cannot_end_ends_the_pin_process(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            import msgspec, time
            from edge.lights import pin_process
            pin_factory.import_lgpio()
            lgpio = sys.modules["lgpio"]
            write = lgpio.gpio_write
            def gpio_write(handle, pin, level):
                if pin == 23 and not level and lgpio.levels.get(23):
                    raise lgpio.error("no such device")
                write(handle, pin, level)
            lgpio.gpio_write = gpio_write
            pin_process.gpio.switch_off = lambda resting: print("off", resting)
            try:
                with pin_process.PinProcess(settings, 60, msgspec.structs.replace(relay, seconds=0.1)).connect() as shown:
                    while True:
                        shown.show(Signal.PASS)
                        time.sleep(0.02)
            except LightsError as error:
                print(error, error.exit_code)
        """)  # fmt: skip
        assert "23 1" in printed
        assert "the lights fail: no such device 69" in printed

    def test_whose_pin_is_busy_is_named(self, tmp_path: Path) -> None:
        printed = run_on_pi(tmp_path, """
            from edge.lights.pin_process import PinProcess
            pin_factory.import_lgpio()
            sys.modules["lgpio"].busy.add(23)
            try:
                PinProcess(settings, 60, relay).connect()
            except LightsError as error:
                print(error)
        """)  # fmt: skip
        assert any(line.startswith("GPIO23 ('relay.pin') cannot be used: ") for line in printed), printed


def test_a_relay_is_simulated_without_a_chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    lines: list[str] = []
    with PinProcess(CONFIG.lights, 60, RELAY).connect(lines.append) as shown:
        shown.show(Signal.PASS)
    assert lines[1:] == ["● green  ○ red  relay on (unlocked)", "○ green  ○ red  relay off (locked)"]


def test_who_is_known_reaches_the_relay() -> None:
    """The message of a signal says whether everyone in view is known."""
    shown: list[tuple[Signal, bool]] = []

    class Recording:
        def show(self, signal: Signal, known: bool = False) -> None:
            shown.append((signal, known))

    door, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sent = [(signal, known) for signal in Signal for known in (False, True)]
    with door, child:
        for signal, known in sent:
            door.send(signal.value.encode() + (pin_process.KNOWN if known else b""))
        door.shutdown(socket.SHUT_WR)
        pin_process._serve(child, Recording(), 5.0)  # type: ignore[arg-type]
    assert shown == sent
