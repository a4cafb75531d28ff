"""Capture stderr output of native libraries."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

#: Output beyond this is dropped.
MAX_CAPTURED_BYTES = 100_000


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Capture what native code writes to file descriptor 2, so that it can become part of an error message.

    Yields a list that holds the lines once the block is left. Affects all threads of the process.
    """
    lines: list[str] = []
    # In memory, because a full disk must not keep the door from starting.
    with open(os.memfd_create("messages"), "w+b") as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read(MAX_CAPTURED_BYTES).decode("utf-8", "replace").splitlines()
