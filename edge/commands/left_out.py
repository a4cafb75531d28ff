"""Report the files of a folder that were left out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from ..system.terminal import printable
from .options import MAX_MESSAGE_LENGTH

if TYPE_CHECKING:
    from ..camera.source import LeftOut

#: At most this many files that are left out are printed, and named in the last line.
MAX_LINES, MAX_NAMES = 100, 5
#: What to do about files whose reader gives no hint.
DEFAULT_HINT = "move them away, or convert them to JPEG, PNG or MP4"


def report(folder: str, left_out: Sequence[LeftOut]) -> int:
    """Print the files of a folder that were left out. Return the exit code: 0 if there are none.

    The reasons go to standard output, a line for each file; the number goes to stderr, with what to do.
    """
    if not left_out:
        return 0
    with contextlib.suppress(OSError):
        for name, reason, _ in left_out[:MAX_LINES]:
            print(f"left out {printable(name)}: {printable(reason)}", flush=True)
        if len(left_out) > MAX_LINES:
            print(f"left out {len(left_out) - MAX_LINES} more", flush=True)
    with contextlib.suppress(OSError):
        names = ", ".join(name for name, _, _ in left_out[:MAX_NAMES]) + (", …" if len(left_out) > MAX_NAMES else "")
        count = "1 file was" if len(left_out) == 1 else f"{len(left_out)} files were"
        print(f"doorlight: {printable(f'{folder}: {count} left out: {names}', MAX_MESSAGE_LENGTH)}", file=sys.stderr)
        hints = "; ".join(dict.fromkeys(hint for _, _, hint in left_out if hint)) or DEFAULT_HINT
        print(f"           {printable(hints, MAX_MESSAGE_LENGTH)}", file=sys.stderr)
    return InputError.exit_code
