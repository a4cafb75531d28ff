"""Another program holds a pin, or the GPIO chip is missing: one line in the journal, never green, it recovers."""

from __future__ import annotations

import re

import pytest

from support.virtual_door import messages
from support.virtual_door.processes import wait_green
from virtual_door.door import Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

GREEN, RED, BUZZER = 17, 27, 24
#: Claims a pin through lgpio, as a program with gpiozero does, and holds it.
HOLDER = """\
import glob, sys, time, lgpio
chips = [lgpio.gpiochip_open(int(path[13:])) for path in glob.glob("/dev/gpiochip*")]
chip = next(chip for chip in chips if lgpio.gpio_get_chip_info(chip)[3] == "pinctrl-bcm2711")
lgpio.gpio_claim_output(chip, int(sys.argv[1]))
print("held", flush=True)
time.sleep(1 << 20)
"""
BIND, UNBIND = (f"/sys/bus/platform/drivers/gpio-sim/{name}" for name in ("bind", "unbind"))
#: A second chip, made through configfs, gets the first number while the header's chip is away.
MAKE_CHIP = """
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
cd /sys/kernel/config/gpio-sim
mkdir -p other/bank0; echo 8 >other/bank0/num_lines; echo other >other/bank0/label; echo 1 >other/live
"""
#: The service is restarted until pin and chip are there: limit for the right lamp.
MAX_LIT_S = 40.0


def test_pin_held_and_chip_missing(lab: Lab, report: Report) -> None:
    """One pin and the chip, once each."""
    with lab.door(data_mb=32) as door:
        door.boot(camera={"show": "masked"}, service=False)
        _check_held(door, report, GREEN, "green")
        _check_missing(door, report, for_s=1)


@pytest.mark.slow
def test_all_pins_and_chip(lab: Lab, report: Report) -> None:
    """Each pin held; the chip missing at boot, over several starts of the service, removed at work, with another
    number.

    No Raspberry Pi loses its chip while green is on. With a second chip the number of the header's chip changes: the
    door finds it by its label.
    """
    with lab.door(data_mb=32) as door:
        _check_missing_at_boot(door, report)
        _check_removed_at_work(door, report)
        door.sh("systemctl stop doorlight", 40)
        _check_missing(door, report, for_s=20)
        _check_other_number(door, report)
        door.sh("systemctl stop doorlight", 40)
        for pin, key in ((GREEN, "green"), (RED, "red"), (BUZZER, "buzzer")):
            _check_held(door, report, pin, key)


def _hold(door: Door, pin: int) -> int:
    """Let another program hold a pin. Return its pid."""
    door.write("/root/holder.py", HOLDER)
    pid = door.spawn(f"cd /tmp; exec python3 -I /root/holder.py {pin}", "holder.log")
    log = door.session / "out/holder.log"
    door.wait_until(lambda: "held" in log.read_text(), 20, lambda: f"the pin is not held: {log.read_text()}")
    return pid


def _set_chip(door: Door, present: bool) -> float:
    """Remove or add the GPIO chip. Return the time in seconds since power-on."""
    door.sh(f"echo header >{BIND if present else UNBIND}")
    return door.now()


def _error_messages(door: Door, since: float) -> list[str]:
    """Return the door's error messages in the journal."""
    lines = door.journal_after(since).splitlines()
    return [line.split(": doorlight: ")[1] for line in lines if ": doorlight: " in line]


def _wait_for_error(door: Door, since: float) -> str:
    found = door.wait_until(
        lambda: _error_messages(door, since), 40, lambda: f"no error message: {door.journal_after(since)[-2000:]}"
    )
    return found[0]


def _check_held(door: Door, report: Report, pin: int, key: str) -> None:
    """A pin is held when the stopped door starts: pin and program are named; the door works once the pin is free."""
    holder = _hold(door, pin)
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    error = _wait_for_error(door, t)
    unusable = messages.pin_unusable(pin, key)
    report.check(
        unusable in error and messages.PIN_HELD in error,
        f"GPIO{pin} ({key}) held by another program: the journal names pin and holder",
        f"{unusable}: …; {messages.PIN_HELD}",
        error,
    )
    # More holders may follow: a door that restarts also opens the chip.
    doctor = door.run("doorlight doctor --json", 90).out
    # While the door starts once more, doctor looks at its pins, and says so in other words.
    line, *_ = re.findall(rf"GPIO{pin} \((?:'lights.{key}'|{key})\)[^\n]*", doctor) or [doctor[-1500:]]
    is_named = re.search(rf"process {holder}\b", line)
    report.check(is_named, f"GPIO{pin} held: doctor, as root, names the program", f"process {holder}", line)
    lamps = {c.lamps for c in door.pin_changes(t)}
    report.equal(lamps, {"off"}, f"GPIO{pin} held, masked person at the door: the lamps")
    freed = door.now()
    door.sh(f"kill {holder}")
    green = door.wait_for_lamps("green", 60, since=freed)
    report.measure(f"GPIO{pin} free again: green after", green.t - freed, "s", at_most=MAX_LIT_S)
    door.sh("systemctl stop doorlight", 40)


def _check_missing(door: Door, report: Report, for_s: float) -> None:
    """The chip is missing when the stopped door starts, and appears later."""
    _set_chip(door, False)
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    error = _wait_for_error(door, t)
    report.check(messages.NO_CHIP in error, "no chip when the door starts: the journal", messages.NO_CHIP, error)
    door.wait_until(lambda: door.now() > t + for_s, for_s + 10)
    appeared = _set_chip(door, True)
    green = door.wait_for_lamps("green", 60, since=appeared)
    lamps = {c.lamps for c in door.pin_changes(appeared) if c.t < green.t}
    done = "the chip appears: the lamps until green"
    report.check(lamps <= {"off", "no chip"}, done, "off", ", ".join(sorted(lamps)))
    report.measure("the chip appears: green after", green.t - appeared, "s", at_most=MAX_LIT_S)


def _check_missing_at_boot(door: Door, report: Report) -> None:
    door.boot(camera={"show": "masked"}, early=f"echo header >{UNBIND}")
    door.wait_until(lambda: len(_error_messages(door, 0)) >= 3, 90, "the service did not start three times")
    lamps = {c.lamps for c in door.pin_changes(1)}
    report.equal(lamps & {"green", "red"}, set(), "no chip at boot: lamps that were on")
    appeared = _set_chip(door, True)
    lit = door.wait_for_lamps("green", 60, since=appeared)
    report.measure("no chip at boot, then it appears: green after", lit.t - appeared, "s", at_most=MAX_LIT_S)


def _check_removed_at_work(door: Door, report: Report) -> None:
    wait_green(door)
    restarts = door.restarts()
    removed = _set_chip(door, False)
    door.camera.show("unmasked")
    door.wait_until(lambda: door.restarts() > restarts, 40, "the service does not restart")
    error = _error_messages(door, removed)[0]
    done = "the chip is removed at work: the journal"
    report.check(messages.JOURNAL_LIGHTS_FAIL in error, done, messages.JOURNAL_LIGHTS_FAIL, error)
    appeared = _set_chip(door, True)
    red = door.wait_for_lamps("red", 60, since=appeared)
    lamps = {c.lamps for c in door.pin_changes(appeared)} - {"off", "no chip"}
    report.equal(lamps, {"red"}, "the chip is back, unmasked person: lamps that were on")
    report.measure("the chip is back: red after", red.t - appeared, "s", at_most=MAX_LIT_S)
    door.camera.show("masked")
    wait_green(door)


def _check_other_number(door: Door, report: Report) -> None:
    door.sh("systemctl stop doorlight", 40)
    _set_chip(door, False)
    door.sh(MAKE_CHIP)
    t = _set_chip(door, True)
    names = door.sh("for c in /sys/bus/gpio/devices/gpiochip*; do basename $c; done; ls /dev/gpiochip*").split()
    door.sh("systemctl start --no-block doorlight")
    lit = door.wait_for_lamps("green", 60, since=t)
    report.check(lit.lamps == "green", "the header's chip has another number", "green", ", ".join(names))
