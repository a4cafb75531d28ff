"""The kind of source is chosen from the text alone, before anything is opened."""

from __future__ import annotations

import pytest

from edge.camera.factory import open_source
from edge.errors import InputError
from support.camera import quick_settings


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("picamera", True),
        ("/dev/video0", True),
        ("/dev/v4l/by-id/usb-cam", True),
        ("rtsp://door/1", True),
        ("RTSPS://door/1", True),
        ("http://door/video", True),
        ("udp://239.0.0.1:5000", True),
        ("clip.mp4", False),
        ("/dev/null", False),
    ],
)
def test_kind_depends_on_the_text_alone(text: str, live: bool) -> None:
    source = open_source(quick_settings(), text)
    assert (source.live, source.name) == (live, text)
    assert open_source(quick_settings(source=text)).name == text


def test_unknown_scheme_is_refused_without_showing_the_password() -> None:
    with pytest.raises(InputError, match=r"^gopher://u:\*\*\*@x: unsupported kind of address$"):
        open_source(quick_settings(), "gopher://u:secret@x")


@pytest.mark.parametrize("text", ["/dev/v4l/\udcff", "rtsp://x\udcff/"])
def test_address_that_is_not_utf8_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not UTF-8"):
        open_source(quick_settings(), text)
