"""open_source: choose the class that plays a source, from the text in the settings or on the command line."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..source_kind import ADDRESS_HINT, address_problem, source_kind, without_blanks
from ..system.terminal import is_utf8
from .address import without_password
from .folder import Folder, open_file
from .http_video import find_http_video
from .live import LiveSource
from .picamera import PiCamera
from .source import SOURCE_KINDS, Source
from .stream import EarlierVideo, NetworkCamera
from .v4l2 import V4l2Camera


def open_source(settings: CameraSettings, source: str | None = None) -> Source:
    """Return the source for the text `source` (default: settings.source), not yet opened.

    An http:// address that ends like a video file is one if its server says so, and a camera otherwise: only for such an
    address this function may wait, up to http_video.ANSWER_TIMEOUT_S for each answer of the server.
    Raises InputError for an address with an unsupported scheme or none, or one that is not UTF-8.
    """
    source = without_blanks(source or settings.source)
    kind = source_kind(source)
    if kind == "Pi camera":
        return LiveSource(source, partial(PiCamera, settings), settings)
    name = without_password(source)
    if problem := address_problem(source):
        raise InputError(f"{name}: {problem}", ADDRESS_HINT)
    if kind == "file":
        path = Path(os.path.expanduser(source))
        return Folder(path, settings) if os.path.isdir(path) else open_file(path, settings)
    if not is_utf8(source):
        raise InputError(f"{name}: is not UTF-8", f"give {SOURCE_KINDS}")
    if kind == "USB camera":
        return LiveSource(source, partial(V4l2Camera, source, settings), settings)
    if kind == "HTTP camera" and (video := find_http_video(source, settings)):
        return video
    return LiveSource(name, partial(NetworkCamera, source, settings, EarlierVideo()), settings)
