"""Cut the power while an update changes the disk: what may be there afterwards, as ext4 keeps it.

Names (renames, links, removals) reach the disk in their order, but late; fsync and sync of anything make all of them before
durable. The content of a file is durable only after its own fsync, or after sync: otherwise it may be empty or cut.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import NamedTuple

from edge.update.disk import Disk

#: Content of a file, target of a link (text), or None for a folder; by path relative to the root.
Tree = dict[str, bytes | str | None]


def read_tree(root: Path) -> Tree:
    """Return everything below a folder."""
    tree: Tree = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        tree[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return tree


def write_tree(tree: Tree, root: Path) -> None:
    """Write a tree into a new folder."""
    root.mkdir()
    for name, content in sorted(tree.items()):
        path = root / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


class Step(NamedTuple):
    """A primitive of Disk with its arguments, and for `sync` everything that is on the disk then."""

    name: str
    path: str = ""
    other: str = ""
    data: bytes = b""
    tree: Tree | None = None


class RecordingDisk(Disk):
    """A disk that remembers each step. `root` is the folder of the box."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.steps = [Step("sync", tree=read_tree(root))]

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _write(self, path: Path, data: bytes) -> None:
        super()._write(path, data)
        self.steps.append(Step("write", self._name(path), data=data))

    def _fsync(self, path: Path) -> None:
        self.steps.append(Step("fsync", self._name(path)))

    def _fsync_folder(self, path: Path) -> None:
        self.steps.append(Step("fsync", self._name(path)))

    def _rename(self, old: Path, new: Path) -> None:
        super()._rename(old, new)
        self.steps.append(Step("rename", self._name(old), self._name(new)))

    def _symlink(self, target: str, path: Path) -> None:
        super()._symlink(target, path)
        self.steps.append(Step("symlink", self._name(path), target))

    def _unlink(self, path: Path) -> None:
        super()._unlink(path)
        self.steps.append(Step("unlink", self._name(path)))

    def _mkdir(self, path: Path) -> None:
        super()._mkdir(path)
        self.steps.append(Step("mkdir", self._name(path)))

    def _remove_tree(self, path: Path) -> None:
        super()._remove_tree(path)
        self.steps.append(Step("unlink", self._name(path)))

    def _sync(self) -> None:
        self.steps.append(Step("sync", tree=read_tree(self._root)))


def after_cut(steps: list[Step], count: int, chance: random.Random) -> Tree:
    """Return what is on the disk if the power was cut after `count` steps."""
    done = steps[:count]
    base = max(k for k, step in enumerate(done) if step.name == "sync")
    tree = dict(done[base].tree or {})
    rest = done[base + 1 :]
    durable = max((k + 1 for k, step in enumerate(rest) if step.name == "fsync"), default=0)
    kept = chance.randint(durable, len(rest))
    for k, step in enumerate(rest[:kept]):
        if step.name == "write":
            is_synced = any(later.name == "fsync" and later.path == step.path for later in rest[k + 1 :])
            data = step.data if is_synced else chance.choice([step.data, b"", step.data[: len(step.data) // 2]])
            tree[step.path] = data
        else:
            _apply(step, tree)
    # /run is in memory.
    return {name: content for name, content in tree.items() if not name.startswith("run/")}


def _apply(step: Step, tree: Tree) -> None:
    below = f"{step.path}/"
    if step.name == "rename":
        _apply(Step("unlink", step.other), tree)
        for name in [name for name in tree if name == step.path or name.startswith(below)]:
            tree[step.other + name.removeprefix(step.path)] = tree.pop(name)
    elif step.name == "symlink":
        tree[step.path] = step.other
    elif step.name == "mkdir":
        tree[step.path] = None
    elif step.name == "unlink":
        for name in [name for name in tree if name == step.path or name.startswith(below)]:
            del tree[name]


class KillingDisk(Disk):
    """A disk whose process is killed (SIGKILL) before a step; `left` is the number of steps until then."""

    def __init__(self, left: int) -> None:
        self._left = left

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, path: Path, data: bytes) -> None:
        self._step()
        super()._write(path, data)

    def _fsync(self, path: Path) -> None:
        self._step()

    def _fsync_folder(self, path: Path) -> None:
        self._step()

    def _rename(self, old: Path, new: Path) -> None:
        self._step()
        super()._rename(old, new)

    def _symlink(self, target: str, path: Path) -> None:
        self._step()
        super()._symlink(target, path)

    def _unlink(self, path: Path) -> None:
        self._step()
        super()._unlink(path)

    def _mkdir(self, path: Path) -> None:
        self._step()
        super()._mkdir(path)

    def _remove_tree(self, path: Path) -> None:
        self._step()
        super()._remove_tree(path)

    def _sync(self) -> None:
        self._step()
