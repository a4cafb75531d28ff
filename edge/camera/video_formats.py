"""Recognise a video by its first bytes, whatever its name.

FFmpeg accepts nearly any file as a video: it renders text, opens the files and addresses in a playlist, and listens on
the ports in a session description. Only files that begin like one of these formats reach it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Number of bytes from the start of a file that `recognise` needs.
HEADER_BYTES = 1024


class VideoFormat(NamedTuple):
    """A file format. `has_clock` is False for pictures one after the other, without times and without a rate.

    FFmpeg supposes 25 frames/s for these, and OpenCV 4.11 and 4.14 report different rates for the same file.

    `counts_from_zero`: the duration in the header ends at the last time stamp, also if the first one is not 0. FFmpeg
    estimates the number of frames from that duration.
    """

    name: str
    pattern: bytes
    has_clock: bool = True
    counts_from_zero: bool = False


#: In the order of the search. The patterns are joined by "|" and must not contain a capturing group.
FORMATS = (
    VideoFormat("MP4 or QuickTime", rb"....(?:ftyp|moov|mdat|free|skip|wide|pnot|styp|sidx|moof|uuid|udta)"),
    VideoFormat("Matroska or WebM", rb"\x1aE\xdf\xa3", counts_from_zero=True),
    VideoFormat("AVI", rb"RIFF....AVI[ X]"),
    VideoFormat("MPEG program stream", rb"\x00\x00\x01[\xba\xbb]"),
    VideoFormat(
        "MPEG-1, MPEG-2 or MPEG-4 video", rb"\x00\x00\x01(?:[\xb0\xb3\xb5\xb6]|[\x00-\x1f]\x00\x00\x01[\x20-\x2f])"
    ),
    VideoFormat("H.264 or H.265", rb"\x00?\x00\x00\x01", has_clock=False),
    VideoFormat("MPEG transport stream", rb"G.{187}G.{187}G|....G.{191}G.{191}G"),
    VideoFormat("Ogg", rb"OggS\x00"),
    VideoFormat("Flash video", rb"FLV\x01", counts_from_zero=True),
    VideoFormat("GIF", rb"GIF8[79]a"),
    VideoFormat("animated PNG", rb"\x89PNG\r\n\x1a\n.{0,1000}acTL"),
    # One picture, or many one after the other.
    VideoFormat("PNG pictures", rb"\x89PNG\r\n\x1a\n", has_clock=False),
    VideoFormat("JPEG pictures", rb"\xff\xd8\xff", has_clock=False),
    VideoFormat("Windows Media", rb"0&\xb2u\x8ef\xcf\x11"),
    VideoFormat("YUV4MPEG2", rb"YUV4MPEG2 "),
    VideoFormat("IVF", rb"DKIF\x00\x00"),
    VideoFormat("AV1", rb"\x12\x00\x0a", has_clock=False),
    VideoFormat("Dahua", rb"DHAV"),
)
#: Matches the first bytes of all formats.
VIDEO_SIGNATURES = re.compile(b"|".join(b"(%b)" % video_format.pattern for video_format in FORMATS), re.DOTALL)

#: Videos that are not played: their first bytes and names. FFmpeg converts them all.
UNSUPPORTED = (
    (rb"\x1f\x07\x00[\x3f\xbf]", "a DV video"),
    (rb"\x06\x0e\x2b\x34", "an MXF video"),
    (rb"nut/multimedia container", "a NUT video"),
    (rb"\.RMF\x00", "a RealMedia video"),
    (
        rb"(?i)\s*--\S{1,70}\r?\n(?:[\w-]+:[^\n]*\n)*?content-type: *image/",
        "a recorded stream of JPEG pictures (multipart)",
    ),
    (rb"RIFF....AMV ", "an AMV video"),
    (rb"....[\x11\x12]\xaf", "a FLIC animation"),
    (rb"\xb7\xd8\x00\x20\x37\x49\xda\x11", "a WTV recording"),
    (rb"BIK[b-k]|KB2[a-k]|SMK[24]", "a video of a game"),
)
_UNSUPPORTED = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in UNSUPPORTED)


def recognise(start: bytes) -> VideoFormat | None:
    """Return the format of a file from its first HEADER_BYTES, or None if it is not a supported video."""
    match = VIDEO_SIGNATURES.match(start)
    return FORMATS[match.lastindex - 1] if match and match.lastindex else None


def describe_unsupported(start: bytes) -> str | None:
    """Return the kind of a video that is not played, with its article, from its first HEADER_BYTES; None for others."""
    return next((name for pattern, name in _UNSUPPORTED if pattern.match(start[:HEADER_BYTES])), None)
