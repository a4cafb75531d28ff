"""Decide whether a case ended well."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

from .inputs import Case

#: The exit codes in `doorlight --help`, and 130 after an interrupt.
EXIT_CODES = frozenset({0, 2, 66, 69, 74, 78, 130})
#: A user must be able to read a line on stderr.
MAX_LINE_CHARACTERS = 2100


@dataclass
class Result:
    """The result of one case; `code` is negative after a signal, None after a timeout."""

    name: str
    code: int | None = None
    seconds: float = 0.0
    peak_mib: float = 0.0
    faults: list[str] = field(default_factory=list)
    argv: list[str] = field(default_factory=list)
    stderr: str = ""


def faults_of(case: Case, result: Result, out: bytes, err: bytes) -> Iterator[str]:
    """Yield everything that is wrong with the end of a case: exit code, memory, stderr, characters."""
    code, lines = result.code, err.decode("utf-8", "replace").split("\n")
    if code is None:
        yield f"hangs: no end after {case.limit_s:g} s"
    elif code < 0:
        if -code not in case.signals:
            yield f"ends with {signal.Signals(-code).name}"
    elif code not in EXIT_CODES:
        yield f"exit code {code} is not in --help"
    elif code not in case.codes:
        yield f"exit code {code}, expected {', '.join(map(str, sorted(case.codes)))}"
    if result.peak_mib > case.max_mib:
        yield f"uses {result.peak_mib:.0f} MiB, allowed {case.max_mib}"
    if "Traceback" in err.decode("utf-8", "replace"):
        yield "traceback: " + next((line for line in reversed(lines) if line.strip()), "")
    elif code == 0 and not all(line.startswith("doorlight: note: ") for line in lines if line):
        yield f"succeeds, but prints on stderr: {lines[0]!r}"
    elif code not in (0, None, 2, 130) and code > 0 and not (lines[0].startswith("doorlight: ") and len(lines) <= 3):
        yield f"not one clear line on stderr: {lines[:4]!r}"
    if any(len(line) > MAX_LINE_CHARACTERS for line in lines):
        yield f"a line of {max(map(len, lines))} characters on stderr"
    for name, output in (("stdout", out), ("stderr", err)):
        try:
            text = output.decode()
        except UnicodeDecodeError as error:
            yield f"{name} is not UTF-8: {output[error.start : error.start + 10]!r}"
            continue
        if wrong := sorted({c for c in text if c != "\n" and not c.isprintable()}):
            yield f"{name} has control characters: {wrong[:5]!r}"
