"""The kind of a source, from its text alone, is the one that the factory makes."""

from __future__ import annotations

import pytest

from edge import config
from edge.camera.factory import open_source
from edge.camera.live import LiveSource
from edge.camera.source import Source
from edge.source_kind import source_kind


@pytest.mark.parametrize(
    ("source", "kind", "live"),
    [
        ("picamera", "Pi camera", True),
        ("/dev/video0", "USB camera", True),
        ("/dev/v4l/by-id/usb-x", "USB camera", True),
        ("http://door/", "HTTP camera", True),
        ("HTTPS://door/", "HTTP camera", True),
        ("rtsp://door/", "network camera", True),
        ("udp://:1", "network camera", True),
        ("film.mp4", "file", False),
        ("/dev/null", "file", False),
        ("/dev/shm/film.mp4", "file", False),
        ("/dev/camera-not-plugged-in", "USB camera", True),
        (" picamera ", "Pi camera", True),
        ("/dev/video0\n", "USB camera", True),
        (" http://door/", "HTTP camera", True),
        ("photos/", "file", False),
    ],
)
def test_source_kinds_are_those_of_the_factory(source: str, kind: str, live: bool) -> None:
    assert source_kind(source) == kind
    opened: Source = open_source(config.load().camera, source)
    assert isinstance(opened, LiveSource) is opened.live is live


@pytest.mark.parametrize(
    ("target", "kind"), [("/dev/video7", "USB camera"), ("/dev/v4l/by-id/x", "USB camera"), ("/dev/null", "file")]
)
def test_name_that_udev_links_to_a_camera(monkeypatch: pytest.MonkeyPatch, target: str, kind: str) -> None:
    monkeypatch.setattr("os.path.realpath", lambda path: target if path == "/dev/camera" else path)
    monkeypatch.setattr("os.path.exists", lambda _: True)
    assert source_kind("/dev/camera") == kind
