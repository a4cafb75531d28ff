"""A video file on a web server is played like a file; the stream of a camera is not taken for one."""

from __future__ import annotations

import base64
import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.camera.factory import open_source
from edge.camera.http_video import HttpVideo
from edge.camera.live import LiveSource
from support.camera import quick_settings, read_all
from support.video_bytes import mkv, mp4, numbered

VIDEO = mp4(numbered(3), [100, 4000, 100])


class FakeServer(http.server.BaseHTTPRequestHandler):
    """Serves VIDEO, with ranges; at other paths a stream without a size, or text with a video's name."""

    def do_GET(self) -> None:
        if self.path.startswith("/secret") and self.headers.get("Authorization") != LOGIN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="nas"')
            self.send_header("Content-Length", "0")
        elif "film" in self.path:
            begin = int(self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")[0])
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Range", f"bytes {begin}-{len(VIDEO) - 1}/{len(VIDEO)}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(VIDEO) - begin))
            self._send(VIDEO[begin:])
            return
        elif "stream" in self.path:
            self.send_response(200)
            self._send(mkv(numbered(3), [0, 100, 200]))
            return
        elif "text" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self._send(b"text\n")
            return
        else:
            self.send_error(404)
        self.end_headers()

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has closed the connection
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


LOGIN = "Basic " + base64.b64encode(b"me:p@ss#1").decode()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeServer)
    web.daemon_threads = True
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


@pytest.mark.parametrize("where", ["{}/film.mp4?day=1", "me:p@ss#1@{}/secret/film.MOV"])
def test_file_is_played_to_its_end(server: str, where: str) -> None:
    source = open_source(quick_settings(), "http://" + where.format(server))
    assert isinstance(source, HttpVideo)
    assert "p@ss" not in source.name
    assert not source.live
    assert [frame.t for frame in read_all(source)] == [0, 0.1, 4.1]
    assert source.damage is None
    assert source.read() is None
    assert len(read_all(source)) == 3, "again"


@pytest.mark.parametrize("path", ["stream.mkv", "text.mp4", "missing.mp4", "film", "secret/film.mp4"])
def test_everything_else_is_a_camera(server: str, path: str) -> None:
    source = open_source(quick_settings(), f"http://{server}/{path}")
    assert isinstance(source, LiveSource)


def test_server_that_does_not_answer_is_a_camera() -> None:
    assert open_source(quick_settings(), "http://127.0.0.1:1/film.mp4").live
    assert open_source(quick_settings(), "http://[door/film.mp4").live


def test_local_name_with_a_scheme_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:film.mp4").write_bytes(VIDEO)
    assert len(read_all(open_source(quick_settings(), "http:film.mp4"))) == 3
