"""source_kind: what a source is, from its text in the settings or on the command line. Only links are followed."""

from __future__ import annotations

import os
import re
from typing import Literal

SourceKind = Literal["Pi camera", "USB camera", "HTTP camera", "network camera", "file"]

SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "udp"})
ADDRESS_HINT = "write rtsp://USER:PASSWORD@HOST/PATH, or http://…"
#: How a text begins, or what it contains, that is meant as an address although it is none: "rtsp:/me:pw@door", "me:pw@door",
#: "192.168.1.5/live", "'rtsp://door/'".
_MISSPELT_ADDRESS = re.compile(r"(?is)\s*(?:(?:rtsps?|https?|udp)\s*[:;]|\d+\.\d+\.\d+\.\d+(?:[:/]|\Z)|.*://|.*:.*@)")

CAMERAS: tuple[SourceKind, ...] = ("Pi camera", "USB camera", "HTTP camera", "network camera")

#: Endings of the names of pictures, for files whose content says nothing, and for files that are written.
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp"})
#: Endings of the names of videos without time stamps: pictures one after the other.
RAW_VIDEO_SUFFIXES = frozenset({".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"})
#: Endings of the names of videos, for files whose content says nothing.
VIDEO_SUFFIXES = RAW_VIDEO_SUFFIXES | {
    *(".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mkv", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".ogg", ".gif"),
    *(".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".vob", ".y4m", ".ivf", ".dav"),
}


def source_kind(source: str) -> SourceKind:
    """Return the kind of a source. Any address is a camera: a server alone knows whether it has a video file there."""
    source = without_blanks(source)
    if source == "picamera":
        return "Pi camera"
    if source.startswith("/dev/") and _is_video_device(source):
        return "USB camera"
    scheme = address_scheme(source)
    if scheme in ("http", "https"):
        return "HTTP camera"
    return "network camera" if scheme else "file"


def _is_video_device(path: str) -> bool:
    """Return whether a path in /dev is a video device, a link to one, or absent: udev makes it when a camera is plugged in."""
    if re.match(r"/dev/(video\d+\Z|v4l/)", os.path.realpath(path)) or path.startswith("/dev/v4l/"):
        return True
    return re.fullmatch(r"/dev/[^/]+", path) is not None and not os.path.exists(path)


def without_blanks(source: str) -> str:
    """Return `source` without blanks around the name of a camera. They may belong to the name of a file."""
    text = source.strip()
    return text if text == "picamera" or text.startswith("/dev/") or address_scheme(text) else source


def address_problem(source: str) -> str:
    """Return what is wrong with the beginning of an address; "" if it is supported, or if `source` is no address."""
    scheme = address_scheme(without_blanks(source))
    if scheme:
        return "" if scheme in SCHEMES else "is an unsupported kind of address"
    if _MISSPELT_ADDRESS.match(source) and not os.path.exists(os.path.expanduser(source)):
        return "looks like an address"
    return ""


def address_scheme(source: str) -> str:
    """Return the scheme of an address in lower case; "" for a text that is no address."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return match[1].lower() if match else ""
