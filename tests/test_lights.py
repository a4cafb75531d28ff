"""On the states of gpiozero's mock pins, and on its real lgpio pins over an lgpio that writes down what it does."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import gpiozero.pins.local
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import clock, config, gpio
from edge.config import LightSettings
from edge.errors import LightsError
from edge.lights import Lights
from edge.records import Signal

DEFAULT = config.load().lights
QUICK = msgspec.structs.replace(DEFAULT, alarm_s=(0.01, 0.01), fault_s=(0.01, 0.01))


class RecordingPin(MockPin):  # type: ignore[misc]
    """A mock pin that also writes down, for all pins together, which changed to what while driven."""

    changes: ClassVar[list[tuple[int, bool]]] = []

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if changed and self.function == "output":
            self.changes.append((self._number, value))
        return changed


def resting(of: LightSettings, key: str) -> bool:
    """The level of a pin at which nothing is lit."""
    return of.buzzer_active_low if key == "buzzer" else of.active_low


class Box:
    """Lights on recording pins, and their levels as somebody in front of them sees them: lit or not."""

    def __init__(self, of: LightSettings = DEFAULT, pin_class: type[MockPin] = RecordingPin) -> None:
        self.settings = of
        self.factory = MockFactory(pin_class=pin_class)
        self.pins = {key: self.factory.pin(getattr(of, key)) for key in ("green", "red", "buzzer")}
        self.lights = Lights(of, factory=self.factory)
        RecordingPin.changes.clear()

    def active(self, key: str) -> bool:
        return self.pins[key].state != resting(self.settings, key)

    @property
    def lit(self) -> set[str]:
        return {key for key in self.pins if self.active(key)}

    def changes(self) -> list[tuple[str, bool]]:
        """Each change since the lights were made, in order: which, and whether it went on."""
        key_of = {getattr(self.settings, key): key for key in self.pins}
        return [(key_of[n], value != resting(self.settings, key_of[n])) for n, value in RecordingPin.changes]


@pytest.fixture(params=[False, True], ids=["active-high", "active-low"])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    made = Box(msgspec.structs.replace(QUICK, active_low=request.param, buzzer_active_low=request.param))
    yield made
    made.lights.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def test_all_off_at_first(box: Box) -> None:
    assert box.lit == set()
    assert all(pin.function == "output" for pin in box.pins.values())


@pytest.mark.parametrize(("shown", "lit"), [(Signal.IDLE, set()), (Signal.PASS, {"green"}), (Signal.STOP, {"red"})])
def test_steady_signals(box: Box, shown: Signal, lit: set[str]) -> None:
    box.lights.show(shown)
    assert box.lit == lit


def test_buzzer_may_be_active_low_alone() -> None:
    box = Box(msgspec.structs.replace(QUICK, buzzer_active_low=True))
    assert box.lit == set()
    box.lights.show(Signal.STOP)
    assert box.lit == {"red"}
    assert (box.pins["red"].state, box.pins["buzzer"].state) == (True, True)
    box.lights.close()


def test_alarm_beeps_under_a_steady_red(box: Box) -> None:
    box.lights.show(Signal.ALARM)
    assert until(lambda: box.changes().count(("buzzer", True)) >= 3)
    assert box.changes().count(("buzzer", False)) >= 2
    assert [change for change in box.changes() if change[0] != "buzzer"] == [("red", True)]


def test_fault_blinks_red_and_nothing_else(box: Box) -> None:
    box.lights.show(Signal.FAULT)
    assert until(lambda: box.changes().count(("red", True)) >= 3)
    assert {key for key, _ in box.changes()} == {"red"}
    on = [value for _, value in box.changes()]
    assert all(now != then for now, then in itertools.pairwise(on))


def test_showing_the_same_again_does_not_restart_the_blink() -> None:
    box = Box(msgspec.structs.replace(QUICK, fault_s=(10.0, 10.0)))
    box.lights.show(Signal.FAULT)
    assert until(lambda: box.lit == {"red"})
    for _ in range(20):
        box.lights.show(Signal.FAULT)
    assert box.changes() == [("red", True)]
    box.lights.close()


@pytest.mark.parametrize("before", [Signal.ALARM, Signal.FAULT])
def test_nothing_goes_on_blinking_afterwards(box: Box, before: Signal) -> None:
    box.lights.show(before)
    assert until(lambda: len(box.changes()) >= 3)
    box.lights.show(Signal.PASS)
    assert box.lit == {"green"}
    seen = len(box.changes())
    time.sleep(0.05)  # five times the blink's half period
    assert len(box.changes()) == seen


def test_green_goes_off_before_red_goes_on_and_the_other_way_round(box: Box) -> None:
    for shown in (Signal.PASS, Signal.STOP, Signal.PASS):
        box.lights.show(shown)
    assert box.changes() == [
        ("green", True), ("green", False), ("red", True), ("red", False), ("green", True),
    ]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(Signal), max_size=12), st.booleans())
def test_green_and_red_are_never_lit_together(shown: list[Signal], active_low: bool) -> None:
    box = Box(msgspec.structs.replace(QUICK, active_low=active_low))
    with box.lights:
        for one in shown:
            box.lights.show(one)
    now = {"green": False, "red": False, "buzzer": False}
    for key, value in box.changes():
        now[key] = value
        assert not (now["green"] and now["red"]), box.changes()
    assert box.lit == set()


@pytest.mark.parametrize("shown", list(Signal))
def test_close_turns_everything_off_from_any_signal(box: Box, shown: Signal) -> None:
    box.lights.show(shown)
    box.lights.close()
    assert box.lit == set()
    # Off was driven, not left to a pin that happens to float.
    on = dict(box.changes())
    assert not any(on.values())
    assert all(pin.function == "input" for pin in box.pins.values())
    box.lights.close()


def test_an_exception_in_the_with_block_leaves_all_off(box: Box) -> None:
    def fail() -> None:
        with box.lights:
            box.lights.show(Signal.ALARM)
            raise RuntimeError("the door fell off")

    with pytest.raises(RuntimeError, match="fell off"):
        fail()
    assert box.lit == set()


class WavePin(RecordingPin, MockPWMPin):  # type: ignore[misc]
    """A pin that makes waves as lgpio's do, and not as gpiozero's mock pins do.

    The state of a running wave is that of its worst moment, so "lit". A new duty, be it none, takes effect at the end
    of the cycle, which here is never soon enough; a wave that is stopped leaves the pin high.
    """

    def _set_state(self, value: float) -> None:
        if self._frequency is None:
            self._change_state(bool(value))

    def _set_frequency(self, value: float | None) -> None:
        assert value is None or self._function == "output"
        if value is None and self._frequency is not None:
            self._change_state(True)
        elif value is not None:
            assert 0.1 <= value <= 10_000, "lgpio makes no others"
            self._change_state(not self._state_at_rest)
        self._frequency = value

    def output_with_state(self, state: bool) -> None:
        super().output_with_state(state)
        self._state_at_rest = bool(state)


DIM = {"brightness": 0.3, "buzzer_tone_hz": 2500}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*Signal, "green", "red", "buzzer"]), max_size=12), st.booleans(), st.booleans())
def test_dimmed_and_at_a_tone_they_are_off_when_told_to_be(
    shown: list[Signal | str], active_low: bool, buzzer_low: bool
) -> None:
    of = msgspec.structs.replace(QUICK, active_low=active_low, buzzer_active_low=buzzer_low, **DIM)
    box = Box(of, WavePin)
    with box.lights:
        for one in shown:
            if isinstance(one, Signal):
                box.lights.show(one)
            else:
                box.lights.alone(one)
            if one in (Signal.IDLE, Signal.PASS, Signal.STOP, "green", "red", "buzzer"):
                expected = {Signal.IDLE: set(), Signal.PASS: {"green"}, Signal.STOP: {"red"}}.get(one, {one})
                assert box.lit == expected
            elif one is Signal.ALARM:
                assert "green" not in box.lit
    assert box.lit == set()
    lit = {"green": False, "red": False}
    for key, value in box.changes():
        if key in lit:
            lit[key] = value
        assert not all(lit.values()), box.changes()
    assert all(pin.frequency is None for pin in box.pins.values())


@pytest.mark.parametrize(("active_low", "high"), [(False, 0.3), (True, 0.7)])
def test_the_duty_of_a_dimmed_lamp(active_low: bool, high: float) -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    of = msgspec.structs.replace(QUICK, active_low=active_low, **DIM)
    with Lights(of, factory=factory) as shown:
        shown.show(Signal.PASS)
        assert (factory.pin(of.green).frequency, factory.pin(of.green).state) == (100, pytest.approx(high))
        assert factory.pin(of.red).frequency is None
        shown.alone("buzzer")
        assert (factory.pin(of.buzzer).frequency, factory.pin(of.buzzer).state) == (2500, 0.5)
        shown.show(Signal.FAULT)
        assert until(lambda: factory.pin(of.red).state == pytest.approx(high)), "blinks as dim as it shines"


def test_at_full_brightness_there_are_no_waves() -> None:
    """RecordingPin refuses them, as every plain MockPin does."""
    box = Box()
    with pytest.raises(gpiozero.PinPWMUnsupported):
        box.pins["red"].frequency = 100
    for signal in Signal:
        box.lights.show(signal)
    box.lights.close()


def test_an_alarm_keeps_its_pattern() -> None:
    """Short on, long off, long on, short off: which follows which can be told by the times between."""
    box = Box(msgspec.structs.replace(QUICK, alarm_s=(0.01, 0.2, 0.2, 0.01)))
    box.pins["buzzer"].clear_states()
    box.lights.show(Signal.ALARM)
    assert until(lambda: len(box.pins["buzzer"].states) > 8)
    box.lights.close()
    # The time in each state stands with the one that follows it.
    lasted = [state.timestamp for state in box.pins["buzzer"].states][2:9]
    assert [state.state for state in box.pins["buzzer"].states][1:4] == [True, False, True]
    assert all(lasted[k] >= 0.19 for k in (1, 2, 5, 6)), lasted


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 23:30, and the clock is right."""
    monkeypatch.setattr(clock, "minute_of_day", lambda: 23 * 60 + 30)
    monkeypatch.setattr(clock, "is_set", lambda: True)


@pytest.mark.usefixtures("night")
class TestQuietHours:
    OF = msgspec.structs.replace(QUICK, quiet="22:00-07:00")

    def test_an_alarm_is_red_and_silent(self) -> None:
        box = Box(self.OF)
        box.lights.show(Signal.ALARM)
        time.sleep(0.05)
        assert box.lit == {"red"}
        assert "buzzer" not in dict(box.changes())
        box.lights.close()

    def test_a_buzzer_that_was_on_is_silenced(self) -> None:
        box = Box(self.OF)
        box.lights.alone("buzzer")
        assert box.lit == {"buzzer"}
        box.lights.show(Signal.ALARM)
        assert box.lit == {"red"}
        box.lights.close()

    def test_it_sounds_by_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "minute_of_day", lambda: 12 * 60)
        box = Box(self.OF)
        box.lights.show(Signal.ALARM)
        assert until(lambda: ("buzzer", True) in box.changes())
        box.lights.close()

    def test_it_sounds_while_the_clock_cannot_be_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "is_set", lambda: False)
        box = Box(self.OF)
        box.lights.show(Signal.ALARM)
        assert until(lambda: ("buzzer", True) in box.changes())
        box.lights.close()

    def test_simulation_says_why(self) -> None:
        said: list[str] = []
        with Lights(self.OF, simulate=True, say=said.append) as shown:
            shown.show(Signal.ALARM)
        assert "silent: quiet hours" in said[0]


@pytest.mark.parametrize("key", ["green", "red", "buzzer"])
@pytest.mark.parametrize("before", list(Signal))
def test_one_alone(box: Box, key: str, before: Signal) -> None:
    box.lights.show(before)
    box.lights.alone(key)
    assert box.lit == {key}
    box.lights.show(before)
    if before in (Signal.IDLE, Signal.PASS, Signal.STOP):
        assert box.lit == {Signal.IDLE: set(), Signal.PASS: {"green"}, Signal.STOP: {"red"}}[before]


ENDS = {
    "falls off the end": "",
    "unhandled exception": "raise RuntimeError('on purpose')",
    "sys.exit": "sys.exit(3)",
    "SIGINT": "os.kill(os.getpid(), signal.SIGINT); time.sleep(30)",
    "SIGTERM, handled": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
    "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_lights_go_off_when_the_process_ends(end: str) -> None:
    """Without a `with` block, without a close: the interpreter's exit alone."""
    code = f"""
        import atexit, os, signal, sys, time
        from edge import config
        from edge.lights import Lights
        from edge.records import Signal
        from gpiozero.pins.mock import MockFactory

        factory = MockFactory()
        settings = config.load().lights
        red, buzzer = factory.pin(settings.red), factory.pin(settings.buzzer)
        # Handlers run backwards: this one, registered first, sees what the lights have left behind.
        atexit.register(lambda: print("after:", red.state, buzzer.state, flush=True))
        lights = Lights(settings, factory=factory)
        lights.show(Signal.ALARM)
        print("before:", red.state, flush=True)
        {end}
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.splitlines() == ["before: True", "after: False False"], ran.stderr


def test_simulation_says_each_change_once() -> None:
    said: list[str] = []
    with Lights(DEFAULT, simulate=True, say=said.append) as shown:
        assert shown.simulated
        for one in (Signal.IDLE, Signal.PASS, Signal.PASS, Signal.STOP, Signal.ALARM, Signal.ALARM, Signal.FAULT):
            shown.show(one)
    assert said == [
        "○ green  ○ red",
        "● green  ○ red",
        "○ green  ● red",
        "○ green  ● red  ♪ buzzer",
        "○ green  ◐ red blinking",
        "○ green  ○ red",
    ]


def test_simulation_needs_nobody_to_listen() -> None:
    with Lights(DEFAULT, simulate=True) as shown:
        shown.show(Signal.ALARM)


def test_two_simulations_do_not_share_pins() -> None:
    with Lights(DEFAULT, simulate=True), Lights(DEFAULT, simulate=True):
        pass


def test_no_gpio_chip_means_simulation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    said: list[str] = []
    with Lights(DEFAULT, say=said.append) as shown:
        assert shown.simulated
        shown.show(Signal.PASS)
    assert "no GPIO chip" in said[0]
    assert said[1] == "● green  ○ red"


def test_a_chip_in_a_pc_means_simulation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").touch()
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))

    def unknown() -> int:
        raise gpiozero.PinUnknownPi("no revision")

    monkeypatch.setattr(gpiozero.pins.local, "get_pi_revision", unknown)
    said: list[str] = []
    with Lights(DEFAULT, say=said.append) as shown:
        assert shown.simulated
    assert "not a Raspberry Pi" in said[0]


def test_a_pin_used_twice_is_named() -> None:
    factory = MockFactory()
    red = factory.pin(DEFAULT.red)
    holder = gpiozero.LED(DEFAULT.red, pin_factory=factory)
    with pytest.raises(LightsError, match=r"GPIO27 \('lights.red'\).*in use") as caught:
        Lights(DEFAULT, factory=factory)
    assert caught.value.exit_code == 69
    assert "gpioinfo" in caught.value.hint
    holder.close()
    # What had been opened before the failure has been let go of.
    with Lights(DEFAULT, factory=factory) as shown:
        shown.show(Signal.STOP)
    assert not red.state


# An lgpio that drives nothing, but moves into $LG_WD and makes its pipe there as the real one does.
LGPIO = """
    import os
    SET_PULL_NONE = SET_PULL_UP = SET_PULL_DOWN = BOTH_EDGES = RISING_EDGE = FALLING_EDGE = 0
    class error(Exception):
        pass
    os.chdir(os.environ.get("LG_WD", "."))
    os.mkfifo(".lgd-nfy0")
    pipe = os.open(".lgd-nfy0", os.O_RDWR)
    outputs, levels, busy = set(), {}, set()
    opened = []
    def gpiochip_open(chip):
        opened.append(chip)
        if "no chip" in busy:
            raise error("can not open gpiochip")
        return chip
    def gpiochip_close(handle):
        print("closed", sorted(outputs), flush=True)
    def gpio_claim_input(handle, pin, flags=0):
        if pin in busy:
            raise error("GPIO busy")
        outputs.discard(pin)
    def gpio_claim_output(handle, pin):
        outputs.add(pin)
        levels[pin] = False
    def gpio_get_mode(handle, pin):
        return 2 if pin in outputs else 0
    def gpio_write(handle, pin, level):
        levels[pin] = level
        print(pin, int(level), flush=True)
    def gpio_read(handle, pin):
        return levels[pin]
"""


def pi_process(tmp_path: Path, code: str, lgpio: str | None = LGPIO, **environ: str) -> subprocess.Popen[str]:
    """`code` in a process, and group, of its own that takes this machine for a Raspberry Pi 3B with that lgpio."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "gpiochip0").touch()
    if lgpio is not None:
        (tmp_path / "modules" / "lgpio.py").write_text(textwrap.dedent(lgpio))
    start = f"""
        import os, sys
        import gpiozero.pins.local
        gpiozero.pins.local.get_pi_revision = lambda: 0xa02082
        from edge import config, gpio, lights
        from edge.errors import LightsError
        from edge.records import Signal
        gpio.CHIPS = {str(tmp_path / "gpiochip*")!r}
        settings = config.load().lights
        sys.path.insert(0, {str(tmp_path / "modules")!r})
        os.chdir({str(tmp_path / "here")!r})
    """
    code = textwrap.dedent(start) + textwrap.dedent(code)
    root = str(Path(gpio.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Buffered, a line is written in one piece: it may share its pipe with a keeper's.
        env={**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "", **environ},
    )  # fmt: skip


def on_a_pi(tmp_path: Path, code: str, lgpio: str | None = LGPIO, **environ: str) -> list[str]:
    """What `code` prints there."""
    with pi_process(tmp_path, code, lgpio, **environ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()


def test_real_pins_are_driven_through_lgpio(tmp_path: Path) -> None:
    printed = on_a_pi(tmp_path, """
        shown = lights.Lights(settings, say=print)
        print("simulated", shown.simulated)
        shown.show(Signal.PASS)
        shown.show(Signal.STOP)
        shown.close()
    """)  # fmt: skip
    start = printed.index("simulated False")
    assert printed[:start] == ["17 0", "27 0", "24 0"]  # off from the first moment
    switched = [line for line in printed[start + 1 :] if line.endswith("1") or line == "17 0"]
    assert switched[:3] == ["17 1", "17 0", "27 1"]
    last = dict(line.split() for line in printed if line[0].isdigit())
    assert last == {"17": "0", "27": "0", "24": "0"}
    assert printed[-1] == "closed []"  # every pin an input again


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_lgpio_neither_moves_the_process_nor_leaves_a_pipe(tmp_path: Path, given: str | None) -> None:
    environ = {} if given is None else {"LG_WD": given}
    printed = on_a_pi(tmp_path, """
        before = os.getcwd(), os.environ.get("LG_WD")
        lights.Lights(settings).close()
        assert (os.getcwd(), os.environ.get("LG_WD")) == before
        print(os.listdir("."))
    """, **environ)  # fmt: skip
    assert printed[-1] == "[]"


CATCH = """
    try:
        {before}
        lights.Lights(settings)
    except LightsError as error:
        print(error, "|", error.hint)
    print(os.getcwd())
"""


@pytest.mark.parametrize(
    ("lgpio", "before", "message", "hint"),
    [
        (LGPIO, "lights._import_lgpio(); sys.modules['lgpio'].busy.add(27)", "GPIO27 ('lights.red')", "gpioinfo"),
        (LGPIO, "lights._import_lgpio(); sys.modules['lgpio'].busy.add('no chip')", "gpiochip0", "usermod -aG gpio"),
        (None, "sys.modules['lgpio'] = None", "lgpio cannot be used", "apt install python3-lgpio"),
        ("", "pass", "lgpio cannot be used", "apt install python3-lgpio"),  # PyPI's 0.0.0.2
    ],
    ids=["busy", "no permission", "no lgpio", "empty lgpio"],
)
def test_what_is_wrong_on_a_pi_is_said(tmp_path: Path, lgpio: str | None, before: str, message: str, hint: str) -> None:
    printed = on_a_pi(tmp_path, CATCH.format(before=before), lgpio)
    said, _, hinted = next(line for line in printed if "|" in line).partition(" | ")
    assert message in said
    assert hint in hinted
    assert printed[-1] == str(tmp_path / "here")


def test_a_held_pin_is_named_with_its_holder(tmp_path: Path) -> None:
    """On a Pi 5 whose header is chip 15, which gpiozero would not have guessed."""
    code = CATCH.format(before="lights._import_lgpio(); lgpio = sys.modules['lgpio']; lgpio.busy.add(27)")
    printed = on_a_pi(tmp_path, f"""
        gpio.header_chip = lambda: "/dev/gpiochip15"
        gpio.line = lambda chip, pin: gpio.Line((chip, pin) == ("/dev/gpiochip15", 27), "lg")
        gpio.holders = lambda *_: [(os.getpid(), "python"), (812, "doorlight")]
{textwrap.indent(textwrap.dedent(code), " " * 8)}
        print(lgpio.opened)
    """)  # fmt: skip
    message, _, hint = next(line for line in printed if "|" in line).partition(" | ")
    assert "GPIO27 ('lights.red')" in message
    assert message.endswith('it is held by "lg" (doorlight, process 812)')
    assert "systemctl stop doorlight" in hint
    assert printed[-1] == "[15]"


def test_gpiozero_is_not_imported_with_the_module() -> None:
    code = "import sys, edge.lights; print('gpiozero' in sys.modules, 'lgpio' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False False"


def test_global_pin_factory_is_left_alone() -> None:
    with Lights(DEFAULT, simulate=True):
        assert gpiozero.Device.pin_factory is None
