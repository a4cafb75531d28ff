"""Network cameras on this machine: HTTP cameras of several kinds, and the first words of an RTSP camera."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import cv2

from support.camera import RED, flat

USER, PASSWORD = "u", "p@ss#1:%"
REALM, NONCE = "camera", "abc"


def jpeg(number: int = 0) -> bytes:
    """Return a JPEG of 160 x 120 pixels that differs from those of other numbers (0 to 99)."""
    picture = flat(RED[::-1], 120, 160)
    picture[60:, 80:] = (0, 2 * number, 0)
    return cv2.imencode(".jpg", picture)[1].tobytes()


class HttpCamera(http.server.BaseHTTPRequestHandler):
    """Answers by path. A path with /login/ needs USER and PASSWORD, by Basic or Digest."""

    protocol_version = "HTTP/1.1"
    #: Pause (seconds) between the pictures of a stream.
    pause_s = 0.01
    #: Files by name: with their size and with ranges, as a web server sends them; and without, as a camera sends a stream.
    files: ClassVar[dict[str, bytes]] = {}
    unsized_files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "/login/" in path and not self._is_allowed(path):
            return
        kind = path.rpartition("/")[2]
        if kind in self.files:
            self._send_file(self.files[kind])
        elif kind in self.unsized_files:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            self._send(self.unsized_files[kind])
        elif kind == "204":
            self.send_response(204)
            self.end_headers()
        elif kind.isdigit():
            self.send_error(int(kind))
        elif kind == "redirect":
            self._answer(302, Location="/snapshot")
        elif kind == "redirect-loop":
            self._answer(302, Location="/redirect-loop")
        elif kind == "redirect-to-file":
            self._answer(302, Location="/film.mp4")
        elif kind == "redirect-to-login":
            self._answer(302, Location="/login/basic/snapshot")
        elif kind == "redirect-elsewhere":
            port = self.server.server_address[1]  # type: ignore[index]
            self._answer(302, Location=f"http://localhost:{port}/login/basic/snapshot")
        elif kind == "page":
            self._answer(200, b"<html>camera</html>", Content_Type="text/html")
        elif kind == "hls":
            self._answer(200, b"#EXTM3U\n", Content_Type="application/vnd.apple.mpegurl")
        elif kind == "json":
            self._answer(200, b"{}", Content_Type="application/json")
        elif kind == "video":
            self._answer(200, b"\0\0\0\x18ftypmp42", Content_Type="video/mp4")
        elif kind == "snapshot":
            number = int(time.monotonic() * 1000) % 100
            self._answer(200, jpeg(number), Content_Type="image/jpeg")
        elif kind == "renewed":
            self._answer(200, jpeg(int(time.monotonic() / 0.5) % 100), Content_Type="image/jpeg")
        elif kind == "closing%20snapshot":
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(jpeg(int(time.monotonic() * 1000) % 100))
        elif kind == "png":
            self._answer(200, b"\x89PNG\r\n\x1a\n", Content_Type="image/png")
        elif kind == "huge":
            picture = jpeg()
            at = picture.index(b"\xff\xc0") + 5
            self._answer(200, picture[:at] + b"\xff\xff\xff\xff" + picture[at + 4 :], Content_Type="image/jpeg")
        else:
            self._stream(kind)

    def _is_allowed(self, path: str) -> bool:
        given = self.headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if "digest" in path:
            if is_digest(given, "GET", self.path):
                return True
            self._answer(401, WWW_Authenticate=f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth"')
        elif given == basic:
            return True
        else:
            self._answer(401, WWW_Authenticate=f'Basic realm="{REALM}"')
        return False

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, data: bytes) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        self._send(data[begin:])

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has closed the connection
            self.wfile.write(data)

    def _stream(self, kind: str) -> None:
        """Send a multipart stream.

        `kind`: "stream", "untyped", "nolength", "chunked", "damaged", "pngs", "repeats" (each picture 10
        times) or "frozen".
        """
        self.close_connection = True
        self.send_response(200)
        if kind != "untyped":
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(1000):
                data = jpeg(number // {"repeats": 10, "frozen": 1000}.get(kind, 1) % 100)
                if kind == "pngs":
                    data = b"\x89PNG\r\n\x1a\n" + bytes(100)
                if kind == "damaged" and number % 2:
                    data = data[:100] + b"\xff\xd9"
                length = b"" if kind == "nolength" else b"Content-Length: %d\r\n" % len(data)
                part = b"--next\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + data + b"\r\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if kind == "chunked" else part)
                time.sleep(self.pause_s)
        except OSError:
            pass  # the client has closed the connection

    def log_message(self, format: str, *args: object) -> None:
        pass


class RtspCamera(socketserver.StreamRequestHandler):
    """Answers each request with the status in the path (/404), or asks for a login (/login/digest, /login/basic)."""

    def handle(self) -> None:
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            self.wfile.write(self._answer(head.decode()).encode())

    def _answer(self, request: str) -> str:
        method, url = request.split()[:2]
        number = re.search(r"CSeq: *(\d+)", request)
        if number is None:
            return "RTSP/1.0 400 Bad Request\r\n\r\n"
        if method == "OPTIONS":
            return f"RTSP/1.0 200 OK\r\nCSeq: {number[1]}\r\nPublic: DESCRIBE\r\n\r\n"
        status, login = url.rpartition("/")[2], ""
        given = re.search(r"Authorization: *(.*?)\r\n", request)
        if "/login/" in url:
            basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            allowed = given is not None and (given[1] == basic or is_digest(given[1], method, url))
            status = "404" if allowed else "401"
            kind = f'Digest realm="{REALM}", nonce="{NONCE}"' if "digest" in url else f'Basic realm="{REALM}"'
            login = f"WWW-Authenticate: {kind}\r\n"
        return f"RTSP/1.0 {status} Reason\r\nCSeq: {number[1]}\r\n{login}\r\n"


def is_digest(given: str, method: str, uri: str) -> bool:
    """Return whether an Authorization header proves USER and PASSWORD."""
    fields = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^", ]+))', given)}

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    secret, request = md5(f"{USER}:{REALM}:{PASSWORD}"), md5(f"{method}:{uri}")
    middle = f"{fields['nc']}:{fields['cnonce']}:auth:" if "nc" in fields else ""
    return fields.get("response") == md5(f"{secret}:{NONCE}:{middle}{request}")


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    """Run a server with `handler`; yield its "host:port"."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
