"""Save and restore the files outside of the program that belong to a version: units and the like, see `Layout.managed_files`."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from .disk import Disk
from .layout import Layout

UNITS = Path("etc/systemd/system")


def save(layout: Layout, disk: Disk) -> None:
    """Copy the managed files of the running version to `undo`. Not while a trial is pending. Raises OSError."""
    new = layout.undo.with_name("undo.new")
    disk.remove_tree(new)
    disk.make_folder(new)
    for file in layout.managed_files():
        target = new / file.relative_to(layout.root)
        disk.make_folder(target.parent)
        disk.copy(file, target)
    disk.sync()
    # There is no trial now, so nothing needs the old ones.
    disk.remove_tree(layout.undo)
    disk.rename(new, layout.undo)
    disk.sync()


def restore(layout: Layout, disk: Disk, units: Container[str]) -> None:
    """Put the files in `undo` back, and remove `units` that the previous version did not have. Raises OSError.

    `units` are the names of those that the new version writes.
    """
    saved = {path.relative_to(layout.undo) for path in layout.undo.rglob("*") if path.is_file()}
    for file in layout.managed_files():
        if file.relative_to(layout.root) not in saved and file.name in units:
            disk.remove(file)
            # `systemctl enable` linked it.
            for link in file.parent.glob(f"*.wants/{file.name}"):
                disk.remove(link)
    for name in sorted(saved):
        target, data = layout.root / name, (layout.undo / name).read_bytes()
        is_changed_by_update = UNITS not in name.parents or name.name in units
        # Other units are of the user, under a name like ours, or of versions before the new one. With a read-only root, a power
        # cut takes them from memory, and they would also be missing in what is kept for the next boot.
        is_lost = layout.kept_units.is_dir() and not target.exists()
        if not is_changed_by_update and not is_lost:
            continue
        if not target.is_file() or target.read_bytes() != data:
            disk.make_folder(target.parent)
            disk.write(target, data)
            target.chmod(0o644)


def keep_for_next_boot(layout: Layout, disk: Disk) -> None:
    """With a read-only root, copy the managed files that are in memory to the disk. Raises OSError."""
    if not layout.kept_units.is_dir():
        return
    in_memory = {
        file.relative_to(layout.root) for file in layout.managed_files() if layout.settings not in file.parents
    }
    for copy in sorted((layout.kept_units / "etc").rglob("*")):
        if copy.is_file() and copy.relative_to(layout.kept_units) not in in_memory:
            disk.remove(copy)
    for name in sorted(in_memory):
        data, copy = (layout.root / name).read_bytes(), layout.kept_units / name
        if not copy.is_file() or copy.read_bytes() != data:
            disk.make_folder(copy.parent)
            disk.write(copy, data)
