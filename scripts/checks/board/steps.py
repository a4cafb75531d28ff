"""The steps of the check, and what the host expects of each. What the guest does is in guest/plain.sh and guest/service.sh."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .boards import Board
from .pins import first_dark, in_order
from .record import StepRecord
from .results import Result

#: The door's own limits, without an emulator: camera.timeout_s + 1 until a hung door shows FAULT.
FAULT_AFTER_S = 3.0
#: What the emulation may add to a time: the board has a small part of a busy processor.
MARGIN_S = 3.0
#: The longest time between a change of the pins and the door's line about it on a busy computer: some frames, at two frames a
#: second and less.
LAMP_S = 5.0
#: What the pins show at a signal of a file, which does not switch the relay.
LAMPS_OF = {"IDLE": {"off"}, "PASS": {"green"}, "STOP": {"red"}, "ALARM": {"red", "red+buzzer"}}
#: What the pins show in each step of `doorlight lights --test`, by the beginning of its name. All of them must be seen.
WIRING = {
    "everything off": {"off"},
    "the green lamp": {"green"},
    "the red lamp": {"red"},
    "the buzzer": {"buzzer"},
    "the relay": {"relay"},
    "PASS": {"green+relay"},
    "STOP": {"red"},
    "ALARM": {"red", "red+buzzer"},
    "FAULT": {"red", "off"},
}
#: Checks of doctor that must be "ok" on the board. The others depend on systemd, a clock and a card.
DOCTOR_CHECKS = ("python", "libraries", "configuration", "models", "camera", "lights")


class Step(NamedTuple):
    """A step: its function in the guest's script, its time limit in the emulator, and its check."""

    name: str
    description: str
    limit_s: float
    check: Callable[[StepRecord, Result], None]
    #: Whether it runs under systemd, in service.sh.
    systemd: bool = False


def check_board(record: StepRecord, result: Result) -> None:
    text = "; ".join(line.text for line in record.output)
    result.check("Raspberry Pi" in text and "pinctrl-bcm" in text, "a Raspberry Pi with its GPIO chip", text)


def check_doctor(record: StepRecord, result: Result) -> None:
    text = "\n".join(line.text for line in record.output)
    try:
        checks = json.loads(text[text.index("{") : text.rindex("}") + 1])["checks"]
    except (ValueError, KeyError) as error:
        result.fail(f"doctor's JSON cannot be read: {error}")
        return
    for name in DOCTOR_CHECKS:
        found = [check for check in checks if check["name"] == name]
        is_ok = found and all(check["severity"] in ("ok", "note") for check in found)
        result.check(is_ok, f"doctor: {name}", "; ".join(str(check["message"]) for check in found))
    others = [check for check in checks if check["name"] not in DOCTOR_CHECKS and check["severity"] == "bad"]
    result.note(f"bad on a board without systemd: {', '.join(str(check['name']) for check in others) or 'nothing'}")


def check_empty_lgpio(record: StepRecord, result: Result) -> None:
    """Lights and installer, with the empty package and without any: both refuse, with the reason and the mend."""
    codes = [int(match[1]) for _, match in record.find(r"^exit code (\d+)$")]
    result.check(codes == [69, 69, 69, 69, 0], "exit codes: 69 of lights and installer, twice; then 0", codes)
    for pattern, what, times in (
        (r"lgpio 0\.0\.0\.2 in /usr/local/lib/\S+ is PyPI's empty package", "the empty package is named", 2),
        (r"is not installed", "a missing one is named", 2),
        (r"Debian has no package of it", "where it comes from", 2),
        (r"the program in use is not changed", "the installer changes nothing", 2),
    ):
        found = len(record.find(pattern))
        result.check(found >= times, what, instead=f"{found} times: {_last(record)}")


def check_report(board: Board) -> Callable[[StepRecord, Result], None]:
    """Return a check that the report names the board, its GPIO chip and the library of its pins."""

    def check(record: StepRecord, result: Result) -> None:
        report = record.lines_of("report")
        text = "\n".join(report)
        for expected in (board.model, board.gpio, "lgpio 0.2.2"):
            result.check(expected in text, f"the report names {expected}", instead=report[:5])
        result.note(f"{len(report)} lines")

    return check


def check_lights(record: StepRecord, result: Result) -> None:
    """Compare the pins in the middle of each step of the wiring test with its name."""
    begins = record.find(r"^(\d+) of (\d+)  (.+)")
    if not begins:
        result.fail("no step of the test: " + "; ".join(line.text for line in record.output[-5:]))
        return
    ends = [t for t, _ in begins[1:]] + [begins[-1][0] + 2.0]
    for (t, match), end in zip(begins, ends, strict=True):
        name = match[3]
        expected = next((states for start, states in WIRING.items() if name.startswith(start)), None)
        # In the middle: output and pins do not change at the same moment.
        seen = set(record.states(t + (end - t) * 0.4, end - (end - t) * 0.1))
        result.check(seen == expected, name, ", ".join(sorted(seen)))
    result.check(int(begins[-1][1][2]) == len(begins), f"{begins[-1][1][2]} steps", len(begins))


def check_clip(here: Sequence[dict[str, object]]) -> Callable[[StepRecord, Result], None]:
    """Return a check that compares the decisions of the clip with those of this machine, and the pins with the signals."""

    def check(record: StepRecord, result: Result) -> None:
        there = _events(record.lines_of("event"))
        is_same = there and decisions(there) == decisions(here)
        result.check(is_same, f"the same {len(decisions(here))} decisions", instead=decisions(there))
        if there and len(there) == len(here):
            difference = max(abs(_time(a) - _time(b)) for a, b in zip(here, there, strict=True))
            result.check(difference <= 0.5, "at most 0.5 s of the clip apart", f"{difference:.2f} s")
        _check_signals(record, result)
        if found := record.find(r"^(\d+) frames in ([\d.]+) s"):
            result.note(found[0][1].string)

    return check


def _check_signals(record: StepRecord, result: Result) -> None:
    """Compare the pins with each signal that the door prints: they change at that line, and stay until the next one."""
    signals = record.find(r"^ *([\d.]+ s)  (IDLE|PASS|STOP|ALARM)\b")
    ends = [t for t, _ in signals[1:]] + [record.find("the door has stopped")[0][0] if signals else 0.0]
    for (t, match), end in zip(signals, ends, strict=True):
        when, signal = match[1], match[2]
        expected = LAMPS_OF[signal]
        settled = min(t + LAMP_S, (t + end) / 2)
        seen = set(record.states(settled, max(settled, end - LAMP_S)))
        result.check(seen and seen <= expected, f"{when} {signal}", ", ".join(sorted(seen)))
        if signal == "ALARM":
            result.check("red+buzzer" in seen, "the buzzer sounds", instead=seen)
    if not signals:
        result.fail("the door shows no signal: " + "; ".join(line.text for line in record.output[-5:]))


def check_pins_killed(record: StepRecord, result: Result) -> None:
    killed = record.marked("pin process killed")
    _check_dark(record, result, killed, "the pin process is killed at STOP: dark", MARGIN_S)
    result.check(record.find("exit code [1-9]"), "the door ends with an error", _last(record))


def check_door_hangs(record: StepRecord, result: Result) -> None:
    stopped, killed = record.marked("door stopped"), record.marked("door killed")
    if stopped is None or killed is None:
        result.fail("the door did not come to STOP: " + _last(record))
        return
    # FAULT is red that blinks: the first time that red is off.
    blink = next((c.t - stopped for c in record.pins(stopped, killed) if c.t > stopped and not c.pins.red), None)
    result.check_delay(blink, FAULT_AFTER_S + MARGIN_S, "the door hangs (SIGSTOP) at STOP: FAULT")
    _check_dark(record, result, killed, "then it is killed (SIGKILL): dark", MARGIN_S)


def check_still(record: StepRecord, result: Result) -> None:
    result.check(
        record.find("exit code 0$"), "a picture, as root, on real pins: ends with exit code 0", instead=_last(record)
    )
    result.check("red" in record.states() or "green" in "".join(record.states()), "a lamp was lit", record.states())
    result.check(record.pins()[-1].pins.is_dark, "dark at the end", record.states()[-1])
    opened = [state for state in record.states() if "relay" in state]
    result.check(not opened, "a file does not switch the relay", instead=opened)


def check_live_relay(record: StepRecord, result: Result) -> None:
    """A camera in the network shows a masked person, then one without a mask. The relay follows."""
    states = record.states()
    result.check(
        in_order(states, ["green+relay", "red"]), "the relay is on with green, and off before red", ", ".join(states)
    )
    wrong = [state for state in states if "relay" in state and state not in ("green+relay", "relay")]
    result.check(not wrong, "never with red or the buzzer", instead=wrong)
    result.check(record.pins()[-1].pins.is_dark, "dark at the end", states[-1])


def check_service_boots(record: StepRecord, result: Result) -> None:
    result.check(record.find("ActiveState=active"), "the service is active", instead=_last(record))
    for name in ("ActiveEnterTimestampMonotonic", "ExecMainStartTimestampMonotonic"):
        if found := record.find(rf"{name}=(\d+)"):
            result.note(
                f"{name.removesuffix('TimestampMonotonic')} at {int(found[0][1][1]) / 1e6:.0f} s of the board's time"
            )
    for pattern, what in (
        (r"^NoNewPrivs:\s+1", "no new privileges"),
        (r"^Seccomp:\s+2", "system calls are filtered"),
        (r"^CapEff:\s+0+$", "no capabilities"),
        (r"^user doorlight", "it runs as its own user"),
        (r"^memory.max 268435456", "its memory is limited"),
    ):
        result.check(record.find(pattern), what, instead=_matching(record, pattern))
    if found := record.find(r"^memory.peak (\d+)"):
        result.note(f"memory, peak: {int(found[0][1][1]) / 1e6:.0f} MB")
    for _, match in record.find(r"exposure level.*"):
        result.note(match[0])
    # There is no camera: red blinks.
    seen = set(record.states(record.end - 4, record.end))
    result.check(seen == {"red", "off"}, "FAULT without a camera: red blinks", ", ".join(sorted(seen)))


def check_service_plays(record: StepRecord, result: Result) -> None:
    result.check(
        record.find("^exit code 0$"),
        "systemctl restart, which waits for the first frame",
        _matching(record, "started in"),
    )
    states = record.states()
    result.check(in_order(states, ["green", "red"]), "green, then red", ", ".join(states))
    if relay := [state for state in states if "relay" in state]:
        result.fail(f"a file switches the relay: {relay}")


def check_service_pins_killed(record: StepRecord, result: Result) -> None:
    killed, back = record.marked("pin process killed"), record.marked("active again")
    if killed is None or back is None:
        result.fail(_last(record))
        return
    dark = next((c.t - killed for c in record.pins(killed) if c.pins.is_dark), None)
    result.check_delay(dark, FAULT_AFTER_S + MARGIN_S, "the pin process is killed: dark")
    result.check(not record.find("is not back"), "systemd starts it again", f"after {back - killed:.0f} s")


def check_service_hangs(record: StepRecord, result: Result) -> None:
    stopped, back = record.marked("door stopped"), record.marked("active again")
    if stopped is None or back is None:
        result.fail(_last(record))
        return
    within = FAULT_AFTER_S + MARGIN_S
    lit = [c for c in record.pins(stopped + within, back) if c.pins.green]
    result.check(not lit, f"the door hangs: no green after {within:g} s", instead=lit)
    result.check(not record.find("is not back"), "the watchdog starts it again", f"after {back - stopped:.0f} s")


def check_service_stops(record: StepRecord, result: Result) -> None:
    result.check(record.find("^exit code 0$"), "systemctl stop", _matching(record, "Result="))
    result.check(record.pins()[-1].pins.is_dark, "dark at the end", record.states()[-1])


def all_steps(here: Sequence[dict[str, object]], board: Board) -> list[Step]:
    """Return every step in order. `here` are the events of the clip on this machine."""
    return [
        Step("board", "boots Debian's kernel from an SD card", 240, check_board),
        Step("doctor", "doorlight doctor", 600, check_doctor),
        Step("empty_lgpio", "lgpio is PyPI's empty package, or missing", 400, check_empty_lgpio),
        Step("lights", "doorlight lights --test: every pin in every step", 300, check_lights),
        Step("clip", "the demo clip on real pins", 900, check_clip(here)),
        Step("pins_killed", "the pin process is killed while red is lit", 400, check_pins_killed),
        Step("door_hangs", "the door hangs, and is killed, while red is lit", 400, check_door_hangs),
        Step("still_with_relay", "a picture on real pins, with a relay", 250, check_still),
        Step("still_without_relay", "a picture on real pins, without a relay", 250, check_still),
        Step("live_relay", "a network camera on the board, and the relay", 500, check_live_relay),
        Step("report", "doorlight doctor --report", 900, check_report(board)),
        Step("service_boots", "systemd boots the service as installed", 700, check_service_boots, True),
        Step("service_plays", "the service with the clip as its camera", 500, check_service_plays, True),
        Step("service_pins_killed", "its pin process is killed", 500, check_service_pins_killed, True),
        Step("service_hangs", "it hangs: the watchdog", 500, check_service_hangs, True),
        Step("service_stops", "systemctl stop", 200, check_service_stops, True),
    ]


def read_events(path: Path) -> list[dict[str, object]]:
    """Return the records of an event log."""
    return _events(path.read_text().splitlines())


def decisions(events: Sequence[dict[str, object]]) -> list[tuple[object, object, object]]:
    """Return the events that are decisions: kind, signal, person."""
    return [
        (event.get("event"), event.get("signal"), event.get("person"))
        for event in events
        if event.get("event") not in ("started", "stopped")
    ]


def _events(lines: Sequence[str]) -> list[dict[str, object]]:
    events = []
    for line in lines:
        try:
            events.append(dict(json.loads(line)))
        except ValueError:  # a message of the kernel may cut a line of the console
            continue
    return events


def _time(event: dict[str, object]) -> float:
    t = event["t"]
    assert isinstance(t, int | float)
    return float(t)


def _check_dark(record: StepRecord, result: Result, since: float | None, what: str, within_s: float) -> None:
    if since is None:
        result.fail(f"{what}: it did not happen; {_last(record)}")
        return
    result.check_delay(first_dark(record.pins(), since), within_s, what)


def _last(record: StepRecord) -> str:
    return "; ".join(line.text for line in record.output[-3:]) or "no output"


def _matching(record: StepRecord, pattern: str) -> str:
    """Return the line that a pattern's first word begins, or the last lines."""
    word = re.split(r"[\\: ]", pattern.lstrip("^"))[0]
    return next((line.text for line in record.output if line.text.startswith(word)), "") or _last(record)
