"""open_source: choose the class that plays a source, from the text in the settings or on the command line."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..system.terminal import is_utf8
from .address import without_password
from .folder import Folder, open_file
from .http_video import find_http_video
from .live import LiveSource
from .picamera import PiCamera
from .source import SOURCE_KINDS, Source
from .stream import NetworkCamera
from .v4l2 import V4l2Camera

SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "udp"})


def open_source(settings: CameraSettings, source: str | None = None) -> Source:
    """Return the source for the text `source` (default: settings.source), not yet opened.

    An http:// address that ends like a video file is one if the server says so, and a camera otherwise.
    Raises InputError for an address with an unsupported scheme, or one that is not UTF-8.
    """
    source = source or settings.source
    if source == "picamera":
        return LiveSource(source, partial(PiCamera, settings), settings)
    is_device = re.match(r"/dev/(video\d+$|v4l/)", source)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    if (is_device or scheme) and not is_utf8(source):
        raise InputError(f"{without_password(source)}: is not UTF-8", f"give {SOURCE_KINDS}")
    if is_device:
        return LiveSource(source, partial(V4l2Camera, source, settings), settings)
    if scheme and scheme[1].lower() in ("http", "https") and (video := find_http_video(source, settings)):
        return video
    if scheme and scheme[1].lower() in SCHEMES:
        return LiveSource(without_password(source), partial(NetworkCamera, source, settings), settings)
    if scheme:
        raise InputError(f"{without_password(source)}: unsupported kind of address", f"give {SOURCE_KINDS}")
    path = Path(os.path.expanduser(source))
    return Folder(path, settings) if os.path.isdir(path) else open_file(path, settings)
