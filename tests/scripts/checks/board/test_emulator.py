"""The emulator, with a small program in place of QEMU: it speaks its monitor's protocol and prints lines as a serial console."""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path

import pytest

from checks.board import __main__ as command
from checks.board import results, steps
from checks.board.boards import BOARDS
from checks.board.emulator import Emulator, EmulatorError, clean_line, parse_words
from checks.board.record import StepRecord
from checks.board.results import Result


def test_words_of_the_monitor() -> None:
    text = "000000003f200000: 0x00000000 0x00200000\r\n000000003f200008: 0x00201000 0xffffffff\r\n"
    assert parse_words(text) == [0, 0x200000, 0x201000, 0xFFFFFFFF]
    assert parse_words("Cannot access memory\r\n") == []


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


def test_the_last_lines_of_an_emulator_that_has_ended_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Emulator._read_console

    def read_late(emulator: Emulator, log: Path) -> None:
        while emulator.is_running:
            time.sleep(0.01)
        time.sleep(1.5)  # the main thread looks once a second
        read(emulator, log)

    monkeypatch.setattr(Emulator, "_read_console", read_late)
    with Emulator(fake_qemu(tmp_path, "sys.exit(3)"), 0x3F200000, tmp_path / "log") as emulator:
        assert emulator.wait_for("^Booting", 60).text == "Booting Linux"


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
