"""Set and undo the areas of the page, without keeping the door waiting."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..areas_file import Areas
from ..config import Config
from ..system import child_process
from ..zone import Zone
from .server import Reply

#: The child is killed after this time (seconds): a card may hang.
TIMEOUT_S = 15.0
#: Changes are made at most once in this time (seconds): each is written to the card.
EVERY_S = 1.0

_now = time.monotonic


class Change(NamedTuple):
    """Areas that are in force from now on, and the data of the event about it."""

    zone: Zone
    event: dict[str, object]


class AreaKeeper:
    """Keeps the areas of a door. Each change runs in a child process, which a thread waits for."""

    def __init__(self, config: Config, path: Path, settings: Path, on_change: Callable[[Change], None]) -> None:
        """`config` has the settings of the file `settings`, without areas of the page; `path` is the areas' file.

        `on_change` is called by another thread, after the change is on the disk.
        """
        self._order = {"config": config, "path": str(path), "settings": str(settings)}
        self._on_change = on_change
        self._lock = threading.Lock()
        self._next_at = 0.0

    def change(self, areas: dict[str, Any] | None, reply: Reply) -> None:
        """Set areas (None: undo the last change), and answer when that is done. Refuses a second change meanwhile."""
        if not self._lock.acquire(blocking=False):
            reply({"state": "busy"}, b"")
            return
        try:
            threading.Thread(target=self._change, args=(areas, reply), name="areas", daemon=True).start()
        except RuntimeError as error:  # there are too many threads
            self._lock.release()
            reply({"state": "failed", "problem": str(error)}, b"")

    def _change(self, areas: dict[str, Any] | None, reply: Reply) -> None:
        answer: dict[str, Any] = {"state": "failed", "problem": "the process that writes them does not work"}
        time.sleep(max(0.0, self._next_at - _now()))
        try:
            result = self._run({**self._order, "areas": areas})
            if result["state"] == "done":
                kept = msgspec.convert(result["areas"], Areas)
                event: dict[str, object] = {"by": "page", "share": result["share"], "before": result["share_before"]}
                self._on_change(
                    Change(Zone(kept.zone, kept.ignore), event | ({"undone": True} if areas is None else {}))
                )
            answer = result
        except subprocess.TimeoutExpired:
            answer["problem"] = f"writing them takes longer than {TIMEOUT_S:g} s"
        except (OSError, KeyError, TypeError, msgspec.MsgspecError, subprocess.SubprocessError):
            pass  # the answer says that it failed
        finally:
            self._next_at = _now() + EVERY_S
            self._lock.release()
            reply(answer, b"")

    def _run(self, order: dict[str, object]) -> dict[str, Any]:
        done = subprocess.run(
            child_process.command("edge.view.areas_process"),
            input=msgspec.json.encode(order),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_process.environment(),
            timeout=TIMEOUT_S,
            check=True,
        )
        result: dict[str, Any] = msgspec.json.decode(done.stdout)
        return result
