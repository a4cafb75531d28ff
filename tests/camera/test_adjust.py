"""Rotate, mirror and grey: on one picture, and on every source."""

from __future__ import annotations

import http.server
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.camera.adjust import adjust
from edge.camera.factory import open_source
from edge.camera.v4l2 import V4l2Camera
from edge.imaging.images import Picture, orient
from support.camera import quick_settings
from support.network_cameras import serving

#: A picture whose eight orientations differ: (40, 64, 3) RGB, with a red, a green and a blue corner.
SCENE = np.full((40, 64, 3), 128, np.uint8)
SCENE[:16, :16], SCENE[:16, -16:], SCENE[-16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
CHANGES = [
    {"rotate": 90},
    {"rotate": 180},
    {"rotate": 270, "mirror": True},
    {"mirror": True},
    {"grey": True},
    {"rotate": 90, "mirror": True, "grey": True},
]


def expected(changes: dict[str, Any]) -> Picture:
    picture = orient(SCENE, changes.get("rotate", 0), changes.get("mirror", False))
    if not changes.get("grey"):
        return picture
    luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    return np.dstack([luma] * 3)


def is_near(picture: Picture, other: Picture) -> bool:
    """Return whether two pictures are equal within the loss of JPEG."""
    return picture.shape == other.shape and bool(np.abs(picture.astype(int) - other).mean() < 6)


@pytest.mark.parametrize("changes", CHANGES)
def test_adjust(changes: dict[str, Any]) -> None:
    picture = adjust(SCENE, quick_settings(**changes))
    assert np.array_equal(picture, expected(changes))
    assert picture.flags.c_contiguous


class JpegCamera(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = cv2.imencode(".jpg", SCENE[:, :, ::-1])[1].tobytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class FakeCapture:
    def read(self) -> tuple[bool, Picture]:
        return True, SCENE[:, :, ::-1]


@pytest.mark.parametrize("changes", CHANGES[-1:])
@pytest.mark.parametrize("kind", ["http", "picture", "usb"])
def test_every_source_is_adjusted(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    settings = quick_settings(timeout_s=60, **changes)
    if kind == "usb":
        camera = V4l2Camera("/dev/video0", settings)
        camera._capture = FakeCapture()  # type: ignore[assignment]
        picture = camera.read().picture
    elif kind == "picture":
        path = tmp_path / "scene.png"
        cv2.imwrite(str(path), SCENE[:, :, ::-1])
        with open_source(settings, str(path)) as source:
            frame = source.read()
        assert frame is not None
        picture = frame.picture
    else:
        with serving(JpegCamera) as host, open_source(settings, f"http://{host}/") as source:
            frame = source.read()
        assert frame is not None
        picture = frame.picture
    assert is_near(picture, expected(changes))
