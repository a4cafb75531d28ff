"""Run the checks in a child process, and render their findings for a terminal.

A check can hang in a driver, and a library that was built for another processor can end the process. Therefore the
checks run in a child process, one after the other. If a check exceeds its timeout or ends the process, that becomes its
finding, and a new child process continues with the next check.

To add a check, write a module in `checks` with a function `check(host)`, which yields `Finding`s, and add it to CHECKS.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import IO, NamedTuple

from ..errors import DoorlightError
from ..system import child_process
from ..system.libraries import explain
from ..system.terminal import printable, wrap
from .checks import (
    camera,
    card,
    clock,
    configuration,
    coral,
    events,
    journal,
    libraries,
    lights,
    link,
    models,
    people,
    permissions,
    privacy,
    python,
    service,
    storage,
    temperature,
    update,
)
from .finding import Finding, Severity
from .host import REPAIR, Host


class Check(NamedTuple):
    """A check, and its timeout on the smallest Pi."""

    check: Callable[[Host], Iterator[Finding]]
    timeout_s: float


CHECKS = {
    "python": Check(python.check, 20),
    "libraries": Check(libraries.check, 60),
    "configuration": Check(configuration.check, 20),
    "models": Check(models.check, 60),
    "service": Check(service.check, 20),
    "update": Check(update.check, 20),
    "camera": Check(camera.check, 60),
    "coral": Check(coral.check, 90),
    "lights": Check(lights.check, 20),
    "permissions": Check(permissions.check, 20),
    "privacy": Check(privacy.check, 20),
    "events": Check(events.check, 30),
    "storage": Check(storage.check, 20),
    "card": Check(card.check, 20),
    "temperature": Check(temperature.check, 20),
    "journal": Check(journal.check, 20),
    "clock": Check(clock.check, 20),
    "link": Check(link.check, 40),
    "people": Check(people.check, 20),
}

#: Terminal colours, from good to bad: green, yellow, bold red.
COLOURS: dict[Severity, str] = {"ok": "32", "note": "33", "bad": "1;31"}


def run_check(name: str, host: Host) -> list[Finding]:
    """Run one check in this process. An exception becomes a finding, after the findings before it."""
    findings: list[Finding] = []
    try:
        for finding in CHECKS[name].check(host):
            findings.append(finding)
    except DoorlightError as error:
        findings.append(Finding("bad", str(error), error.hint))
    except ImportError as error:
        problem = explain(error)
        message = problem.message if problem else str(error)
        findings.append(Finding("bad", f"cannot be checked: {message}", "see the check libraries"))
    except Exception as error:
        message = f"the check failed: {type(error).__name__}: {error}"
        findings.append(Finding("bad", message, "report this message to the authors of Doorlight"))
    return findings


def run_checks(
    host: Host, on_start: Callable[[str], None] = lambda name: None, names: Iterable[str] | None = None
) -> Iterator[tuple[str, Finding]]:
    """Run the checks `names` (None: all) in a child process; yield (name of the check, finding) as they are found.

    `on_start` is called with the name of a check before the check starts. No check runs longer than its timeout.
    """
    waiting = list(CHECKS if names is None else names)
    while waiting:
        channel, child_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with channel, open(os.memfd_create("stderr"), "w+b") as stderr:
            with child_channel:
                process = _start_child(host, waiting, child_channel, stderr)
            try:
                while waiting:
                    name = waiting[0]
                    on_start(name)
                    findings = _receive(channel, CHECKS[name].timeout_s)
                    del waiting[0]
                    if findings is None:
                        yield name, _exit_finding(process, stderr)
                        break
                    for finding in findings:
                        yield name, finding
            except TimeoutError:
                timeout_s = CHECKS[waiting.pop(0)].timeout_s
                message = f"no answer within {timeout_s:g} s: a driver or a library hangs"
                yield name, Finding("bad", message, "sudo reboot; then: sudo dmesg | tail")
            finally:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it in a driver
                    process.wait(1)


def _start_child(host: Host, names: list[str], channel: socket.socket, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        child_process.command("edge.doctor.runner", str(channel.fileno()), json.dumps(asdict(host)), *names),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=(channel.fileno(),),
        env=child_process.environment(),
    )


def _receive(channel: socket.socket, timeout_s: float) -> list[Finding] | None:
    """Return the findings of the running check; None if the child process has ended. Raises TimeoutError."""
    channel.settimeout(timeout_s)
    message = channel.recv(1 << 20)
    return [Finding(*fields) for fields in json.loads(message)] if message else None


def _exit_finding(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> Finding:
    """Return why the child process ended, with the last line of its stderr."""
    stderr.seek(0)
    lines = filter(str.strip, reversed(stderr.read().decode(errors="replace").splitlines()))
    last_line = next(lines, "no message").strip()
    code = process.wait(5)
    reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return Finding("bad", f"the check ended its process: {reason}: {last_line}", f"{REPAIR}; sudo apt full-upgrade")


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst severity; "ok" if there is none."""
    return max(severities, key=list(COLOURS).index, default="ok")


def render(name: str, finding: Finding, width: int = 100, colour: bool = False) -> str:
    """Return a finding of the check `name` as lines for a terminal of `width` columns."""
    mark, margin = f"{finding.severity:<5}", " " * 22
    if colour:
        mark = f"\x1b[{COLOURS[finding.severity]}m{mark}\x1b[0m"
    columns = max(width - len(margin), 30)
    lines = wrap(finding.message, columns)
    if finding.fix:
        lines += wrap(finding.fix, columns, "→ ", "  ")
    lines = [printable(line) for line in lines]
    return "\n".join([f"  {mark} {name:<14}{lines[0]}", *(margin + line for line in lines[1:])])


def _child_main(channel: socket.socket, host: Host, names: list[str]) -> None:
    """Run the checks in the child process; send the findings of each as one message."""
    for name in names:
        channel.send(json.dumps(run_check(name, host)).encode())


if __name__ == "__main__":
    _fileno, _host, *_names = sys.argv[1:]
    _child_main(socket.socket(fileno=int(_fileno)), Host(**json.loads(_host)), _names)
