"""Check `permissions`: whether the door's user has access to the device files of camera and lights."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Iterator
from pathlib import Path

from ..finding import Finding
from ..host import REPAIR, UNIT, Host, User

#: Device files of libcamera.
PICAMERA_NODES = ("dev/media*", "dev/video*", "dev/dma_heap/*")
#: Device files that a message names; it counts the others.
MAX_NAMED = 3
#: Read and write permission of a file's group.
GROUP_READ_WRITE = 0o060


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each fix that is needed, or one if there is access to all files. Raises UnavailableError."""
    user = host.user
    nodes = _device_files(host)
    groups = ", ".join(sorted(group_name(gid) for gid in user.groups))
    denied: dict[str, list[Path]] = {}
    for node in nodes:
        if not user.can_access(node, os.R_OK | os.W_OK):
            denied.setdefault(_fix(node, user), []).append(node)
    for fix, some in denied.items():
        names = ", ".join(map(str, some[:MAX_NAMED]))
        more = f" and {len(some) - MAX_NAMED} more" if len(some) > MAX_NAMED else ""
        yield Finding("bad", f"{user.name} has no access to {names}{more}", fix)
    if not nodes:
        yield Finding("ok", f"{user.name} (groups {groups}): the door uses no device files of camera and lights")
    elif not denied:
        message = f"{user.name} (groups {groups}) has access to every device file of camera and lights ({len(nodes)})"
        yield Finding("ok", message)
    if not user.me and os.geteuid():
        message = f"the service runs as {user.name}: the current user may have less access"
        yield Finding("note", message, "sudo doorlight doctor")


def _device_files(host: Host) -> list[Path]:
    patterns: list[str] = []
    if host.source_name == "picamera":
        patterns += PICAMERA_NODES
    elif host.source_name.startswith("/dev/"):
        patterns.append(host.source_name.lstrip("/"))
    if host.is_pi and not host.simulate:
        patterns.append("dev/gpiochip*")
    return [node for pattern in patterns for node in host.glob(pattern)]


def _fix(node: Path, user: User) -> str:
    """Return how to give `user` access: membership of the file's group if the group has access, else udev rules."""
    status = node.stat()
    if status.st_gid and status.st_mode & GROUP_READ_WRITE == GROUP_READ_WRITE:
        then = "log in again" if user.me else f"sudo systemctl restart {UNIT}"
        return f"sudo usermod -aG {group_name(status.st_gid)} {user.name}; then {then}"
    return f"sudo udevadm trigger; if that does not help, install the udev rules: {REPAIR}"


def group_name(gid: int) -> str:
    """Return the name of a group; its number if it has no name."""
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
