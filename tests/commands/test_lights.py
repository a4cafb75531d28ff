"""`doorlight lights`: the wiring test, and switching everything off."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.lights import gpio
from support.command import doorlight, environment, start_doorlight, write_settings


def test_the_wiring_test_shows_nine_steps() -> None:
    done = doorlight("lights", "--test", "--simulate", "--seconds", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line[0] for line in lines if " of 9  " in line] == list("123456789")
    assert lines[lines.index("9 of 9  everything off") + 1].strip() == "○ green  ○ red"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wiring_test(number: signal.Signals) -> None:
    # A child process inherits ignored signals, for example from nohup, and `doorlight` leaves them ignored.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        process = start_doorlight("lights", "--test", "--simulate", "--seconds", 600)
    finally:
        signal.signal(number, before)
    with process:
        assert process.stdout is not None
        assert any("if not:" in line for line in process.stdout)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_off_succeeds_on_a_machine_without_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service runs it after a crash (ExecStopPost=)."""
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    assert main(["lights", "--off"]) == 0
    output = capsys.readouterr()
    assert "nothing to switch off" in output.out
    assert (len(output.out.splitlines()), output.err) == (1, "")


def test_off_drives_each_pin_to_its_resting_level(monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[object] = []
    monkeypatch.setattr(gpio, "switch_off", requested.append)
    config = write_settings("[lights]\nred = 5\nactive_low = true")
    assert main(["lights", "--off", "--config", str(config)]) == 0
    assert requested == [{17: True, 5: True, 24: False}]


def test_off_leaves_the_pins_of_absent_lights_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[object] = []
    monkeypatch.setattr(gpio, "switch_off", requested.append)
    config = write_settings('[lights]\nbuzzer = "none"\ngreen = "none"')
    assert main(["lights", "--off", "--config", str(config)]) == 0
    assert requested == [{27: False}]


@pytest.mark.parametrize("fail", ["secure", "safe"])
@pytest.mark.parametrize("active_low", ["true", "false"])
def test_off_switches_the_relay_off_first(monkeypatch: pytest.MonkeyPatch, fail: str, active_low: str) -> None:
    requested: list[list[tuple[int, bool]]] = []
    monkeypatch.setattr(gpio, "switch_off", lambda resting, names: requested.append(list(resting.items())))
    config = write_settings(f'[relay]\npin = 23\nfail = "{fail}"\nactive_low = {active_low}')
    assert main(["lights", "--off", "--config", str(config)]) == 0
    assert requested == [[(23, active_low == "true"), (17, False), (27, False), (24, False)]]


def test_the_wiring_test_shows_the_relay() -> None:
    config = write_settings("[relay]\npin = 23\nseconds = 3")
    done = doorlight("lights", "--test", "--simulate", "--seconds", "0.01", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[lines.index("5 of 10  the relay (GPIO23, pin 16)") + 1] == "○ green  ○ red  relay on (unlocked)"
    assert "● green  ○ red  relay on (unlocked) for 3 s" in lines


def test_off_imports_neither_numpy_nor_gpiozero() -> None:
    code = (
        "import sys; from edge.cli import main; main(['lights', '--off']); "
        "print(*{'numpy', 'cv2', 'gpiozero', 'lgpio'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert done.stdout.splitlines()[1:] == [""], done


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--test", "--off"],
        ["--test", "--seconds", "0"],
        ["--test", "--seconds", "nan"],
        ["--test", "--seconds", "x"],
    ],
)
def test_wrong_usage(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lights", *args])
    assert caught.value.code == 2
    assert capsys.readouterr().err
