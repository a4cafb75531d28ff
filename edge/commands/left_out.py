"""Report the files of a folder that were left out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..counted import counted
from ..errors import InputError
from ..system.terminal import printable
from .options import MAX_MESSAGE_LENGTH

if TYPE_CHECKING:
    from ..camera.source import LeftOut

#: At most this many files that are left out are printed.
MAX_LINES = 100
#: What to do about files whose reader gives no hint.
DEFAULT_HINT = "move them away, or convert them to JPEG, PNG or MP4"


def report(folder: str, left_out: Sequence[LeftOut]) -> int:
    """Print the files of a folder that were left out. Return the exit code: 0 if every picture and video was read.

    The reasons go to standard output, a line for each file. The number of pictures and videos goes to stderr, with
    what to do.
    """
    with contextlib.suppress(OSError):
        for one in left_out[:MAX_LINES]:
            print(f"left out {printable(one.name)}: {printable(one.reason)}", flush=True)
        if len(left_out) > MAX_LINES:
            print(f"left out {len(left_out) - MAX_LINES} more", flush=True)
    unread = [one for one in left_out if one.is_media]
    if not unread:
        return 0
    with contextlib.suppress(OSError):
        count = counted(len(unread), "picture or video", "pictures or videos")
        print(f"doorlight: {printable(f'{folder}: {count} could not be read', MAX_MESSAGE_LENGTH)}", file=sys.stderr)
        hints = "; ".join(dict.fromkeys(one.hint for one in unread if one.hint)) or DEFAULT_HINT
        print(f"           {printable(hints, MAX_MESSAGE_LENGTH)}", file=sys.stderr)
    return InputError.exit_code
