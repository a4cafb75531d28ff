"""Camera drivers that return nonsense, and broken video servers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from .breaking import broken, log_is_whole, quick_settings, sized
from .cases import PIXELS_MIB, Case, Material, Random, kind
from .videos import PLAYLISTS, changing_sizes


def _nonsense(rng: Random) -> Any:
    """Return what a broken driver may return from VideoCapture.read; sometimes slowly, sometimes as an exception."""
    import cv2
    import numpy as np

    what = rng.randrange(10)
    side = rng.choice((0, 1, 2, 63, 640))
    if what == 0:
        return False, None
    if what == 1:
        return True, None
    if what == 2:
        return True, np.zeros((side, rng.choice((0, 1, 480))), np.uint8)
    if what == 3:
        return True, np.zeros((side, 480, rng.choice((1, 2, 4, 5))), np.uint8)
    if what == 4:
        return True, np.full((64, 64, 3), np.nan, rng.choice((np.float32, np.float64)))
    if what == 5:
        return True, np.zeros((64, 64, 3), np.uint16)
    if what == 6:
        time.sleep(rng.choice((0.1, 0.5, 3.0)))
    if what == 7:
        raise rng.choice((cv2.error("x\n\x1b[2J"), MemoryError(), ValueError("\n"), SystemError(), OSError(5, "\x1b")))
    return True, np.zeros((max(side, 1), 480, 3), np.uint8)


class _BrokenCapture:
    """Stands in for cv2.VideoCapture."""

    def __init__(self, rng: Random, opens: bool) -> None:
        self._rng = rng
        self._opens = opens

    def open(self, *_: object) -> bool:
        import cv2

        if self._rng.random() < 0.1:
            raise cv2.error("open")
        return self._opens

    def isOpened(self) -> bool:
        return self._opens

    def set(self, *_: object) -> bool:
        return self._rng.random() < 0.5

    def get(self, *_: object) -> float:
        return self._rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e300))

    def read(self) -> Any:
        return _nonsense(self._rng)

    def release(self) -> None:
        import cv2

        if self._rng.random() < 0.05:
            raise cv2.error("release")


@kind(share=6, waits=True)
def v4l2(rng: Random, material: Material) -> Case:
    """A camera whose driver returns nonsense, through OpenCV's VideoCapture."""
    opens = rng.random() < 0.9

    @contextlib.contextmanager
    def fake_camera() -> Iterator[None]:
        import cv2

        real, exists = cv2.VideoCapture, os.path.exists
        setattr(cv2, "VideoCapture", lambda: _BrokenCapture(rng, opens))  # noqa: B010 - mypy rejects the assignment
        setattr(os.path, "exists", lambda path: path == "/dev/video0" or exists(path))  # noqa: B010 - as above
        try:
            yield
        finally:
            setattr(cv2, "VideoCapture", real)  # noqa: B010 - as above
            setattr(os.path, "exists", exists)  # noqa: B010 - as above

    wait = rng.random() < 0.8
    argv = [
        *("run", "--simulate", "--config", quick_settings(wait), "--source", "/dev/video0"),
        *("--events", "events.jsonl"),
    ]
    codes = frozenset({0}) if wait else frozenset({0, 69})
    signals = frozenset({signal.SIGTERM}) - ({signal.SIGTERM} if wait else set())
    return Case(argv, codes, stop_s=0.8, signals=signals, around=fake_camera, check=log_is_whole)


@kind(share=9, waits=True)
def stream(rng: Random, material: Material) -> Case:
    """A server that sends random data, a part of a picture, nothing, or an endless picture."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    rtsp = rng.random() < 0.4
    udp = not rtsp and rng.random() < 0.1

    @contextlib.contextmanager
    def serving() -> Iterator[None]:
        stop = threading.Event()

        def answer(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                client.settimeout(3.0)
                (_rtsp if rtsp else _http)(rng, material, client, stop)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        def send_datagrams() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                data = broken(rng, material.videos["mp4v.ts"])
                while not stop.is_set():
                    for at in range(0, len(data), 1316):
                        with contextlib.suppress(OSError):
                            out.sendto(data[at : at + 1316], ("127.0.0.1", port))
                    time.sleep(0.05)

        thread = threading.Thread(target=send_datagrams if udp else accept, daemon=True)
        thread.start()
        yield
        stop.set()
        server.close()

    address = f"udp://127.0.0.1:{port}" if udp else f"{'rtsp' if rtsp else 'http'}://127.0.0.1:{port}/x"
    address += rng.choice(("", "", ".mjpg", "?action=stream", ".m3u8", ".mp4"))
    argv = ["run", "--simulate", "--config", quick_settings(wait=True), "--source", address, "--events", "events.jsonl"]
    # An http address with the name of a video is a file, which may be damaged.
    is_file = address.startswith("http:") and address.endswith(".mp4")
    return Case(
        argv,
        frozenset({0, 66} if is_file else {0}),
        max_mib=PIXELS_MIB,
        stop_s=rng.choice((0.8, 2.5)),
        signals=frozenset({signal.SIGTERM}),  # before the door handles signals, SIGTERM ends it
        around=serving,
        check=log_is_whole,
    )


def _send_repeatedly(client: socket.socket, stop: threading.Event, piece: bytes, limit: int) -> None:
    """Send the same bytes until `limit` bytes are sent."""
    sent = 0
    while sent < limit and not stop.is_set():
        client.sendall(piece)
        sent += len(piece)


def _http(rng: Random, material: Material, client: socket.socket, stop: threading.Event) -> None:
    client.recv(4096)
    what = rng.randrange(14)
    jpeg = material.pictures["small.jpg"]
    multipart = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
    if what == 0:
        return
    if what == 1:
        stop.wait(30)
    elif what == 2:
        client.sendall(rng.randbytes(5000))
    elif what == 3:
        _send_repeatedly(client, stop, b"HTTP/1.0 200 OK\r\n" + b"X-Y: " + b"z" * 4000, 1 << 28)
    elif what == 4:
        _send_repeatedly(client, stop, b"X: y\r\n" * 1000, 1 << 28)
    elif what == 5:
        host, port = client.getsockname()
        client.sendall(
            b"HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n"
            % rng.choice((b"file:///dev/zero", b"http://%s:%d/x" % (host.encode(), port), b"/x" * 5000, b"pipe:0"))
        )
    elif what == 6:
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % rng.choice((0, 1 << 62, -1)) + jpeg)
    elif what == 7:
        client.sendall(multipart)
        while not stop.is_set():
            client.sendall(part % (len(jpeg), broken(rng, jpeg) if rng.random() < 0.6 else jpeg))
            time.sleep(0.02)
    elif what == 8:  # an incomplete picture, then nothing
        client.sendall(
            multipart + (part % (len(jpeg), jpeg)) * 3 + (part % (len(jpeg), jpeg))[: rng.randrange(100, 3000)]
        )
        stop.wait(30)
    elif what == 9:  # an endless picture
        client.sendall(multipart + b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg[:-2])
        _send_repeatedly(client, stop, b"\x55" * 65536, 1 << 32)
    elif what == 10:  # changing or absurd sizes
        for _ in range(3):
            data = changing_sizes(rng) if rng.random() < 0.5 else sized(rng, jpeg, 160, 120)
            client.sendall(multipart + part % (len(data), data))
    elif what == 11:  # byte by byte
        for byte in multipart + part % (len(jpeg), jpeg):
            client.sendall(bytes([byte]))
            time.sleep(0.01)
    elif what == 12:
        data = material.videos[rng.choice(sorted(material.videos))]
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/x\r\n\r\n" + broken(rng, data))
    else:
        target = rng.choice(("/x.ts", "file:///dev/zero", "http://127.0.0.1:1/x.ts", "x.m3u8"))
        kind = b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n"
        client.sendall(kind + rng.choice(PLAYLISTS).format(target).encode())


def _rtsp(rng: Random, material: Material, client: socket.socket, stop: threading.Event) -> None:
    what = rng.randrange(8)
    if what == 0:
        stop.wait(30)
        return
    if what == 1:
        client.sendall(rng.randbytes(5000))
        return
    sdp = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:t\r\n"
    if what == 2:
        sdp = broken(rng, sdp)
    if what == 3:
        sdp = (
            b"v=0\r\n"
            + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=%s\r\n"
            % (b"Z0IAH" * 3000)
            * 50
        )
    while request := client.recv(65536):
        number = next((line[5:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"cseq:")), b"1")
        verb = request.split(b" ")[0]
        head = b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\nSession: 1;timeout=60\r\n"
        if what == 4 and rng.random() < 0.4:
            head = rng.choice(
                (
                    b"RTSP/1.0 401 No\r\nCSeq: " + number + b'\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n',
                    broken(rng, head),
                )
            )
        if verb == b"DESCRIBE":
            client.sendall(head + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp)
        elif verb == b"SETUP":
            client.sendall(head + b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
        elif verb == b"PLAY":
            client.sendall(head + b"\r\n")
            if what == 5:
                stop.wait(30)
            _send_rtp(rng, client, stop)
        else:
            client.sendall(head + b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n")


def _send_rtp(rng: Random, client: socket.socket, stop: threading.Event) -> None:
    """Send a JPEG stream as RTP packets, some of them broken, until `stop`."""
    jpeg = struct.pack(
        ">BBHBBBB",
        0,
        0,
        0,
        rng.choice((0, 1, 64, 255)),
        rng.choice((0, 50, 255)),
        rng.choice((0, 20, 255)),
        rng.choice((0, 15, 255)),
    )
    count = 0
    while not stop.is_set():
        count += 1
        rtp = struct.pack(">BBHII", 0x80, 26 | rng.choice((0, 0x80)), count & 0xFFFF, count * 3000 & 0xFFFFFFFF, 1)
        packet = rtp + jpeg + rng.randbytes(rng.choice((0, 10, 1000)))
        if rng.random() < 0.3:
            packet = broken(rng, packet)
        client.sendall(b"$" + struct.pack(">BH", rng.choice((0, 0, 0, 1, 7)), len(packet) & 0xFFFF) + packet)
        time.sleep(0.005)
