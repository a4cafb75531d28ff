"""The check of an emulated Raspberry Pi, without QEMU: registers, pins, what a step's lines are compared with, time limits.

A small program stands in for QEMU: it speaks its monitor's protocol and prints lines as a serial console.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from checks.board import __main__ as command
from checks.board import build_steps, initramfs, results, steps
from checks.board.build_steps import BOARDS, GUEST_FOLDER, HERE, check_machine
from checks.board.emulator import Emulator, EmulatorError, Line, clean_line, parse_words
from checks.board.pins import BUZZER, GREEN, RED, RELAY, PinChange, Pins, at, between, decode, first_dark, in_order
from checks.board.record import StepRecord
from checks.board.results import Result
from edge import config
from edge.lights import wiring_test
from virtual_door.build import UnsupportedHostError

OFF, UNUSED = Pins(False, False, False, False), Pins(None, None, None, None)
ON = {
    "off": OFF,
    "green": OFF._replace(green=True),
    "red": OFF._replace(red=True),
    "buzzer": OFF._replace(buzzer=True),
    "relay": OFF._replace(relay=True),
    "green+relay": OFF._replace(green=True, relay=True),
    "red+buzzer": OFF._replace(red=True, buzzer=True),
}


def registers(outputs: Sequence[int], high: Sequence[int]) -> tuple[list[int], int]:
    """Return the words of GPFSEL and GPLEV for pins that are outputs, and pins that are high."""
    select = [0] * 6
    for pin in outputs:
        select[pin // 10] |= 0b001 << pin % 10 * 3
    return select, sum(1 << pin for pin in high)


@pytest.mark.parametrize(
    ("outputs", "high", "expected"),
    [
        ([], [], UNUSED),
        ([], [GREEN, RED], UNUSED),
        ([GREEN, RED, BUZZER], [], Pins(False, False, False, None)),
        ([GREEN, RED, BUZZER, RELAY], [GREEN, RELAY], ON["green+relay"]),
        ([GREEN, RED, BUZZER, RELAY], [RED, BUZZER, 4, 5], ON["red+buzzer"]),
    ],
)
def test_pins_are_decoded_from_the_registers(outputs: list[int], high: list[int], expected: Pins) -> None:
    assert decode(*registers(outputs, high)) == expected


def test_another_function_than_output_is_no_output() -> None:
    """An alternate function (PWM) has its own bits."""
    select, levels = registers([RED], [GREEN, RED])
    select[GREEN // 10] |= 0b101 << GREEN % 10 * 3
    assert decode(select, levels) == Pins(None, True, None, None)


def test_the_default_pins_are_doorlight_s() -> None:
    assert config.load().lights.pins == {"green": GREEN, "red": RED, "buzzer": BUZZER}
    relay = config.load(HERE / "guest/relay.toml").relay
    assert relay.pin == RELAY


def test_words_of_the_monitor() -> None:
    text = "000000003f200000: 0x00000000 0x00200000\r\n000000003f200008: 0x00201000 0xffffffff\r\n"
    assert parse_words(text) == [0, 0x200000, 0x201000, 0xFFFFFFFF]
    assert parse_words("Cannot access memory\r\n") == []


def changes(*states: tuple[float, str]) -> list[PinChange]:
    return [PinChange(t, ON[name]) for t, name in states]


class TestTimes:
    seen = changes((1.0, "off"), (2.0, "green"), (5.0, "off"), (6.0, "red"), (6.2, "off"))

    @pytest.mark.parametrize(("t", "name"), [(1.0, "off"), (4.9, "green"), (5.0, "off"), (99, "off")])
    def test_at(self, t: float, name: str) -> None:
        assert at(self.seen, t) == ON[name]

    def test_before_the_first_look(self) -> None:
        assert at(self.seen, 0.5) is None

    def test_a_span_begins_with_the_state_at_its_begin(self) -> None:
        assert between(self.seen, 3.0, 5.5) == changes((3.0, "green"), (5.0, "off"))

    @pytest.mark.parametrize(("since", "seconds"), [(2.5, 3.7), (6.1, 0.1), (6.3, 0.0)])
    def test_dark_for_good(self, since: float, seconds: float) -> None:
        """A lamp that is lit once more is not dark yet."""
        assert first_dark(self.seen, since) == pytest.approx(seconds)

    def test_never_dark(self) -> None:
        assert first_dark(changes((1.0, "green")), 2.0) is None

    def test_order(self) -> None:
        assert in_order(["off", "green", "off", "red"], ["green", "red"])
        assert not in_order(["off", "red", "green"], ["green", "red"])


def record(lines: Sequence[tuple[float, str]], states: Sequence[tuple[float, str]], end: float = 100.0) -> StepRecord:
    return StepRecord([Line(t, text) for t, text in lines], changes(*states), lines[0][0], end)


def checked(check: object, of: StepRecord) -> Result:
    assert callable(check)
    result = Result("step", "a step")
    check(of, result)
    return result


# ---- doorlight lights --test ------------------------------------------------------------------------------------------


def wiring(swap: tuple[str, str] | None = None) -> StepRecord:
    """Return a run of the wiring test in which every pin does what its step says, or two lamps are swapped."""
    settings = config.load(HERE / "guest/relay.toml")
    all_steps = wiring_test.steps(settings.lights, settings.relay)
    lines: list[tuple[float, str]] = [(0.0, "BOARD begin lights")]
    states: list[tuple[float, str]] = []
    for number, step in enumerate(all_steps):
        t = 1.0 + 3 * number
        lines.append((t, f"| {number + 1} of {len(all_steps)}  {step.name}"))
        shown = sorted(next(names for start, names in steps.WIRING.items() if step.name.startswith(start)))
        if swap:
            shown = [swap[1] if name == swap[0] else swap[0] if name == swap[1] else name for name in shown]
        for beat in range(10):
            states.append((t + 0.1 + beat * 0.25, shown[beat % len(shown)]))
    return record(lines, states, 1.0 + 3 * len(all_steps))


def test_each_step_of_the_wiring_test_is_known() -> None:
    result = checked(steps.check_lights, wiring())
    assert (result.verdict, result.problems) == ("passed", [])


@pytest.mark.parametrize("swap", [("green", "red"), ("red", "off"), ("relay", "buzzer"), ("red+buzzer", "red")])
def test_a_lamp_that_does_something_else_is_found(swap: tuple[str, str]) -> None:
    assert checked(steps.check_lights, wiring(swap)).verdict == "failed"


def test_a_wiring_test_that_did_not_run_fails() -> None:
    of = record([(0.0, "BOARD begin lights"), (1.0, "| doorlight: no chip")], [(0.0, "off")])
    result = checked(steps.check_lights, of)
    assert result.verdict == "failed"
    assert "doorlight: no chip" in result.problems[0]


# ---- The clip ---------------------------------------------------------------------------------------------------------

EVENTS: list[dict[str, object]] = [
    {"seq": 1, "t": 0.0, "event": "started"},
    {"seq": 2, "t": 1.0, "event": "signal", "signal": "PASS"},
    {"seq": 3, "t": 2.0, "event": "signal", "signal": "ALARM"},
    {"seq": 4, "t": 3.0, "event": "stopped"},
]
PRINTED = [
    (10.0, "|     1.00 s  PASS   everyone wears a mask"),
    (30.0, "|     2.00 s  ALARM  someone without a mask looks agitated"),
    (50.0, "|     3.00 s         the door has stopped (the source has ended)"),
]
BEEPS = [(30.1 + k * 0.25, "red" if k % 2 else "red+buzzer") for k in range(60)]
LAMPS = [(0.0, "off"), (10.1, "green"), *BEEPS, (50.0, "off")]


def clip(printed: list[tuple[float, str]], events: list[dict[str, object]], lamps: list[tuple[float, str]]) -> Result:
    lines = [(0.0, "BOARD begin clip"), *printed, *((60.0, f"| event {json.dumps(event)}") for event in events)]
    return checked(steps.check_clip(EVENTS), record(lines, lamps))


def test_the_clip_as_it_should_be() -> None:
    result = clip(PRINTED, EVENTS, LAMPS)
    assert (result.verdict, result.problems) == ("passed", [])


@pytest.mark.parametrize(
    ("events", "lamps"),
    [
        pytest.param(EVENTS[:2] + EVENTS[3:], LAMPS, id="a decision is missing"),
        pytest.param([EVENTS[0], EVENTS[1] | {"t": 1.9}, *EVENTS[2:]], LAMPS, id="a decision is late"),
        pytest.param([EVENTS[0], EVENTS[1] | {"signal": "STOP"}, *EVENTS[2:]], LAMPS, id="another signal"),
        pytest.param([], LAMPS, id="no log"),
        pytest.param(EVENTS, [(0.0, "off"), *LAMPS[2:]], id="green is never lit"),
        pytest.param(EVENTS, [*LAMPS[:2], (30.1, "red"), (50.0, "off")], id="the buzzer is silent"),
        pytest.param(EVENTS, [*LAMPS[:2], (15.0, "off"), *LAMPS[2:]], id="green goes off too early"),
        pytest.param(EVENTS, [*LAMPS[:2], (40.0, "red+buzzer"), (50.0, "off")], id="red is lit too late"),
    ],
)
def test_a_clip_that_is_not_as_it_should_be(events: list[dict[str, object]], lamps: list[tuple[float, str]]) -> None:
    assert clip(PRINTED, events, lamps).verdict == "failed"


# ---- Kills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dark_at", "verdict"), [(20.5, "passed"), (20.0 + steps.MARGIN_S + 0.1, "failed"), (None, "failed")]
)
def test_dark_after_the_pin_process_is_killed(dark_at: float | None, verdict: str) -> None:
    lines = [(0.0, "BOARD begin x"), (20.0, "BOARD mark pin process killed"), (30.0, "| exit code 74")]
    lamps = [(0.0, "red"), *([(dark_at, "off")] if dark_at else [])]
    assert checked(steps.check_pins_killed, record(lines, lamps)).verdict == verdict


def test_a_kill_that_did_not_happen_fails() -> None:
    lines = [(0.0, "BOARD begin x"), (30.0, "| doorlight: no such file")]
    for check in (steps.check_pins_killed, steps.check_door_hangs, steps.check_service_hangs):
        assert checked(check, record(lines, [(0.0, "off")])).verdict == "failed"


@pytest.mark.parametrize(("blinks", "verdict"), [(True, "passed"), (False, "failed")])
def test_fault_after_the_door_hangs(blinks: bool, verdict: str) -> None:
    lines = [(0.0, "BOARD begin x"), (20.0, "BOARD mark door stopped"), (28.0, "BOARD mark door killed")]
    beats = [(23.0 + k * 0.5, "off" if k % 2 else "red") for k in range(10)] if blinks else []
    lamps = [(0.0, "red"), *beats, (28.2, "off")]
    assert checked(steps.check_door_hangs, record(lines, lamps)).verdict == verdict


# ---- The emulator -----------------------------------------------------------------------------------------------------

FAKE_QEMU = """
    import json, re, socket, sys, time
    path = re.search(r"unix:([^,]+)", " ".join(sys.argv))[1]
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    print("Booting Linux", flush=True)
    connection, _ = server.accept()
    stream = connection.makefile("rw")
    def send(**message):
        stream.write(json.dumps(message) + "\\n")
        stream.flush()
    send(QMP={})
    levels = 1 << 17
    for line in stream:
        request = json.loads(line)
        send(event="RTC_CHANGE")
        text = request["arguments"].get("command-line", "")
        if "xp /6" in text:
            send(**{"return": "3f200000: 0x0 0x200000 0x201000 0x0\\r\\n3f200010: 0x0 0x0\\r\\n"})
        elif "xp /1" in text:
            send(**{"return": f"3f200034: {levels:#x}\\r\\n"})
        else:
            send(**{"return": {}})
            %s
"""


def fake_qemu(tmp_path: Path, lines: str) -> list[str]:
    """Return the command of a program that stands in for QEMU. It runs `lines` once its monitor is connected."""
    program = tmp_path / "qemu.py"
    program.write_text(textwrap.dedent(FAKE_QEMU) % lines)
    return [sys.executable, str(program)]


def test_sequences_for_a_terminal_do_not_hide_a_line() -> None:
    """As systemd sends them before its first line."""
    assert clean_line("\x1b[!p\x1b]104\x07\x1b[?7hBOARD begin x at 1 s\r\n") == "BOARD begin x at 1 s"
    assert clean_line("|   two  spaces\n") == "|   two  spaces"


BROKEN_CHARACTER = r'sys.stdout.buffer.write(b"\xff\0BOARD begin x\r\n"); sys.stdout.flush()'


def test_the_emulator_reads_lines_and_pins(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with Emulator(fake_qemu(tmp_path, BROKEN_CHARACTER), 0x3F200000, log) as emulator:
        line = emulator.wait_for("^BOARD begin", 60)
        deadline = time.monotonic() + 60
        while not emulator.changes and time.monotonic() < deadline:
            time.sleep(0.01)
        assert line.text == "BOARD begin x"
        assert str(emulator.changes[0].pins) == "green"
        assert emulator.is_running
    assert not emulator.is_running
    assert "BOARD begin x" in log.read_text()


def test_a_time_limit_and_an_end_are_reported(tmp_path: Path) -> None:
    late = pytest.raises(EmulatorError, match=r"not within 0 s; the console's last line")
    with Emulator(fake_qemu(tmp_path, "pass"), 0x3F200000, tmp_path / "log") as emulator, late:
        emulator.wait_for("^never", 0.2)
    ended = pytest.raises(EmulatorError, match=r"QEMU has ended \(3\); the console's last line: Booting Linux")
    with Emulator(fake_qemu(tmp_path, "sys.exit(3)"), 0x3F200000, tmp_path / "log") as emulator, ended:
        emulator.wait_for("^never", 60)


def test_a_program_that_is_no_qemu_ends_at_once(tmp_path: Path) -> None:
    ended = pytest.raises(EmulatorError, match=r"QEMU has ended \(1\)")
    with Emulator(["false"], 0x3F200000, tmp_path / "log") as emulator, ended:
        emulator.wait_for("x", 60)


def test_steps_after_one_that_hangs_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = 'print("BOARD begin a at 1 s\\n| hello\\nBOARD end a\\nBOARD begin b", flush=True)'
    monkeypatch.setattr(command, "qemu_command", lambda *_: fake_qemu(tmp_path, lines))

    def check(of: StepRecord, result: Result) -> None:
        result.check(of.output[0].text == "hello", "a greeting", of.output[0].text)

    three = [steps.Step(name, f"step {name}", 0.3 if name == "b" else 20, check) for name in "abc"]
    found = {step.name: Result(step.name, step.description) for step in three}
    command.run_boot(BOARDS["raspi3b"], tmp_path, three, tmp_path, found)
    assert [result.verdict for result in found.values()] == ["passed", "failed", "not run"]
    assert "not within" in found["b"].problems[0]
    assert found["c"].problems == ["the board did not get through b"]
    assert "passed   a" in capsys.readouterr().out
    assert results.exit_code(list(found.values())) == 1


# ---- The initial file system --------------------------------------------------------------------------------------------

DEPENDENCIES = """\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz: kernel/lib/crc16.ko.xz
kernel/fs/mbcache.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/drivers/mmc/host/bcm2835.ko.xz:
kernel/drivers/mmc/host/sdhci-iproc.ko.xz: kernel/drivers/mmc/host/sdhci.ko.xz
kernel/drivers/mmc/host/sdhci.ko.xz:
"""


def test_modules_come_after_what_they_need() -> None:
    order = [initramfs.name_of(path) for path in initramfs.in_order(initramfs.MODULES, DEPENDENCIES)]
    assert len(order) == len(set(order)) == 8
    for module, needed in (("ext4", "jbd2"), ("ext4", "mbcache"), ("jbd2", "crc16"), ("sdhci-iproc", "sdhci")):
        assert order.index(f"{needed}.ko.xz") < order.index(f"{module}.ko.xz")


def test_the_initial_file_system_is_what_the_kernel_reads(tmp_path: Path) -> None:
    """By the kernel's documentation of the format: headers of 110 bytes, names and contents at multiples of four."""
    modules = tmp_path / "usr/lib/modules/6.12"
    for line in DEPENDENCIES.splitlines():
        file = modules / line.partition(":")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"module {file.name}".encode())
    (modules / "modules.dep").write_text(DEPENDENCIES)
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/busybox").write_bytes(b"busy" * 5 + b"!")
    initramfs.write(tmp_path, tmp_path / "initrd")
    files, rest = {}, (tmp_path / "initrd").read_bytes()
    while True:
        assert rest[:6] == b"070701"
        fields = [int(rest[6 + 8 * k : 14 + 8 * k], 16) for k in range(13)]
        size, name_size = fields[6], fields[11]
        name = rest[110 : 110 + name_size].rstrip(b"\0").decode()
        begin = (110 + name_size + 3) // 4 * 4
        files[name] = (oct(fields[1]), rest[begin : begin + size])
        rest = rest[(begin + size + 3) // 4 * 4 :]
        if name == "TRAILER!!!":
            break
    assert rest == b""
    assert files["bin/busybox"] == ("0o100755", b"busybusybusybusybusy!")
    assert files["init"][1].startswith(b"#!/bin/busybox sh")
    assert files["modules/ext4.ko.xz"][1] == b"module ext4.ko.xz"
    assert files["modules/order"][1].splitlines()[-1] == b"ext4.ko.xz"
    assert files["dev"][0] == "0o40755"


# ---- Command and report -----------------------------------------------------------------------------------------------


def test_the_guest_has_every_step() -> None:
    """A step that the guest's script does not know would wait for its time limit."""
    for systemd, script in ((False, "plain.sh"), (True, "service.sh")):
        text = (HERE / "guest" / script).read_text()
        for step in steps.all_steps([], BOARDS["raspi3b"]):
            if step.systemd is systemd:
                assert f"\n{step.name}() {{" in text, step.name


def test_qemu_gets_steps_and_an_unchanged_card() -> None:
    words = " ".join(command.qemu_command(BOARDS["raspi3b"], Path("/cache"), ["a", "b"], systemd=True))
    assert "board.steps=a,b" in words
    assert "init=/sbin/init" in words
    assert "snapshot=on" in words
    plain = " ".join(command.qemu_command(BOARDS["raspi4b"], Path("/cache"), ["a"], systemd=False))
    assert f"init=/{GUEST_FOLDER}/init" in plain


def test_without_a_card_everything_is_skipped_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOORLIGHT_BOARD", str(tmp_path))
    monkeypatch.setenv("DOORLIGHT_VDOOR", "")
    monkeypatch.setattr(sys, "argv", ["board", "--as-built"])
    assert command.main() == 0
    assert "SKIPPED: the emulated Raspberry Pi: " in capsys.readouterr().out


def test_a_qemu_without_the_board_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedHostError, match=r"no qemu-system-aarch64: sudo apt install .* qemu-system-arm$"):
        check_machine(BOARDS["raspi3b"])
    program = tmp_path / "qemu-system-aarch64"
    program.write_text("#!/bin/sh\necho 'raspi3b              Raspberry Pi 3B (revision 1.2)'\n")
    program.chmod(0o755)
    check_machine(BOARDS["raspi3b"])
    with pytest.raises(UnsupportedHostError, match="does not emulate raspi4b"):
        check_machine(BOARDS["raspi4b"])


@pytest.mark.parametrize(
    ("script", "native"),
    [("exit 0", True), ("echo 'pyenv: python3.13: command not found' >&2; exit 127", False), (None, False)],
    ids=["runs", "exists and does not run", "missing"],
)
def test_modules_are_compiled_by_this_machine_if_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, native: bool
) -> None:
    """An emulated Python would take longer for it than for the rest of the installation."""
    python = tmp_path / "python3.13"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    scripts: list[str] = []
    monkeypatch.setattr(build_steps, "_inside", lambda guest, text, log, *options: scripts.append(text))
    build_steps._compile(tmp_path, Path("opt/doorlight/releases/1/lib"), tmp_path / "log")
    # As the guest sees the path: it stands in tracebacks.
    by_native = f"{python} -m compileall -q -p / opt/doorlight/releases/1/lib || true"
    emulated = "chroot . /usr/bin/python3 -m compileall -q /opt/doorlight/releases/1/lib || true"
    assert scripts == [by_native if native else emulated]


def test_an_unknown_step_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOORLIGHT_VDOOR", "")
    monkeypatch.setattr(sys, "argv", ["board", "--only", "clip,clap"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "no such step: clap" in capsys.readouterr().err


def test_the_report_has_every_step_with_its_verdict(tmp_path: Path) -> None:
    passed, failed, left = Result("a", "step a", 12.4), Result("b", "step b"), Result("c", "step c")
    passed.check(True, "green", "after 0.1 s")
    failed.check(True, "red", "")
    failed.check(False, "dark", "never | ever")
    results.write(tmp_path, [passed, failed, left], {"date": "today"})
    text = (tmp_path / "board-report.md").read_text()
    assert "| a: step a | passed | 12 | green: after 0.1 s |" in text
    assert "| failed | 0 | **expected dark, seen never \\| ever**; red |" in text
    assert "| c: step c | not run | 0 |" in text
    assert json.loads((tmp_path / "board-report.json").read_text())["steps"][1]["verdict"] == "failed"


@pytest.mark.parametrize("verdicts", [["passed", "not run"], ["failed"], []])
def test_only_a_run_in_which_everything_passed_is_good(verdicts: list[results.Verdict]) -> None:
    assert results.exit_code([Result("a", "a", verdict=verdict) for verdict in verdicts]) == 1
    assert results.exit_code([Result("a", "a", verdict="passed")]) == 0
