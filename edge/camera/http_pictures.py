"""JPEG pictures from an HTTP camera: a multipart stream, or a snapshot address that returns one picture per request.

FFmpeg is not used for these: it buffers seconds of a slow stream, ends after one snapshot, and reports no status code.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator

from ..imaging.image_header import JPEG_SIGNATURE, PNG_SIGNATURE
from .address import Address
from .http_client import HttpCameraError, HttpClient, is_video_file
from .network_errors import DOWNLOAD_HINT, PATH_HINT

#: Longest JPEG that is accepted.
MAX_JPEG_BYTES = 1 << 25
#: Length of one read. The headers of a part are shorter.
CHUNK_BYTES = 1 << 16
#: A snapshot address is asked at most this often: small cameras have slow web servers.
MAX_SNAPSHOTS_PER_S = 5.0
JPEG_END = b"\xff\xd9"
CONTENT_LENGTH = re.compile(rb"(?i)\ncontent-length:[ \t]*(\d{1,9})")


def jpegs(camera: Address, timeout_s: float, fps: float) -> Iterator[bytes] | None:
    """Return the JPEG pictures of a camera, at most `fps` snapshots a second; None if it sends a video.

    Each wait is limited to `timeout_s`. Raises HttpCameraError, also while iterating.
    """
    client = HttpClient(camera, timeout_s)
    response = client.get()
    kind = response.headers.get_content_type()
    start = _read(response)
    is_jpeg = start.startswith(JPEG_SIGNATURE)
    if is_jpeg and (kind.startswith("image/") or response.length is not None):
        with response:
            first = start + _read_all(response, MAX_JPEG_BYTES)
        return _snapshots(first, lambda: _snapshot(client), 1 / min(fps, MAX_SNAPSHOTS_PER_S))
    if kind.startswith("multipart/") or is_jpeg or start.lstrip().startswith(b"--"):
        return _stream(response, start)
    is_file = is_video_file(response, start)
    response.close()
    if start.startswith(b"#EXTM3U") or "mpegurl" in kind:
        raise HttpCameraError(
            "is an HLS stream, whose pictures arrive in bursts and many seconds late",
            "use the camera's rtsp:// address, or an address that gives at least one JPEG picture a second",
        )
    if kind in ("text/html", "application/xhtml+xml") or start.lstrip()[:5].lower() in (b"<html", b"<!doc"):
        raise HttpCameraError("is a web page, not a stream", PATH_HINT)
    if not start:
        raise HttpCameraError("gives no picture", PATH_HINT)
    is_picture = kind.startswith("image/") or start.startswith(PNG_SIGNATURE)
    if is_file and not is_picture:
        raise HttpCameraError("is a video file, not a camera", DOWNLOAD_HINT)
    if is_picture or kind.startswith(("text/", "application/json", "application/xml")):
        raise HttpCameraError(f"gives {kind}, not JPEG pictures", PATH_HINT)
    return None


def _stream(response: http.client.HTTPResponse, start: bytes) -> Iterator[bytes]:
    with response:
        yield from split_stream(start, lambda: _read(response))


def split_stream(buffer: bytes, read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the JPEGs of a multipart body, or of JPEGs one after the other. `read` returns the next bytes, b"" at the end.

    Without Content-Length a JPEG ends where its end marker is followed by a new part, or by a pause.
    """
    data = bytearray(buffer)
    searched = 0
    while True:
        begin = data.find(JPEG_SIGNATURE)
        if begin >= 0:
            length = CONTENT_LENGTH.search(data, 0, begin)
            end = begin + int(length[1]) if length else _end_of_jpeg(data, max(begin, searched - len(JPEG_END)))
            if 0 <= end <= len(data):
                yield bytes(data[begin:end])
                del data[:end]
                searched = 0
                continue
        if begin < 0 and PNG_SIGNATURE in data:
            raise HttpCameraError("sends PNG pictures", "set the camera to JPEG")
        searched = len(data)
        if len(data) > MAX_JPEG_BYTES:
            raise HttpCameraError("sends no JPEG pictures")
        more = read()
        if not more:
            raise HttpCameraError("the stream has ended", "check power and network of the camera")
        data += more


def _end_of_jpeg(data: bytearray, begin: int) -> int:
    """Return the end of the JPEG in `data`, searched from `begin`; -1 if it is not complete."""
    end = begin
    while (end := data.find(JPEG_END, end)) >= 0:
        end += len(JPEG_END)
        following = bytes(data[end : end + 64]).lstrip(b"\r\n")
        # A thumbnail in a JPEG has an end marker too, but more of the picture follows.
        if not following or following.startswith((b"--", JPEG_SIGNATURE)):
            return end
    return -1


def _snapshots(first: bytes, fetch: Callable[[], bytes], interval_s: float) -> Iterator[bytes]:
    """Yield snapshots, `interval_s` apart. A camera that renews its snapshot less often repeats one: see LiveSource."""
    jpeg = first
    while True:
        now = time.monotonic()
        yield jpeg
        time.sleep(max(0.0, now + interval_s - time.monotonic()))
        jpeg = fetch()


def _snapshot(client: HttpClient) -> bytes:
    with client.get() as response:
        jpeg = _read_all(response, MAX_JPEG_BYTES)
    if not jpeg.startswith(JPEG_SIGNATURE):
        raise HttpCameraError("sends no JPEG pictures any more")
    return jpeg


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return what has arrived of the body, b"" at its end. Raises HttpCameraError."""
    try:
        return response.read1(CHUNK_BYTES)
    except TimeoutError:
        raise HttpCameraError("the stream has stopped", "check power and network of the camera") from None
    except (OSError, http.client.HTTPException):
        # The connection broke, or a chunk of the body is incomplete: the end of the body, only less orderly.
        return b""


def _read_all(response: http.client.HTTPResponse, limit: int) -> bytes:
    data = bytearray()
    while len(data) <= limit and (more := _read(response)):
        data += more
    return bytes(data)
