"""For the scenarios about pins: another program that holds one, and a chip that comes and goes."""

from __future__ import annotations

import re

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.scenarios._process import journal_after

GREEN, RED, BUZZER = 17, 27, 24
#: Takes a pin through lgpio, as any program with gpiozero does, and holds it.
HOLDER = """\
import glob, sys, time, lgpio
chips = [lgpio.gpiochip_open(int(path[13:])) for path in glob.glob("/dev/gpiochip*")]
chip = next(chip for chip in chips if lgpio.gpio_get_chip_info(chip)[3] == "pinctrl-bcm2711")
lgpio.gpio_claim_output(chip, int(sys.argv[1]))
print("held", flush=True)
time.sleep(1 << 20)
"""
BIND, UNBIND = ("/sys/bus/platform/drivers/gpio-sim/" + what for what in ("bind", "unbind"))


def take(door: Machine, pin: int) -> int:
    """Have another program hold a pin: its pid."""
    door.write("/root/holder.py", HOLDER)
    pid = door.spawn(f"cd /tmp; exec python3 -I /root/holder.py {pin}", "holder.log")
    log = door.session / "out/holder.log"
    door.wait_until(lambda: "held" in log.read_text(), 20, lambda: f"the pin was not taken: {log.read_text()}")
    return pid


def chip(door: Machine, there: bool) -> float:
    """Take the GPIO chip away, or bring it: when, in seconds since power-on."""
    door.sh(f"echo header >{BIND if there else UNBIND}")
    return door.now()


def refusals(door: Machine, since: float) -> list[str]:
    """What a door that did not start has said of it."""
    lines = journal_after(door, since).splitlines()
    return [line.split(": doorlight: ")[1] for line in lines if ": doorlight: " in line]


def held(door: Machine, report: Report, pin: int, key: str) -> None:
    """A pin is taken when the door starts (it is stopped now): named, with who holds it; well again once it is free."""
    holder = take(door, pin)
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    said = door.wait_until(lambda: refusals(door, t), 40, lambda: f"no word of it: {journal_after(door, t)[-2000:]}")
    report.check(
        f"GPIO{pin} ('lights.{key}') cannot be used" in said[0] and 'it is held by "lg"' in said[0],
        f"GPIO{pin} ({key}) held by another program: the journal names pin and holder",
        f"GPIO{pin} ('lights.{key}') cannot be used: …; it is held by \"lg\"",
        said[0],
    )
    # Others may be named after it: a door that is just starting anew talks to the chip, too.
    doctor = door.run("doorlight doctor --json", 90).out
    (line,) = re.findall(rf"GPIO{pin} \('lights.{key}'\)[^\n]*", doctor) or [doctor[-1500:]]
    named = re.search(rf"process {holder}\b", line)
    report.check(named, f"GPIO{pin} held: doctor, as root, names the program", f"process {holder}", line)
    lit = {c.looks for c in door.changes(t)}
    report.equal(lit, {"off"}, f"GPIO{pin} held, somebody masked at the door: the lamps")
    freed = door.now()
    door.sh(f"kill {holder}")
    green = door.wait_for("green", 60, since=freed)
    report.measure(f"GPIO{pin} free again: green after", green.t - freed, "s", at_most=40)
    door.sh("systemctl stop doorlight", 40)


def missing(door: Machine, report: Report, for_s: float) -> None:
    """The chip is not there when the door starts (it is stopped now), and comes later."""
    chip(door, False)
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    said = door.wait_until(lambda: refusals(door, t), 40, lambda: f"no word of it: {journal_after(door, t)[-2000:]}")
    report.check(
        "without a GPIO chip" in said[0],
        "no chip when the door starts: the journal",
        "this is a Raspberry Pi without a GPIO chip (/dev/gpiochip*)",
        said[0],
    )
    door.wait_until(lambda: door.now() > t + for_s, for_s + 10)
    came = chip(door, True)
    green = door.wait_for("green", 60, since=came)
    lit = {c.looks for c in door.changes(came) if c.t < green.t}
    report.check(lit <= {"off", "no chip"}, "the chip comes: the lamps until green", "off", ", ".join(sorted(lit)))
    report.measure("the chip has come: green after", green.t - came, "s", at_most=40)
