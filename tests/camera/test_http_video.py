"""A video file on a web server is played like a file; the stream of a camera is not taken for one."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from edge.camera import http_client
from edge.camera.factory import open_source
from edge.camera.http_video import HttpVideo
from edge.camera.live import LiveSource
from edge.errors import CameraError, InputError
from support.camera import quick_settings, read_all, read_until_lost
from support.network_cameras import PASSWORD, USER, HttpCamera, serving
from support.video_bytes import RAW_H264, mkv, mp4, numbered
from support.wait import wait_until

VIDEO = mp4(numbered(3), [100, 4000, 100])


LOGIN = f"{USER}:{urllib.parse.quote(PASSWORD, safe='')}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    class WebServer(HttpCamera):
        files: ClassVar = {
            "film.mp4": VIDEO,
            "film.MOV": VIDEO,
            "film": VIDEO,
            "film.mjpg": VIDEO,
            "codec.mp4": mp4([b"junk"] * 3, [40] * 3, codec=b"cvid"),
            "text.mp4": b"text\n",
        }
        unsized_files: ClassVar = {
            "stream.mkv": mkv(numbered(3), [0, 100, 200]),
            "nolength.mp4": VIDEO,
            "nolength": VIDEO,
        }

    with serving(WebServer) as host:
        yield host


@pytest.mark.parametrize("where", ["{}/film.mp4?day=1", f"{USER}:{PASSWORD}@{{}}/login/basic/film.MOV"])
def test_file_is_played_to_its_end(server: str, where: str) -> None:
    source = open_source(quick_settings(), "http://" + where.format(server))
    assert isinstance(source, HttpVideo)
    assert PASSWORD not in source.name
    assert not source.live
    assert [frame.t for frame in read_all(source)] == [0, 0.1, 4.1]
    assert source.damage is None
    assert source.read() is None
    assert len(read_all(source)) == 3, "again"


@pytest.mark.parametrize("path", ["film?id=5", "nolength", "redirect-to-file", "film.mjpg"])
def test_file_with_another_name_is_refused_as_a_camera(server: str, path: str) -> None:
    """It would be an endless camera that plays the file again and again."""
    with pytest.raises(CameraError) as caught:
        open_source(quick_settings(), f"http://{server}/{path}").open()
    assert str(caught.value) == f"http://{server}/{path.replace('id=5', '…')}: is a video file, not a camera"
    assert "download it" in caught.value.hint


def test_file_whose_server_does_not_tell_its_size_is_a_file(server: str) -> None:
    source = open_source(quick_settings(), f"http://{server}/nolength.mp4")
    assert isinstance(source, HttpVideo)
    assert len(read_all(source)) == 3


def test_stream_that_ends_and_begins_with_the_same_picture_is_a_file(server: str) -> None:
    with open_source(quick_settings(timeout_s=1.0), f"http://{server}/stream.mkv") as source:
        numbers: list[int] = []
        wait_until(lambda: "is a video file, not a camera: it has ended" in str(read_until_lost(source, numbers)))
    assert max(numbers) <= 2, "it is played once"


def fragmented_mp4() -> bytes:
    moov = b"mvhd" + bytes(100) + b"mvex" + bytes(20)
    return b"\0\0\0\x18ftypiso5" + bytes(12) + (len(moov) + 8).to_bytes(4, "big") + b"moov" + moov


@pytest.mark.parametrize(
    ("start", "headers", "is_file"),
    [
        (VIDEO, {}, True),
        (fragmented_mp4(), {}, False),
        (fragmented_mp4()[:100], {}, False),
        (fragmented_mp4(), {"Content-Disposition": "attachment"}, True),
        (fragmented_mp4(), {"Accept-Ranges": "bytes"}, True),
        (fragmented_mp4(), {"Accept-Ranges": "none"}, False),
        (RAW_H264, {"ETag": '"1"'}, True),
        (RAW_H264, {}, False),
        (b"text", {"ETag": '"1"'}, False),
        (b"RIFF\0\0\0\0AVI LIST", {}, True),
    ],
)
def test_file_is_told_from_a_stream(start: bytes, headers: dict[str, str], is_file: bool) -> None:
    message = Message()
    for key, value in headers.items():
        message[key] = value
    response = SimpleNamespace(length=None, headers=message)
    assert http_client.is_video_file(response, start) is is_file  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["stream.mkv", "text.mp4", "404/.mp4", "film", "film.mjpg", "login/basic/film.mp4"])
def test_everything_else_is_a_camera(server: str, path: str) -> None:
    source = open_source(quick_settings(), f"http://{server}/{path}")
    assert isinstance(source, LiveSource)


def test_missing_decoder_has_a_hint_without_a_command(server: str) -> None:
    """The address in a command would have *** for its password."""
    with pytest.raises(InputError) as caught:
        open_source(quick_settings(), f"http://{LOGIN}@{server}/login/basic/codec.mp4").open()
    assert str(caught.value).startswith(f"http://{USER}:***@{server}/login/basic/codec.mp4: ")
    assert str(caught.value).endswith("which is coded as cvid")
    assert caught.value.hint == "give a copy of the video in H.264"


def test_server_that_does_not_answer_is_a_camera() -> None:
    assert open_source(quick_settings(), "http://127.0.0.1:1/film.mp4").live
    assert open_source(quick_settings(), "http://[door/film.mp4").live


def test_local_name_with_a_scheme_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:film.mp4").write_bytes(VIDEO)
    assert len(read_all(open_source(quick_settings(), "http:film.mp4"))) == 3
