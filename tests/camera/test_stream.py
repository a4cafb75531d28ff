"""Network cameras, against HTTP and RTSP servers on this machine."""

from __future__ import annotations

import http.server
import socket
import threading
import time

import cv2
import pytest

from edge.camera.factory import open_source
from edge.errors import CameraError
from support.camera import RED, flat, is_red, quick_settings, read_until_back, read_until_lost


class FakeNetworkCamera(http.server.BaseHTTPRequestHandler):
    """A network camera that sends JPEG pictures over HTTP while `on` is set."""

    on = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        try:
            while FakeNetworkCamera.on.is_set():
                red, green, blue = RED
                picture = flat((blue, green, red - int(time.monotonic() * 100) % 20), 120, 160)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                self.wfile.write(head + data + b"\r\n")
                time.sleep(0.01)
        except OSError:
            pass  # the client has closed the connection

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_stream_is_played_lost_and_reopened() -> None:
    FakeNetworkCamera.on.set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeNetworkCamera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://me:secret@127.0.0.1:{server.server_port}/video"
        source = open_source(quick_settings(timeout_s=0.5, rotate=270, mirror=True), address)
        with source:
            frame = source.read()
            assert frame is not None
            assert frame.picture.shape == (160, 120, 3)
            assert is_red(frame.picture)
            FakeNetworkCamera.on.clear()
            lost = read_until_lost(source)  # after the pictures that were already sent
            assert "secret" not in f"{lost} {lost.hint}"
            FakeNetworkCamera.on.set()
            back, _ = read_until_back(source)
            assert back.number > frame.number
            assert is_red(back.picture)
    finally:
        FakeNetworkCamera.on.clear()
        server.shutdown()
        server.server_close()


def test_closed_port_is_reported_without_the_password(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as reserved:  # bound but not listening, so no other program can listen on this port
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(CameraError) as caught:
            open_source(quick_settings(), f"rtsp://me:secret@127.0.0.1:{port}/live").open()
    assert (
        str(caught.value) == f"rtsp://me:***@127.0.0.1:{port}/live: connection refused: nothing listens on port {port}"
    )
    assert "secret" not in caught.value.hint
    assert "secret" not in "".join(capfd.readouterr())


def test_server_without_a_stream_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_connections() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                pass  # the test is over

        threading.Thread(target=close_connections, daemon=True).start()
        address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        with pytest.raises(CameraError, match="closes the connection without an answer"):
            open_source(quick_settings(), address).open()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("address", ["rtsp://me:secret@door:99999/", "rtsp://me:secret@[door/"])
def test_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(CameraError, match="is not a valid address") as caught:
        open_source(quick_settings(), address).open()
    assert "secret" not in str(caught.value)
