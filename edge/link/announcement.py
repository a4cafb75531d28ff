"""What a door says about itself to Home Assistant, and what it takes back: nothing of a former name stays behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from ..system.files import read_regular, replace_file
from .discovery import discovery_payload, discovery_topic
from .topics import Topics

_MAX_BYTES = 10_000


class Announcement:
    """The retained messages that describe the door `door`. `prefix` is Home Assistant's.

    `folder` has a file with the names under which this door has been announced before, and another one if entities that
    command it have been announced. They are with `has_commands`.
    """

    def __init__(
        self, door: str, prefix: str, version: str, folder: Path, *, is_wanted: bool, has_commands: bool = False
    ) -> None:
        self.topics = Topics(door)
        self._door = door
        self._prefix = prefix
        self._version = version
        self._file = folder / "announced.json"
        self._commands_file = folder / "announced-commands"
        self._is_wanted = is_wanted
        self.has_commands = has_commands

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topics on which others say something to the door: that Home Assistant has started, and a late will."""
        return (self.topics.availability, *([f"{self._prefix}/status"] if self._is_wanted else []))

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload of what is to be announced, after what is to be taken back."""
        own = discovery_topic(self._prefix, self._door)
        current = [*([own] if self._is_wanted else []), *self.topics.retained]
        for topic in self._former():
            if topic not in current:
                yield topic, b""
        if self._is_wanted:
            payload = discovery_payload(
                self._door,
                self.topics,
                self._version,
                has_commands=self.has_commands,
                had_commands=self._commands_file.exists(),
            )
            yield own, json.dumps(payload, ensure_ascii=False).encode()
        with contextlib.suppress(OSError):
            replace_file(self._file, json.dumps(current).encode())
            if self._is_wanted and self.has_commands:
                self._commands_file.touch()

    def removal(self) -> Iterator[str]:
        """Yield all topics whose retained messages are to be removed, so that nothing of this door stays."""
        yield from dict.fromkeys((*self._former(), discovery_topic(self._prefix, self._door), *self.topics.retained))

    def clear(self) -> None:
        """Forget under which names the door was announced."""
        for file in (self._file, self._commands_file):
            with contextlib.suppress(OSError):
                file.unlink()

    def _former(self) -> list[str]:
        """Return the topics that were announced before."""
        with contextlib.suppress(OSError, ValueError):
            topics = json.loads(read_regular(self._file, _MAX_BYTES))
            if isinstance(topics, list):
                return [topic for topic in topics if isinstance(topic, str) and topic and not set("+#\0") & set(topic)]
        return []
