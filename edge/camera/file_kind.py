"""Tell by its content whether a file is a picture or a video."""

from __future__ import annotations

import enum
from pathlib import Path

from ..imaging import image_kind
from ..source_kind import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from ..system.files import open_regular
from . import video_formats
from .video_formats import recognise

#: Endings of a video that is pictures one after the other: even a short one, in which only one picture is found.
PICTURE_VIDEO_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
#: Endings of the names of pictures and videos, also of kinds that are not decoded.
MEDIA_SUFFIXES = (
    PICTURE_SUFFIXES
    | VIDEO_SUFFIXES
    | {".heic", ".heif", ".avif", ".tif", ".tiff", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw"}
    | {".dv", ".mxf", ".nut", ".rm", ".rmvb", ".amv", ".wtv"}
)


class FileKind(enum.Enum):
    """What a file is. It may be of a kind that is not decoded, such as HEIC or DV; opening it gives the reason."""

    PICTURE = "picture"
    VIDEO = "video"
    OTHER = "other"


def kind_of(path: Path) -> FileKind:
    """Return what a file is, by its content. Raises OSError if it cannot be read.

    Only a JPEG or PNG that is followed by more of them is judged by its name too: ".jpg" is a picture.
    """
    is_named_picture = path.suffix.lower() in PICTURE_SUFFIXES
    with open_regular(path) as file:
        start = file.read(image_kind.START_BYTES) or b""
        if image_kind.is_supported(start):
            if is_named_picture:  # do not read the megabytes of each photo in a folder
                return FileKind.PICTURE
            if path.suffix.lower() in PICTURE_VIDEO_SUFFIXES:
                return FileKind.VIDEO
            start += file.read(image_kind.SEQUENCE_BYTES) or b""
            return FileKind.VIDEO if image_kind.is_sequence(start) else FileKind.PICTURE
        if start.startswith(b"GIF8"):
            start += file.read(image_kind.SEQUENCE_BYTES) or b""
    if image_kind.describe_unsupported(start) is not None:
        return FileKind.PICTURE
    is_video = recognise(start) is not None or video_formats.describe_unsupported(start) is not None
    return FileKind.VIDEO if is_video else FileKind.OTHER


def source_kind_of(path: Path) -> FileKind:
    """Return PICTURE or VIDEO for a file to play. The name decides if the content says nothing, as for an empty file."""
    try:
        kind = kind_of(path)
    except OSError:
        kind = FileKind.OTHER
    if kind is FileKind.OTHER:
        return FileKind.PICTURE if path.suffix.lower() in PICTURE_SUFFIXES else FileKind.VIDEO
    return kind
