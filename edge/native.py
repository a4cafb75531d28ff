"""What libraries written in C say, kept away from the terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def messages() -> Iterator[list[str]]:
    """Catch the lines that native code writes to file descriptor 2: so they can be part of an error instead of noise."""
    caught: list[str] = []
    # In memory: a full disk must not keep the door from starting.
    with open(os.memfd_create("messages"), "w+b") as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield caught
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            caught += file.read(100_000).decode("utf-8", "replace").splitlines()
