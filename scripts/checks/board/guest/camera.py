"""A network camera on the board itself: serve frames of the demo clip as Motion JPEG on 127.0.0.1:8090.

usage: camera.py CLIP

From the first client on, it shows the masked person for a time, then the one without a mask for ever. The board has no
network, so its loopback device is switched on first.
"""

from __future__ import annotations

import fcntl
import http.server
import itertools
import socket
import struct
import sys
import time

import cv2

#: Spans of the clip, in seconds, with a masked person and with one who wears no mask.
MASKED, UNMASKED = (1.2, 4.6), (8.6, 12.0)
MASKED_S = 60.0
FRAMES_PER_S = 4.0
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def switch_on(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", device.encode(), 0)
        flags = struct.unpack_from("h", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", device.encode(), flags | IFF_UP))


def pictures(clip: str, begin_s: float, end_s: float) -> list[bytes]:
    """Return JPEG pictures of a span of the clip, there and back again: a person who moves without a jump."""
    video = cv2.VideoCapture(clip)
    rate = video.get(cv2.CAP_PROP_FPS)
    found = []
    for number in itertools.count():
        is_read, frame = video.read()
        if not is_read or number > end_s * rate:
            break
        if number >= begin_s * rate and number % 3 == 0:
            found.append(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return found + found[-2:0:-1]


class Camera(http.server.BaseHTTPRequestHandler):
    masked: list[bytes]
    unmasked: list[bytes]
    began: float = 0.0

    def do_GET(self) -> None:
        Camera.began = Camera.began or time.monotonic()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in itertools.count():
            shown = self.masked if time.monotonic() - Camera.began < MASKED_S else self.unmasked
            picture = shown[number % len(shown)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + picture + b"\r\n")
            except OSError:
                return
            time.sleep(1 / FRAMES_PER_S)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    switch_on("lo")
    Camera.masked = pictures(sys.argv[1], *MASKED)
    Camera.unmasked = pictures(sys.argv[1], *UNMASKED)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8090), Camera)
    print("serving", flush=True)
    server.serve_forever()
