"""A video file on a web server is played like a file; the stream of a camera is not taken for one."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from edge.camera.factory import open_source
from edge.camera.http_video import HttpVideo
from edge.camera.live import LiveSource
from edge.errors import InputError
from support.camera import quick_settings, read_all
from support.network_cameras import PASSWORD, USER, HttpCamera, serving
from support.video_bytes import mkv, mp4, numbered

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
        unsized_files: ClassVar = {"stream.mkv": mkv(numbered(3), [0, 100, 200])}

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
