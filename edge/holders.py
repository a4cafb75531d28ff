"""Who has a device open, as far as /proc lets us see."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def holders(*targets: str) -> list[tuple[int, str]]:
    """The processes that have any of these open: (process id, command), in the order of the ids.

    A target is a path, or what /proc shows for something without one ("anon_inode:gpio-line"). Only root sees the
    files of other users' processes.
    """
    links = {os.path.realpath(target) if target.startswith("/") else target for target in targets}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is not ours to look at
            if any(os.readlink(fd) in links for fd in (entry / "fd").iterdir()):
                found.append((int(entry.name), (entry / "comm").read_text().strip()))
    return sorted(found)
