"""Real gpiozero pins over a fake lgpio: chips, side effects of the import, and errors."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from support.pi import LGPIO, run_on_pi

#: Open the lights after `{before}`; print the error and its hint, then the working directory.
OPEN_LIGHTS = """
    try:
        {before}
        lights.Lights(settings)
    except LightsError as error:
        print(error, "|", error.hint)
    print(os.getcwd())
"""


def test_pins_are_driven_through_lgpio(tmp_path: Path) -> None:
    printed = run_on_pi(tmp_path, """
        shown = lights.Lights(settings, report=print)
        print("simulated", shown.simulated)
        shown.show(Signal.PASS)
        shown.show(Signal.STOP)
        shown.close()
    """)  # fmt: skip
    start = printed.index("simulated False")
    assert printed[:start] == ["17 0", "27 0", "24 0"], "everything is off at first"
    switched = [line for line in printed[start + 1 :] if line.endswith("1") or line == "17 0"]
    assert switched[:3] == ["17 1", "17 0", "27 1"]
    last = dict(line.split() for line in printed if line[0].isdigit())
    assert last == {"17": "0", "27": "0", "24": "0"}
    assert printed[-1] == "closed []", "every pin is an input again"


@pytest.mark.parametrize("lg_wd", [None, "elsewhere"])
def test_importing_lgpio_has_no_side_effects(tmp_path: Path, lg_wd: str | None) -> None:
    environ = {} if lg_wd is None else {"LG_WD": lg_wd}
    printed = run_on_pi(tmp_path, """
        before = os.getcwd(), os.environ.get("LG_WD")
        lights.Lights(settings).close()
        assert (os.getcwd(), os.environ.get("LG_WD")) == before
        print(os.listdir("."))
    """, **environ)  # fmt: skip
    assert printed[-1] == "[]"


@pytest.mark.parametrize("active_low", [True, False])
def test_no_pin_is_on_for_a_moment_when_it_is_opened(tmp_path: Path, active_low: bool) -> None:
    """gpiozero's own pins are low first. A relay that is on while its pin is low would click."""
    printed = run_on_pi(tmp_path, f"""
        import msgspec
        settings = msgspec.structs.replace(settings, active_low={active_low}, buzzer_active_low={active_low})
        relay = msgspec.structs.replace(relay, active_low={active_low})
        with lights.Lights(settings, relay=relay):
            print("open")
    """)  # fmt: skip
    off = int(active_low)
    assert printed[: printed.index("open")] == [f"{pin} {off}" for pin in (17, 27, 24, 23)]
    assert {line for line in printed if line[0].isdigit()} == {f"{pin} {off}" for pin in (17, 27, 24, 23)}


BUSY = "pin_factory.import_lgpio(); sys.modules['lgpio'].busy.add({})"


@pytest.mark.parametrize(
    ("lgpio", "before", "message", "hint"),
    [
        pytest.param(LGPIO, BUSY.format(27), "GPIO27 ('lights.red')", "gpioinfo", id="busy pin"),
        pytest.param(LGPIO, BUSY.format("'no chip'"), "gpiochip0", "usermod -aG gpio", id="no permission"),
        pytest.param(
            None, "sys.modules['lgpio'] = None", "lgpio cannot be used", "apt install python3-lgpio", id="no lgpio"
        ),
        pytest.param("", "pass", "lgpio cannot be used", "apt install python3-lgpio", id="PyPI's empty lgpio"),
    ],
)
def test_errors_name_the_problem_and_the_remedy(
    tmp_path: Path, lgpio: str | None, before: str, message: str, hint: str
) -> None:
    printed = run_on_pi(tmp_path, OPEN_LIGHTS.format(before=before), lgpio)
    error, _, found_hint = next(line for line in printed if "|" in line).partition(" | ")
    assert message in error
    assert hint in found_hint
    assert printed[-1] == str(tmp_path / "here"), "the working directory is restored"


def test_the_holder_of_a_busy_pin_is_named(tmp_path: Path) -> None:
    """On a Pi 5 whose header is chip 15, a number that gpiozero would not use."""
    code = OPEN_LIGHTS.format(before="pin_factory.import_lgpio(); lgpio = sys.modules['lgpio']; lgpio.busy.add(27)")
    printed = run_on_pi(tmp_path, f"""
        gpio.header_chip = lambda: "/dev/gpiochip15"
        gpio.line_info = lambda chip, pin: gpio.LineInfo((chip, pin) == ("/dev/gpiochip15", 27), "lg")
        gpio.processes_using = lambda *_: [(os.getpid(), "python"), (812, "doorlight")]
{textwrap.indent(textwrap.dedent(code), " " * 8)}
        print(lgpio.opened)
    """)  # fmt: skip
    error, _, hint = next(line for line in printed if "|" in line).partition(" | ")
    assert "GPIO27 ('lights.red')" in error
    assert error.endswith('it is held by "lg" (doorlight, process 812)')
    assert "systemctl stop doorlight" in hint
    assert printed[-1] == "[15]"
