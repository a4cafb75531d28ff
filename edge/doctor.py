"""Runs the checks of this machine: each says how it is, what was found, and the command that mends it.

A check may meet anything: a driver that hangs, a library built for another processor that ends the process. So the checks
run in a process of their own, one after the other; one that is late, or takes that process with it, is a finding like
any other, and a new process goes on with the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import IO, NamedTuple

from . import checks, ourselves
from .checks import Finding, Verdict
from .errors import DoorlightError
from .machine import REPAIR, Machine
from .terminal import printable


class Check(NamedTuple):
    """What to look at, and how long that may take at most, on the smallest Pi (seconds)."""

    look: Callable[[Machine], Iterator[Finding]]
    limit_s: float


CHECKS = {
    "python": Check(checks.python, 20),
    "libraries": Check(checks.libraries, 60),
    "configuration": Check(checks.configuration, 20),
    "models": Check(checks.models, 60),
    "service": Check(checks.service, 20),
    "camera": Check(checks.camera, 60),
    "coral": Check(checks.coral, 90),
    "lights": Check(checks.lights, 20),
    "permissions": Check(checks.permissions, 20),
    "events": Check(checks.events, 30),
    "temperature": Check(checks.temperature, 20),
    "journal": Check(checks.journal, 20),
    "clock": Check(checks.clock, 20),
}


def diagnose(name: str, machine: Machine) -> list[Finding]:
    """One check, here and now; one that fails has found that."""
    findings: list[Finding] = []
    try:
        for finding in CHECKS[name].look(machine):
            findings.append(finding)  # kept whatever comes after it
    except DoorlightError as error:
        findings.append(Finding("bad", str(error), error.hint))
    except ImportError as error:
        findings.append(Finding("bad", f"cannot be looked at: {error}", "see libraries"))
    except Exception as error:
        why = f"the check failed: {type(error).__name__}: {error}"
        findings.append(Finding("bad", why, "tell Doorlight's makers what you see here"))
    return findings


def examine(machine: Machine, begin: Callable[[str], None] = lambda name: None) -> Iterator[tuple[str, Finding]]:
    """Everything there is to say about this machine, by name of the check, as it is found.

    `begin` is called with the name of a check before it starts. Never hangs longer than the checks' limits.
    """
    waiting = list(CHECKS)
    while waiting:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, open(os.memfd_create("words"), "w+b") as words:
            with theirs:
                process = subprocess.Popen(
                    ourselves.command("edge.doctor", str(theirs.fileno()), json.dumps(asdict(machine)), *waiting),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
                    pass_fds=(theirs.fileno(),),
                    env=ourselves.environment(),
                )
            try:
                while waiting:
                    name = waiting[0]
                    begin(name)
                    answer = _answer(ours, process, words, CHECKS[name].limit_s)
                    del waiting[0]
                    if isinstance(answer, Finding):
                        yield name, answer
                        break
                    for finding in answer:
                        yield name, finding
            finally:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):  # held by the kernel in some driver
                    process.wait(1)


def _answer(
    channel: socket.socket, process: subprocess.Popen[bytes], words: IO[bytes], limit_s: float
) -> list[Finding] | Finding:
    """The findings of the check under way, or the one finding that it has ended the process or hangs."""
    channel.settimeout(limit_s)
    try:
        if message := channel.recv(1 << 20):
            return [Finding(*each) for each in json.loads(message)]
    except TimeoutError:
        return Finding(
            "bad", f"no answer within {limit_s:g} s: something hangs", "sudo reboot; then: sudo dmesg | tail"
        )
    words.seek(0)
    last = next(filter(str.strip, reversed(words.read().decode(errors="replace").splitlines())), "no word").strip()
    code = process.wait(5)
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return Finding("bad", f"it ends the process that looks at it: {how}: {last}", f"{REPAIR}; sudo apt full-upgrade")


#: From good to bad, with terminal colours: green, yellow, bold red.
SHADES: dict[Verdict, str] = {"ok": "32", "note": "33", "bad": "1;31"}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on the whole machine."""
    return max(verdicts, key=list(SHADES).index, default="ok")


def described(name: str, finding: Finding, width: int = 100, colour: bool = False) -> str:
    """A finding as lines for a terminal of `width` columns."""
    mark, margin = f"{finding.verdict:<5}", " " * 22
    if colour:
        mark = f"\x1b[{SHADES[finding.verdict]}m{mark}\x1b[0m"
    space = max(width - len(margin), 30)
    lines = textwrap.wrap(finding.found, space, break_on_hyphens=False, break_long_words=False) or [""]
    if finding.mend:  # in one piece, to be copied
        lines.append(f"→ {finding.mend}")
    lines = [printable(line) for line in lines]
    return "\n".join([f"  {mark} {name:<14}{lines[0]}", *(margin + line for line in lines[1:])])


def _main(channel: socket.socket, machine: Machine, names: list[str]) -> None:
    """What the process does that runs the checks."""
    for name in names:
        channel.send(json.dumps(diagnose(name, machine)).encode())


if __name__ == "__main__":
    _channel, _machine, *_names = sys.argv[1:]
    _main(socket.socket(fileno=int(_channel)), Machine(**json.loads(_machine)), _names)
