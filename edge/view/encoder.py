"""Encode a frame as JPEG, with its faces hidden, and its decision as JSON."""

from __future__ import annotations

import time

import cv2

from ..config import Config
from ..doctor.picture_quality import judge, measure
from ..events.record import utc_text
from ..imaging import images
from ..imaging.images import Picture
from .offer import Offer
from .pixelate import hide_faces
from .protocol import encode_json
from .snapshot import Snapshots

#: Larger pictures are reduced to this width (pixels): it is enough to see, and quick to encode.
MAX_WIDTH_PX = 640
JPEG_QUALITY = 75
#: Interval between measurements of focus and brightness (seconds).
QUALITY_EVERY_S = 1.0


class FrameEncoder:
    """Encodes offers; for use by one thread."""

    def __init__(self, config: Config, snapshots: Snapshots) -> None:
        self._show_faces = config.web.show_faces
        self._snapshots = snapshots
        self._quality: dict[str, object] | None = None
        self._quality_at = 0.0

    def __call__(self, offer: Offer) -> tuple[bytes, bytes]:
        """Return the decision as JSON and the frame as JPEG; the JPEG is empty if there is no frame."""
        picture = None if offer.frame is None else offer.frame.picture
        record = self._snapshots.describe(offer.decision, offer.size, offer.frame_rate)
        record["time"] = utc_text(time.time())
        record["faces_hidden"] = not self._show_faces
        record["quality"] = self._measured(picture)
        if picture is None:
            return encode_json(record), b""
        return encode_json(record), to_jpeg(picture if self._show_faces else hide_faces(picture, offer.faces))

    def _measured(self, picture: Picture | None) -> dict[str, object] | None:
        """Return the brightness and focus of `picture`, measured at most once in QUALITY_EVERY_S."""
        if picture is None:
            self._quality = None
        elif time.monotonic() - self._quality_at >= QUALITY_EVERY_S or self._quality is None:
            self._quality_at = time.monotonic()
            measures = measure(picture)
            severity, result, fix = judge(measures)
            self._quality = {
                "severity": severity,
                "result": result,
                "fix": fix,
                "brightness": round(measures.mean),
                "sharpness": round(measures.sharpness, 1),
            }
        return self._quality


def to_jpeg(picture: Picture) -> bytes:
    """Return `picture`, (H, W, 3) uint8 RGB, as JPEG of at most MAX_WIDTH_PX."""
    height, width = picture.shape[:2]
    if width > MAX_WIDTH_PX:
        picture = images.resize(picture, MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return data.tobytes() if ok else b""
