"""Check `events`: folder, permissions, disk space and write time of the event log."""

from __future__ import annotations

import os
import shlex
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..finding import Finding, Severity
from ..host import Host

#: With less disk space than this, the log soon stops.
MIN_FREE_BYTES = 20e6
#: Limits for the time of a write and fsync. Above TOO_SLOW_S, a record is not on the disk within a second.
SLOW_S, TOO_SLOW_S = 0.2, 0.8
#: The write time is the median of this many writes of LINE, but no further write starts after MAX_TEST_S.
TEST_WRITES, MAX_TEST_S = 5, 3.0
LINE = b"." * 199 + b"\n"

FREE_SPACE = "sudo apt clean; sudo journalctl --vacuum-size=50M; df -h"
SHOW_DISK_ERRORS = "sudo dmesg | grep -iE 'mmc|ext4|i/o error'"


def check(host: Host) -> Iterator[Finding]:
    """Yield the first problem with folder or permissions; else findings about disk space, service and write time."""
    path = host.events_file
    folder = path.absolute().parent
    if (problem := _access_problem(host, path, folder)) is not None:
        yield problem
        return
    space, problem = _disk_space(host, path, folder)
    if problem is not None:
        yield problem
    status = host.unit_property("StatusText")
    if host.service_is_running and "event log:" in status:
        yield Finding("bad", f"status of the running service: {status}", SHOW_DISK_ERRORS)
    if os.access(folder, os.W_OK | os.X_OK):
        yield _write_time(folder, space)
    else:
        yield Finding("note", f"{space}; this user cannot measure the write time", "sudo doorlight doctor")


def _access_problem(host: Host, path: Path, folder: Path) -> Finding | None:
    """Return why the door's user cannot write the log; None if it can."""
    user = host.user
    if not folder.is_dir():
        return Finding("bad", f"{path}: there is no folder {folder}", f"sudo install -d -o {user.name} {folder}")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        fix = f"{SHOW_DISK_ERRORS} (a failing card turns read-only by itself); sudo mount -o remount,rw /"
        return Finding("bad", f"{folder}: its disk is read-only", fix)
    for each, mode in ((folder, os.W_OK | os.X_OK), (path, os.R_OK | os.W_OK)):
        if each.exists() and not user.can_access(each, mode):
            return Finding(
                "bad", f"{each}: {user.name} has no write access", f"sudo chown {user.name}: {shlex.quote(str(each))}"
            )
    return None


def _disk_space(host: Host, path: Path, folder: Path) -> tuple[str, Finding | None]:
    """Return the free disk space as text, and a finding if it is too small."""
    disk, settings = os.statvfs(folder), host.settings.events
    free_bytes = disk.f_bavail * disk.f_frsize
    full_log_bytes = settings.rotate_bytes * (settings.keep_files + 1)
    space = f"{path}: {free_bytes / 1e6:,.0f} MB free"
    if free_bytes < MIN_FREE_BYTES:
        return space, Finding("bad", f"{space}: the disk is almost full", FREE_SPACE)
    if free_bytes < full_log_bytes:
        return space, Finding("note", f"{space}, but a full log takes {full_log_bytes / 1e6:,.0f} MB", FREE_SPACE)
    return space, None


def _write_time(folder: Path, space: str) -> Finding:
    """Measure the time of a write and fsync in `folder`, and return a finding about it."""
    times_s: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        while len(times_s) < TEST_WRITES and sum(times_s) <= MAX_TEST_S:
            started_at = time.perf_counter()
            os.write(file.fileno(), LINE)
            os.fsync(file.fileno())
            times_s.append(time.perf_counter() - started_at)
    median_s = statistics.median(times_s)
    severity: Severity = "bad" if median_s > TOO_SLOW_S else "note" if median_s > SLOW_S else "ok"
    fix = "" if severity == "ok" else "use another SD card (class A1 or A2), or another disk in [events] file"
    message = f"{space}, a line is on the disk in {1000 * median_s:.1f} ms (fsync, median of {len(times_s)})"
    return Finding(severity, message, fix)
