"""Brightness, backlight and focus of pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge.doctor.picture_quality import assess_picture
from edge.imaging.blindness import Blindness
from edge.imaging.images import Picture
from support.paths import CLIP


def photograph() -> Picture:
    """A sharp photograph of the demo clip, RGB."""
    return np.ascontiguousarray(cv2.imread(str(CLIP.with_name("still.jpg")))[:, :, ::-1]).astype(np.uint8)


def backlit(picture: Picture) -> Picture:
    """A dark room with a bright window."""
    dark = picture // np.uint8(3)
    dark[:240, :320] = 255
    return dark


@pytest.mark.parametrize(
    ("change", "severity", "message"),
    [
        (lambda p: p, "ok", "bright and sharp enough"),
        (lambda p: p // 4, "note", "dark"),
        (lambda p: np.clip(p.astype(int) * 3, 0, 255).astype(np.uint8), "note", "too bright"),
        (backlit, "note", "bright light behind"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 6), "note", "blurred"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 0.7), "ok", "sharp enough"),
        (lambda p: cv2.resize(p, (1920, 1080)), "ok", "1920x1080"),
    ],
)
def test_light_and_focus(change: Callable[[Picture], Picture], severity: str, message: str) -> None:
    finding = assess_picture(change(photograph()))
    assert finding.severity == severity, finding
    assert message in finding.message
    assert bool(finding.fix) == (severity != "ok")


def test_blind_picture_is_bad_whatever_its_light() -> None:
    blindness = Blindness("black", "switch on a light", True)
    finding = assess_picture(photograph(), blindness, "nobody in view")
    assert finding[::2] == ("bad", "switch on a light")
    assert finding.message.startswith("the picture is black (640x480, brightness ")
    assert finding.message.endswith("nobody in view)")
