"""Check `storage`: whether log, settings and program survive power-off, where the root is read-only or in memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..finding import Finding
from ..host import Host

#: File systems in memory.
IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
#: Words on the kernel's command line that put the upper folder of the root into memory: overlayroot, an older raspi-config, live
#: systems.
MEMORY_OVERLAYS = re.compile(r"(?:^|\s)(?:overlayroot=\"?tmpfs\S*|boot=overlay|boot=live)(?=\s|$)")
SETTINGS, PROGRAM = Path("/etc/doorlight"), Path("/opt/doorlight")

OVERLAY_OFF = "sudo raspi-config nonint disable_overlayfs && sudo reboot"
KEEP_LOG = "mount a partition there (with overlayroot, add :recurse=0 to its setting), or switch the overlay off: "


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: where, what kind, from where, and all options."""

    point: Path
    kind: str
    source: str
    options: tuple[str, ...]

    def option(self, name: str) -> str:
        """Return the value of an option such as upperdir=…; "" if there is none."""
        return next((each.partition("=")[2] for each in self.options if each.startswith(f"{name}=")), "")


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding about the root, and one for each folder of the door whose changes are lost at power-off."""
    found = mounts(host)
    root = mount_of(Path("/"), found)
    if root is None:
        yield Finding("ok", "the kernel does not tell what is mounted")
        return
    log = Path(os.path.realpath(host.events_file.absolute().parent))
    is_lost = _is_in_memory(log, found, host)
    if is_lost:
        where = mount_of(log, found)
        fix = (
            KEEP_LOG + OVERLAY_OFF
            if where is not None and where.kind == "overlay"
            else "name a file on a disk in [events] file"
        )
        yield Finding("bad", f"{log}: is in memory only: every event is lost at power-off", fix)
    if not _is_in_memory(Path("/"), found, host):
        if not is_lost:
            yield Finding("ok", f"the root is on {root.source} ({root.kind}); the log is on {_disk(log, found)}")
        return
    lost = [
        str(folder)
        for folder in (SETTINGS, PROGRAM)
        if host.glob(str(folder)[1:]) and _is_in_memory(folder, found, host)
    ]
    message = "the root is read-only: what is changed on it is in memory, and is lost at power-off"
    if lost:
        fix = f"before you change settings or install a version: {OVERLAY_OFF}"
        yield Finding("note", f"{message}. So are changes of {' and '.join(lost)}", fix)
    else:
        yield Finding("ok", message)
    if not is_lost:
        yield Finding("ok", f"the log survives power-off: {log} is on {_disk(log, found)}")


def mounts(host: Host) -> list[Mount]:
    """Return what is mounted in this process' view, in the order in which it was mounted, see proc(5)."""
    found = []
    for row in host.read("proc/self/mountinfo").splitlines():
        before, _, after = row.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 6 and len(right) >= 3:
            options = (*left[5].split(","), *right[2].split(","))
            found.append(Mount(Path(_unescaped(left[4])), right[0], _unescaped(right[1]), options))
    return found


def mount_of(path: Path, found: list[Mount]) -> Mount | None:
    """Return the mount that an absolute path is on; None if it is not known. The last one at a point hides the others."""
    best = None
    for mount in found:
        if path.is_relative_to(mount.point) and (best is None or mount.point.is_relative_to(best.point)):
            best = mount
    return best


def _is_in_memory(path: Path, found: list[Mount], host: Host) -> bool:
    mount = mount_of(path, found)
    if mount is None:
        return False
    if mount.kind != "overlay":
        return mount.kind in IN_MEMORY
    upper = mount.option("upperdir")
    if not upper:
        return False  # without one, nothing can be written
    # The folder of overlayroot is below /media/root-rw; that of others cannot be seen after the start.
    under = mount_of(Path(upper), [each for each in found if each.point != Path("/")])
    if under is not None:
        return under.kind in IN_MEMORY
    return mount.point == Path("/") and MEMORY_OVERLAYS.search(host.read("proc/cmdline")) is not None


def _disk(path: Path, found: list[Mount]) -> str:
    mount = mount_of(path, found)
    return f"{mount.source} ({mount.kind})" if mount is not None else "an unknown disk"


def _unescaped(text: str) -> str:
    """Return a path of mountinfo, in which spaces and the like are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
