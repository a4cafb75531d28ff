"""The kind of source is chosen from the text alone, before anything is opened."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp:/me:geheim@h/x", "rtsp:/me:***@h/x"),
        ("me:geheim@h/x", "me:***@h/x"),
        ("me:geheim@h/x?token=geheim", "me:***@h/x?…"),
        ("me:gehe@im@h/x", "me:***@h/x"),
        ("rtsp//me:geheim@h/x", "rtsp//me:***@h/x"),
        ("rtsp;//me:geheim@h/x", "rtsp;//me:***@h/x"),
        (r"rtsp:\\me:geheim@h", r"rtsp:\\me:***@h"),
        ("rtsp:me:geheim@h", "rtsp:me:***@h"),
        ("//me:geheim@h/x", "//me:***@h/x"),
        ("'rtsp://me:geheim@h/x'", "'rtsp://me:***@h/x'"),
        ("http:/h/x?user=me&password=geheim", "http:/h/x?…"),
        ("192.168.1.5:554/live", "192.168.1.5:554/live"),
    ],
)
def test_misspelt_address_is_refused_without_showing_the_password(text: str, shown: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(quick_settings(), text)
    assert str(caught.value) == f"{shown}: looks like an address"
    assert caught.value.hint.startswith("write rtsp://")


@pytest.mark.parametrize("text", [" rtsp://me:geheim@h/x", "rtsp://me:geheim@h/x\n", "\trtsp://me:geheim@h/x "])
def test_blanks_around_an_address_are_ignored(text: str) -> None:
    source = open_source(quick_settings(), text)
    assert source.live
    assert source.name == "rtsp://me:***@h/x"


def test_file_that_is_named_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("10:30 me@home.mp4", " 192.168.1.5", "http:film.mp4"):
        Path(name).touch()
        source = open_source(quick_settings(), name)
        assert (source.live, source.name) == (False, name)


def test_unknown_scheme_is_refused_without_showing_the_password() -> None:
    with pytest.raises(InputError, match=r"^gopher://u:\*\*\*@x: is an unsupported kind of address$"):
        open_source(quick_settings(), "gopher://u:secret@x")


@pytest.mark.parametrize("text", ["/dev/v4l/\udcff", "rtsp://x\udcff/"])
def test_address_that_is_not_utf8_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not UTF-8"):
        open_source(quick_settings(), text)
