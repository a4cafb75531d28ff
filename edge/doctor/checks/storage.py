"""Check `storage`: whether the root is read-only or in memory, and whether log, settings and program survive power-off."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ... import enrolled_paths
from ...link_settings import named_secrets
from ..finding import Finding
from ..host import Host

#: File systems in memory.
IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
#: Words on the kernel's command line that put the upper folder of the root into memory: overlayroot, an older raspi-config, live
#: systems.
MEMORY_OVERLAYS = re.compile(r"(?:^|\s)(?:overlayroot=\"?tmpfs\S*|boot=overlay|boot=live)(?=\s|$)")
SETTINGS, PROGRAM = Path("/etc/doorlight"), Path("/opt/doorlight")
#: Lines of /etc/fstab that scripts/install.sh --read-only writes: the disk, and the folders that are mounted from it.
DATA = Path("/media/doorlight")
DATA_DISK = re.compile(rf"^(\S+) {DATA} ", re.MULTILINE)
DATA_FOLDER = re.compile(rf"^{DATA}(/\S+) \S+ none bind", re.MULTILINE)
#: What it writes last, for overlayroot; where overlayroot mounts the root itself, and the file system in memory over it.
OVERLAY_CONF, LOWER, UPPER = "etc/overlayroot.local.conf", "media/root-ro", "media/root-rw"
#: A file system in memory that is as full as this will be full one day.
MAX_UPPER_SHARE = 0.8

SEE_PAGE = 'see "A read-only root" in systemd/README.md'
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
    if disk := DATA_DISK.search(host.read("etc/fstab")):
        yield from _read_only_root(host, disk[1], found)
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
    or_off = f", or switch the overlay off: {OVERLAY_OFF}" if root.kind == "overlay" else ""
    yield from _named_files(host, found, f"move it to a disk, and name it there{or_off}")
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


def _read_only_root(host: Host, disk: str, found: list[Mount]) -> Iterator[Finding]:
    """Yield the state of a root that scripts/install.sh --read-only has made read-only, or was about to make."""
    folders = [Path(folder) for folder in DATA_FOLDER.findall(host.read("etc/fstab"))]
    missing = [str(folder) for folder in folders if folder not in (mount.point for mount in found)]
    if missing:
        yield Finding(
            "bad",
            f"the disk of {', '.join(missing)} ({disk}) is not mounted: every event and every change is lost at power-off",
            "plug the disk in, then: sudo reboot",
        )
        return
    log = Path(os.path.realpath(host.events_file.absolute().parent))
    if _is_in_memory(log, found, host):
        yield Finding(
            "bad",
            f"{log}: is in memory only: every event is lost at power-off",
            f"name a file in /var/lib/doorlight in [events] file; that folder is on {_disk(DATA, found)}",
        )
    yield from _named_files(host, found, f"move it to a folder on {_disk(DATA, found)}, and name it there: {SEE_PAGE}")
    where = f"log, settings and program are on {_disk(DATA, found)}"
    if not _is_in_memory(Path("/"), found, host):
        again = "sudo reboot" if host.read(OVERLAY_CONF) else "sudo scripts/install.sh --read-only --data " + disk
        yield Finding("note", f"the root is still writable; {where}", f"to make it read-only: {again}")
        return
    yield Finding("ok", f"the root is read-only, nothing is written to it; {where}")
    if units := _enabled_in_memory(host):
        yield Finding(
            "note",
            f"{', '.join(units)}: enabled until the next boot only, since the root is read-only",
            f"sudo overlayroot-chroot systemctl enable {' '.join(units)}",
        )
    if (share := _upper_share(host)) > MAX_UPPER_SHARE:
        yield Finding(
            "note",
            f"the memory for changes of the root is {share:.0%} full",
            "sudo reboot empties it; see what fills it: sudo du -xm /media/root-rw | sort -n | tail",
        )


def _named_files(host: Host, found: list[Mount], fix: str) -> Iterator[Finding]:
    """Yield what is lost at power-off of files that the settings name. `fix` is what to do with one."""
    settings = host.settings
    people = settings.people.file
    if not people and settings.people.enabled and host.uses_service_options:
        people = str(enrolled_paths.DEFAULT)
    if people and _is_in_memory(Path(os.path.realpath(people)), found, host):
        yield Finding(
            "bad",
            f"{people}, [people] file: is in memory only: at power-off, new people are lost, and removed ones come back",
            fix,
        )
    # Doorlight only reads these: they change when an administrator or a program such as certbot renews them.
    named = {
        "[models] directory": str(host.models_folder or ""),
        "[web] certificate": settings.web.certificate,
        "[web] key": settings.web.key,
        "[link] ca": settings.link.ca,
        "[link] certificate": settings.link.certificate,
        **{f"[link] {key.removeprefix('link.')}": path for key, path in named_secrets(settings.link)},
    }
    for key, path in named.items():
        # Without a slash at its beginning, it names a secret in /etc/doorlight/secrets.
        if path.startswith("/") and _is_in_memory(Path(os.path.realpath(path)), found, host):
            yield Finding("note", f"{path}, {key}: if it is renewed, the old one is back after power-off", fix)


def _enabled_in_memory(host: Host) -> list[str]:
    """Return the door's units that are enabled now, and will not be after the next boot."""
    wanted = "etc/systemd/system/*.wants/doorlight*"
    there = {path.name for path in host.glob(f"{LOWER}/{wanted}")}
    # These are put in their places at boot, see systemd/restore-units.sh.
    restored = {
        name
        for name in host.read("opt/doorlight/system/enabled").split()
        if not host.glob(f"{LOWER}/etc/systemd/system/{name}")
    }
    return sorted({path.name for path in host.glob(wanted)} - there - restored)


def _upper_share(host: Host) -> float:
    """Return how full the file system in memory over the root is, 0 to 1."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(Path(host.root) / UPPER)
        if disk.f_blocks:
            return 1 - disk.f_bavail / disk.f_blocks
    return 0.0


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
