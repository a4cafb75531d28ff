"""source_kind: what a source is, from its text in the settings or on the command line. Nothing is opened."""

from __future__ import annotations

import re
from typing import Literal

SourceKind = Literal["Pi camera", "USB camera", "HTTP camera", "network camera", "file"]

CAMERAS: tuple[SourceKind, ...] = ("Pi camera", "USB camera", "HTTP camera", "network camera")


def source_kind(source: str) -> SourceKind:
    """Return the kind of a source. Any address is a camera: a server alone knows whether it has a video file there."""
    if source == "picamera":
        return "Pi camera"
    if re.match(r"/dev/(video\d+\Z|v4l/)", source):
        return "USB camera"
    scheme = address_scheme(source)
    if scheme in ("http", "https"):
        return "HTTP camera"
    return "network camera" if scheme else "file"


def address_scheme(source: str) -> str:
    """Return the scheme of an address in lower case; "" for a text that is no address."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    return match[1].lower() if match else ""
