"""A relay: it unlocks after green is lit and locks before green goes off; it is off in FAULT and without a door.

"Off" is the state in which a lock without electricity is, too. As on Raspberry Pi OS, the pins of a process that has
ended keep their levels.
"""

from __future__ import annotations

import itertools

import pytest

from support.virtual_door.processes import (
    MAX_DEAD_S,
    MAX_HANG_S,
    SIGCONT,
    SIGKILL,
    SIGSTOP,
    pids,
    send_signal,
    wait_green,
)
from virtual_door.door import CONFIG, INSTANT_S, Door, PinChange
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

PIN = 23
#: The observer reads the pins one after the other: a change of two of them may look like two changes.
MAX_READING_S = 0.02
#: Limit for the relay after the lamp that belongs to it.
MAX_AFTER_LAMP_S = 0.1
#: camera.timeout_s, and a margin for a busy host.
MAX_FROZEN_S = 3.0
#: Both processes are killed: systemd runs ExecStopPost=.
MAX_STOP_POST_S = 8.0


def test_relay_of_a_strike(lab: Lab, report: Report) -> None:
    """Locked without power: masked, unmasked, camera frozen, killed, stopped (SIGSTOP), the service stopped."""
    with lab.door(data_mb=32) as door:
        _start(door, "")
        began = door.now()
        wait_green(door)
        _check_follows(door, report)
        frozen = door.camera.freeze()
        _check_off(door, report, "the camera is frozen", frozen, MAX_FROZEN_S)
        door.camera.freeze(False)
        wait_green(door)
        killed = send_signal(door, SIGKILL, pids(door)[0])
        _check_off(door, report, "killed (SIGKILL)", killed, MAX_DEAD_S)
        _next_green(door, killed)
        wait_green(door)
        main = pids(door)[0]
        _check_off(door, report, "stopped (SIGSTOP)", send_signal(door, SIGSTOP, main), MAX_HANG_S)
        send_signal(door, SIGCONT, main)
        wait_green(door)
        t = door.now()
        door.sh("systemctl stop doorlight", 40)
        _check_off(door, report, "the service is stopped", t, MAX_HANG_S)
        _check_never_unlocked_without_green(door, report, began)


@pytest.mark.slow
def test_relays_of_all_kinds(lab: Lab, report: Report) -> None:
    """A strike on a board that is on while its input is low: both processes killed, pin process killed. A pulse. A magnet:
    unmasked, camera frozen, killed.
    """
    with lab.door(data_mb=32) as door:
        _start(door, "active_low = true")
        wait_green(door)
        report.equal(_relay(door), False, "active_low, PASS: the level of the pin")
        for what, cause in (("both processes killed", _kill_both), ("pin process killed", _kill_pin_process)):
            t = cause(door)
            _wait(door, True, t, MAX_STOP_POST_S, report, f"active_low, {what}: high")
            _next_green(door, t)
            wait_green(door)
        t = door.now()
        _restart(door, "seconds = 2")
        pass_at = _next_green(door, t)
        _wait(door, True, pass_at.t, MAX_AFTER_LAMP_S, report, "a pulse of 2 s: on")
        ended = _wait(door, False, pass_at.t + 1, 2.0, report, "a pulse of 2 s: off")
        report.measure("a pulse of 2 s: its length", ended.t - pass_at.t, "s", at_most=2.5)
        report.equal(door.lamps(), "green", "after a pulse: the lamps")
        _check_magnet(door, report)


def _check_follows(door: Door, report: Report) -> None:
    """Masked and unmasked in turn: the order of lamps and relay."""
    for clip, lamps, is_unlocked in (("unmasked", "red", False), ("masked", "green", True)):
        t = door.camera.show(clip)
        lit = door.wait_for_lamps(lamps, 20, since=t)
        relay = _wait(door, is_unlocked, t, 20, report, f"{clip}: the relay")
        order = relay.t >= lit.t - MAX_READING_S if is_unlocked else relay.t <= lit.t + MAX_READING_S
        done = f"{clip}: relay {'after green' if is_unlocked else 'before red'}"
        report.check(order, done, "in this order", f"relay {relay.t:.3f} s, {lamps} {lit.t:.3f} s")


def _check_magnet(door: Door, report: Report) -> None:
    """The relay is on while locked. In FAULT, and when the door has died, it is off: nobody is locked in."""
    _restart(door, 'fail = "safe"')
    wait_green(door)
    report.equal(_relay(door), False, "a magnet, PASS: the relay is on")
    t = door.camera.show("unmasked")
    _wait(door, True, t, 20, report, "a magnet, unmasked: locked")
    _check_off(door, report, "a magnet, the camera is frozen", door.camera.freeze(), MAX_FROZEN_S)
    door.camera.freeze(False)
    door.wait_for_lamps("red", 20)
    door.wait_until(lambda: _relay(door), 20, "the magnet does not hold again")
    _check_off(door, report, "a magnet, killed", send_signal(door, SIGKILL, pids(door)[0]), MAX_DEAD_S)


def _check_off(door: Door, report: Report, what: str, since: float, at_most: float) -> None:
    _wait(door, False, since, at_most, report, f"{what}: the relay is off")


def _check_never_unlocked_without_green(door: Door, report: Report, since: float) -> None:
    changes = door.pin_changes(since)
    ends = [c.t for c in changes[1:]] + [door.now()]
    wrong = [
        c for c, end in zip(changes, ends, strict=True)
        if c.relay_is_high and c.lamps != "green" and end - c.t > MAX_READING_S
    ]  # fmt: skip
    times = sum(now.relay_is_high > before.relay_is_high for before, now in itertools.pairwise(changes))
    report.equal(wrong, [], "unlocked without green", times=times)


def _wait(door: Door, is_high: bool, since: float, at_most: float, report: Report, name: str) -> PinChange:
    """Wait for a level of the relay's pin after `since`, and report how long it took."""
    found = door.wait_until(
        lambda: next((c for c in door.pin_changes(since) if c.relay_is_high is is_high), None),
        at_most + 20,
        lambda: f"{name}: it did not happen, but: {door.pin_changes(since)[-8:]}",
    )
    report.measure(name, found.t - since, "s", at_most=at_most)
    return found


def _next_green(door: Door, since: float) -> PinChange:
    """Wait for a new door's green: the relay of the former one goes off before its lamps do."""
    off = door.wait_for_lamps("off", 60, since=since)
    return door.wait_for_lamps("green", 60, since=off.t + INSTANT_S)


def _relay(door: Door) -> bool:
    return door.pin_changes()[-1].relay_is_high


def _kill_both(door: Door) -> float:
    """Kill both processes, stopped first, so that none sees the end of the other."""
    main, pin_process = pids(door)
    send_signal(door, SIGSTOP, main, pin_process)
    return send_signal(door, SIGKILL, pin_process, main)


def _kill_pin_process(door: Door) -> float:
    return send_signal(door, SIGKILL, pids(door)[1])


def _write_settings(door: Door, settings: str) -> None:
    door.sh(f"test -e {CONFIG}.bak || cp {CONFIG} {CONFIG}.bak")
    door.write(CONFIG, f"{door.read(f'{CONFIG}.bak')}\n[relay]\npin = {PIN}\n{settings}\n")


def _start(door: Door, settings: str) -> None:
    """Boot a door with a masked person and a relay."""
    door.boot(camera={"show": "masked"}, service=False)
    _write_settings(door, settings)
    door.start_service()


def _restart(door: Door, settings: str) -> None:
    _write_settings(door, settings)
    door.sh("systemctl restart doorlight", 150)
