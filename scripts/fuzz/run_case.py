"""Run one case in a forked process, with limits, and judge how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from . import case_process
from .inputs import LIMIT_S, Case, Material
from .judge import Result, faults_of

#: The limit of a case is processor time. Its wall-clock limit is this factor times larger, for a busy computer.
WALL_CLOCK_FACTOR = 5
MAKE_S, EXIT_S = 60.0, 30.0
#: Only this part of the output is checked.
MAX_OUTPUT_BYTES = 1 << 20


def run_case(name: str, seed: str, material: Material, keep: Path | None = None) -> Result:
    """Run one case, "KIND:NUMBER", in a forked process, and judge it. Its files stay in `keep`, if given."""
    kind, _, number = name.partition(":")
    top = keep or Path(tempfile.mkdtemp(prefix="fuzz-", dir=_scratch_folder()))
    folder = top / "case"
    folder.mkdir(parents=True, exist_ok=True)
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            case_process.run(kind, int(number), seed, material, folder, send)
        except BaseException:
            traceback.print_exc()
        os._exit(99)
    os.close(send)
    facts = _receive_facts(receive, pid)
    os.close(receive)
    case = Case(
        [],
        frozenset(facts.get("codes", ())),
        limit_s=facts.get("limit_s", 0),
        max_mib=facts.get("max_mib", 0),
        signals=frozenset(facts.get("signals", ())),
    )
    result = Result(name, facts.get("code", facts["died"]), facts.get("seconds", 0.0), facts.get("peak_mib", 0.0))
    result.argv = facts.get("argv", [])
    out, err = (_read_start(top / file) for file in ("out", "err"))
    result.faults = [*faults_of(case, result, out, err), *facts.get("faults", ())]
    if facts["died"] and "code" in facts and -facts["died"] not in case.signals:
        result.faults.append(f"fails while it exits ({facts['died']})")
    result.stderr = err.decode("utf-8", "replace")[:2000]
    if keep is None:
        shutil.rmtree(top, ignore_errors=True)
    return result


def _receive_facts(receive: int, pid: int) -> dict[str, Any]:
    """Return what the process of a case reports until it ends or is killed.

    "died" is the number of the signal that ended it (negative), its exit code, or None after a timeout.
    """
    facts: dict[str, Any] = {}
    data = b""
    deadline = time.monotonic() + MAKE_S  # to make the input; then the case's own limit applies
    last_deadline = deadline + WALL_CLOCK_FACTOR * LIMIT_S
    while True:
        ready, _, _ = select.select([receive], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            if time.monotonic() < last_deadline and _processor_time_s(pid) < facts.get("limit_s", LIMIT_S):
                deadline = time.monotonic() + 1.0
                continue
            break
        if not (more := os.read(receive, 65536)):
            break
        data += more
        *lines, data = data.split(b"\n")
        for line in lines:
            facts |= json.loads(line)
        if "code" in facts:
            deadline = time.monotonic() + EXIT_S
        elif "limit_s" in facts:
            deadline = time.monotonic() + facts["limit_s"]
            last_deadline = time.monotonic() + WALL_CLOCK_FACTOR * facts["limit_s"]
    died, is_timeout = _end_process(pid, deadline)
    facts["died"] = None if is_timeout else died
    return facts


def _end_process(pid: int, deadline: float) -> tuple[int, bool]:
    """Wait for the process until the deadline, then kill it. Return its exit code, and whether it was a timeout."""
    handle = os.pidfd_open(pid)
    is_timeout = not select.select([handle], [], [], max(0.1, deadline - time.monotonic()))[0]
    if is_timeout:
        os.kill(pid, signal.SIGABRT)  # faulthandler prints where it hangs
        select.select([handle], [], [], 1.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(handle)
    return os.waitstatus_to_exitcode(status), is_timeout


def _processor_time_s(pid: int) -> float:
    """Return the processor time of a process in seconds."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_OUTPUT_BYTES)
    except FileNotFoundError:
        return b""
    if len(data) == MAX_OUTPUT_BYTES:
        data = data[: data.rfind(b"\n") + 1]  # do not end within a character
    return data


def _scratch_folder() -> str | None:
    """Return /dev/shm if there is space: the inputs need not be written to disk."""
    return "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 << 30 else None
