"""Write a picture into a file that is complete or not there."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import cv2

from ..errors import OutputError
from ..system.stderr import captured
from .images import Picture

#: Formats of pictures with several endings. OpenCV knows only one of them.
ENCODERS = {".jfif": ".jpg", ".jpe": ".jpg"}


def encode(picture: Picture, out: Path) -> bytes:
    """Return `picture`, (H, W, 3) uint8 RGB, in the format of the name of `out`.

    Raises OutputError if it is too large for that format.
    """
    suffix = out.suffix.lower()
    with captured():
        try:
            # cv2.imwrite accepts no names that are not UTF-8 and does not report a full disk.
            done, data = cv2.imencode(ENCODERS.get(suffix, suffix), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        except cv2.error:
            done = False
    if not done:
        height, width = picture.shape[:2]
        raise OutputError(f"{out}: {width} x {height} pixels are too many for this format", "use a name ending in .png")
    return data.tobytes()


def temporary_name(out: Path) -> Path:
    """Return the name under which `out` is written until it is complete."""
    return out.with_name(f".{out.stem}.part{out.suffix}")


def check_folder(out: Path) -> None:
    """Raise OutputError if the folder of `out` does not exist or is not writable."""
    if not os.path.isdir(out.parent) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: its folder does not exist or is not writable", "choose a writable folder")


def write(picture: Picture, out: Path) -> None:
    """Write `picture`, (H, W, 3) uint8 RGB, in the format of the name of `out`. Raises OutputError."""
    data = encode(picture, out)
    temporary = temporary_name(out)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, out)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free space on its disk" if is_full else f"see who may write: ls -ld {shlex.quote(str(out.parent))}"
        raise OutputError(f"{out}: cannot be written: {error.strerror}", hint) from error
    finally:
        temporary.unlink(missing_ok=True)
