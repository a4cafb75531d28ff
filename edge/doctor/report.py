"""`doorlight doctor --report`: one Markdown file with what helps to find out how a machine behaves, and nothing private.

It may be attached to a public issue. There is no picture, no address, no login and no line about people in it; see
private_text.py. Every command has a time limit, and what fails is said in its place.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .. import __version__
from ..config import default_text
from ..counted import counted
from ..errors import DoorlightError, UnavailableError
from ..lights import gpio
from ..system import child_process
from ..system.files import read_toml
from .finding import Finding
from .host import UNIT, Host, run_command
from .private_text import PrivateText, private_values, shown_settings

#: The short benchmark, and its time limit on the smallest Pi.
BENCH_COMMAND = (sys.executable, "-P", "-m", "edge", "bench", "--faces", "1", "--seconds", "10")
BENCH_TIMEOUT_S = 300.0
JOURNAL_LINES = 200
#: The door prints a line for each event, with its time in the source: "   12.34 s  STOP   someone wears no mask".
EVENT_LINE = re.compile(r"^\s*[\d.]+ s  ")
#: Messages of the kernel that concern a door: power, pins, camera, card, memory, watchdog.
KERNEL_TOPICS = re.compile(
    r"(?i)volt|throttl|thermal|gpio|pinctrl|camera|unicam|rp1-cfe|imx\d|ov\d{4}|mmc\d|i/o error|ext4|watchdog|oom|out of memory"
)
#: What a first look at an unknown board needs.
CAMERA_COMMANDS = (("rpicam-hello", "--list-cameras"), ("libcamera-hello", "--list-cameras"))


def render(
    host: Host,
    findings: Sequence[tuple[str, Finding]],
    lights_answer: str,
    progress: Callable[[str], None] = lambda what: None,
) -> str:
    """Return the report as Markdown.

    `findings` are those of doctor's checks, by the name of the check. `lights_answer` is what the user says of `doorlight
    lights --test`. `progress` is called with what is looked at next.
    """
    private = PrivateText(private_values(host.option("config"), host.root, host.source_name))
    sections: list[tuple[str, Callable[[], list[str]]]] = [
        ("Machine", lambda: list(_machine(host))),
        ("Findings of doorlight doctor", lambda: [_finding_line(name, finding) for name, finding in findings]),
        (
            "Lamps, buzzer and relay",
            lambda: [f"- doorlight lights --test, as the user says: {lights_answer or 'not answered'}"],
        ),
        ("GPIO chips", lambda: _code(_gpio_chips())),
        ("Cameras", lambda: _code(_cameras(host))),
        ("Speed", lambda: _code(_bench(host))),
        ("Settings that differ from the defaults", lambda: _code(_settings(host))),
        ("Journal of the service", lambda: _code(_journal())),
        ("Messages of the kernel", lambda: _code(_kernel())),
    ]
    lines = [
        "# Doorlight: report of a machine",
        "",
        "Made by `sudo doorlight doctor --report`. Private texts are replaced; please read it before you send it.",
    ]
    for title, section in sections:
        progress(title)
        lines += ["", f"## {title}", ""]
        try:
            lines += section()
        except (DoorlightError, OSError, ValueError) as error:
            lines.append(f"not known: {error}")
    return "\n".join(private.hide(line) for line in lines) + "\n"


def _machine(host: Host) -> Iterator[str]:
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', host.read("etc/os-release"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", host.read("proc/meminfo"), re.MULTILINE)
    revision = re.search(r"^Revision\s*:\s*(\w+)", host.read("proc/cpuinfo"), re.MULTILINE)
    yield f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield f"- Doorlight {__version__}, Python {platform.python_version()}"
    yield f"- board: {host.model or 'no Raspberry Pi'}" + (f", revision {revision[1]}" if revision else "")
    yield f"- system: {system[1] if system else 'unknown'}, {platform.machine()}, {platform.libc_ver()[1] or '?'} (C library)"
    yield f"- Raspberry Pi OS: {host.read('etc/rpi-issue').splitlines()[0] if host.read('etc/rpi-issue') else 'no'}"
    yield f"- kernel: {platform.release()} {platform.version()}"
    yield f"- processors: {os.cpu_count()}, memory: {int(memory[1]) // 1024 if memory else 0} MB"
    yield f"- systemd: {_output('systemctl', '--version').splitlines()[0]}"
    yield f"- firmware: {' '.join(_output('vcgencmd', 'version').split())}"
    yield f"- throttled: {_output('vcgencmd', 'get_throttled')}"
    yield f"- service: {host.unit_property('ActiveState') or 'not installed'}"
    if status := host.unit_property("StatusText"):
        yield f"- status of the service: {status}"


def _finding_line(name: str, finding: Finding) -> str:
    fix = f" → `{_one_line(finding.fix)}`" if finding.fix else ""
    return f"- **{finding.severity}** {name}: {_one_line(finding.message)}{fix}"


def _gpio_chips() -> list[str]:
    """Return each GPIO chip with its label and number of lines, and which one the door uses."""
    chips = [f"{path}: {label}, {counted(lines, 'line')}" for path, label, lines in gpio.chips()]
    try:
        used = gpio.header_chip() or "none"
    except DoorlightError as error:
        used = str(error)
    return [*chips, f"header's chip: {used}"]


def _cameras(host: Host) -> list[str]:
    """Return what Raspberry Pi's own program lists, and the names of the V4L2 devices."""
    devices = [
        f"{path.parent.name}: {path.read_text().strip()}" for path in host.glob("sys/class/video4linux/video*/name")
    ]
    if host.service_is_running:
        return [*devices, "not asked: the service uses the camera"]
    for command in CAMERA_COMMANDS:
        try:
            return [*devices, *run_command(*command).splitlines()]
        except UnavailableError:
            continue
    return [*devices, "rpicam-hello: not installed"]


def _bench(host: Host) -> list[str]:
    """Return the output of a short benchmark in a child process; the service's own speed if it runs."""
    if host.service_is_running:
        return [f"not measured: the service runs; its status: {host.unit_property('StatusText')}"]
    command = list(BENCH_COMMAND)
    if models := host.option("models"):
        command += ["--models", models]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BENCH_TIMEOUT_S,
            env=child_process.environment(),
        )
    except subprocess.TimeoutExpired:
        return [f"doorlight bench: not ready within {BENCH_TIMEOUT_S:g} s"]
    output = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return output.decode(errors="replace").splitlines()


def _settings(host: Host) -> list[str]:
    path = host.option("config")
    if not path:
        return ["no settings file: the defaults"]
    return list(shown_settings(read_toml(Path(path)), tomllib.loads(default_text()))) or ["none"]


def _journal() -> list[str]:
    """Return the last lines of the service's journal, without those about people."""
    command = (
        "journalctl",
        "-u",
        UNIT,
        "-n",
        str(JOURNAL_LINES),
        "--no-pager",
        "--no-hostname",
        "-q",
        "-o",
        "short-iso",
    )
    lines = run_command(*command).splitlines()
    kept = [line for line in lines if not EVENT_LINE.match(line.partition("]: ")[2])]
    left_out = len(lines) - len(kept)
    return kept + ([f"({counted(left_out, 'line')} about people left out)"] if left_out else []) or ["empty"]


def _kernel() -> list[str]:
    command = ("journalctl", "-k", "-b", "-n", "2000", "--no-pager", "--no-hostname", "-q", "-o", "short-monotonic")
    lines = [line for line in run_command(*command).splitlines() if KERNEL_TOPICS.search(line)]
    return lines[-60:] or ["nothing about power, pins, camera, card or memory"]


def _output(*command: str) -> str:
    """Return what a command prints; why it cannot be run, if it fails."""
    try:
        return run_command(*command) or "no output"
    except UnavailableError as error:
        return str(error)


def _code(lines: list[str]) -> list[str]:
    """Return lines as a block of code. A line must not end the block."""
    return ["```", *(line.replace("```", "'''") for line in lines), "```"]


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
