"""List the processes that have a file or device open, from /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def processes_using(*targets: str) -> list[tuple[int, str]]:
    """Return the processes that have any of `targets` open, as (process id, command name), sorted by id.

    A target is a path, or the text that /proc shows for a file without one ("anon_inode:gpio-line"). Only root can see
    the files of other users' processes.
    """
    links = {os.path.realpath(target) if target.startswith("/") else target for target in targets}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            if any(os.readlink(descriptor) in links for descriptor in (entry / "fd").iterdir()):
                found.append((int(entry.name), (entry / "comm").read_text().strip()))
    return sorted(found)
