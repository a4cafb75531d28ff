"""HTTP cameras that send JPEG pictures: streams, snapshots, logins, and what is no camera."""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Iterator

import numpy as np
import pytest

from edge.camera import http_pictures, rtsp_probe
from edge.camera.address import split
from edge.camera.factory import open_source
from edge.camera.http_client import HttpCameraError
from edge.camera.http_pictures import split_stream
from edge.errors import CameraError
from edge.imaging.image_header import JPEG_SIGNATURE
from support.camera import is_red, quick_settings, read_error, read_until_lost
from support.network_cameras import PASSWORD, USER, HttpCamera, RtspCamera, jpeg, serving
from support.wait import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(HttpCamera) as host:
        yield host


def pictures(address: str) -> Iterator[bytes] | None:
    """Return the JPEGs of an HTTP camera, read in this process."""
    return http_pictures.jpegs(split(address), timeout_s=60.0, fps=1000.0)


@pytest.mark.parametrize("kind", ["stream", "snapshot", "damaged"])
def test_pictures_are_played(server: str, kind: str) -> None:
    with open_source(quick_settings(timeout_s=60, rotate=90), f"http://{server}/{kind}") as source:
        frames = [source.read() for _ in range(3)]
    for frame in frames:
        assert frame is not None
        assert frame.picture.shape == (160, 120, 3)
        assert is_red(frame.picture)


@pytest.mark.parametrize(
    "kind", ["stream", "untyped", "nolength", "chunked", "snapshot", "closing snapshot", "redirect"]
)
def test_kinds_of_cameras(server: str, kind: str) -> None:
    found = pictures(f"http://{server}/{kind}")
    assert found is not None
    for picture in itertools.islice(found, 3):
        assert picture.startswith(JPEG_SIGNATURE)
        assert picture.endswith(http_pictures.JPEG_END)


@pytest.mark.parametrize("login", ["basic", "digest"])
@pytest.mark.parametrize("encoded", [False, True])
def test_any_character_may_stand_in_a_password(server: str, login: str, encoded: bool) -> None:
    password = urllib.parse.quote(PASSWORD, safe="") if encoded else PASSWORD
    assert pictures(f"http://{USER}:{password}@{server}/login/{login}/snapshot")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("404", "has no stream at this address (404 Not Found)"),
        ("403", "forbids the access (403 Forbidden)"),
        ("503", "reports an error (503 Service Unavailable)"),
        ("login/basic/stream", "needs a user and a password (401 Unauthorized)"),
        ("login/digest/stream", "needs a user and a password (401 Unauthorized)"),
        ("page", "is a web page, not a stream"),
        ("json", "gives application/json, not JPEG pictures"),
        ("png", "gives image/png, not JPEG pictures"),
        ("204", "gives no picture"),
        ("redirect-loop", "redirects in a circle, or to no http:// address (302)"),
        ("hls", "is an HLS stream, whose pictures arrive in bursts and many seconds late"),
    ],
)
def test_what_is_no_camera_is_refused_with_its_reason(server: str, path: str, problem: str) -> None:
    with pytest.raises(HttpCameraError) as caught:
        pictures(f"http://{server}/{path}")
    assert str(caught.value) == problem
    assert caught.value.hint


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_wrong_password_is_reported(server: str, login: str) -> None:
    with pytest.raises(HttpCameraError, match=r"refuses this user or password \(401"):
        pictures(f"http://{USER}:wr0ng@{server}/login/{login}/stream")


def test_unknown_host_is_reported() -> None:
    with pytest.raises(HttpCameraError, match=r"^unknown host$"):
        pictures("http://no-such-door.invalid/")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("login/basic/stream", "refuses this user or password (401 Unauthorized)"),
        ("video", "is a video file, not a camera"),
        ("pngs", "sends PNG pictures"),
        ("huge", "sends pictures of 65535 x 65535 pixels"),
    ],
)
def test_errors_of_the_child_process_arrive_without_the_password(server: str, path: str, problem: str) -> None:
    with pytest.raises(CameraError) as caught:
        open_source(quick_settings(), f"http://{USER}:wr@ng#1@{server}/{path}").open()
    assert str(caught.value) == f"http://{USER}:***@{server}/{path}: {problem}"
    assert "ng#1" not in caught.value.hint


def test_port_of_another_protocol_is_reported(server: str) -> None:
    assert rtsp_probe.problem(split(f"rtsp://{server}/stream"))[0] == "does not speak RTSP"
    with serving(RtspCamera) as host, pytest.raises(HttpCameraError, match="does not speak HTTP"):
        pictures(f"http://{host}/404")


def test_https_address_of_a_port_without_encryption_is_reported(server: str) -> None:
    with pytest.raises(HttpCameraError, match=r"^port \d+ is not encrypted: it speaks http or rtsp$") as caught:
        pictures(f"https://{server}/stream")
    assert "http://… for https://…" in caught.value.hint


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    yield from (data[k : k + size] for k in range(0, len(data), size))
    yield b""


PICTURES = [jpeg(number) for number in range(3)]


class TestSplitStream:
    @pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
    @pytest.mark.parametrize("with_length", [False, True])
    def test_parts_in_pieces_of_any_size(self, size: int, with_length: bool) -> None:
        body = b"".join(
            b"\r\n--x\r\nContent-Type: image/jpeg\r\n"
            + (b"Content-Length: %d\r\n" % len(picture) if with_length else b"")
            + b"\r\n"
            + picture
            for picture in PICTURES
        )
        rest = chunks(body, size)
        assert list(itertools.islice(split_stream(b"", lambda: next(rest)), 3)) == PICTURES

    def test_jpegs_one_after_the_other(self) -> None:
        rest = chunks(b"".join(PICTURES), 10**6)
        assert list(itertools.islice(split_stream(b"", lambda: next(rest)), 3)) == PICTURES

    def test_picture_with_a_thumbnail_is_one_picture(self) -> None:
        thumbnail = PICTURES[1]
        application = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
        picture = PICTURES[0][:2] + application + PICTURES[0][2:]
        rest = chunks(b"--x\r\n\r\n" + picture + b"\r\n--x--", 10**6)
        assert next(split_stream(b"", lambda: next(rest))) == picture

    def test_picture_is_complete_before_the_next_one_arrives(self) -> None:
        """Without a length, a slow camera's picture must not wait for the next boundary."""
        arrived = iter([b"--x\r\n\r\n" + PICTURES[0]])
        assert next(split_stream(b"", lambda: next(arrived))) == PICTURES[0]

    def test_end(self) -> None:
        rest = chunks(b"--x\r\n\r\n" + PICTURES[0][:-2], 10**6)
        with pytest.raises(HttpCameraError, match="the stream has ended"):
            next(split_stream(b"", lambda: next(rest)))

    def test_stream_without_pictures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_pictures, "MAX_JPEG_BYTES", 10_000)
        with pytest.raises(HttpCameraError, match="sends no JPEG pictures"):
            next(split_stream(b"", lambda: bytes(1000)))


@pytest.mark.parametrize("kind", ["repeats", "renewed"])
def test_repeated_picture_is_no_new_picture(server: str, kind: str) -> None:
    """A camera that keeps up its rate with repeats must not count as so many looks."""
    with open_source(quick_settings(timeout_s=60), f"http://{server}/{kind}") as source:
        frames = [source.read() for _ in range(3)]
    for before, after in itertools.pairwise(frames):
        assert before is not None
        assert after is not None
        assert not after.is_repeat
        assert not np.array_equal(before.picture, after.picture)


def test_snapshot_that_is_renewed_less_often_than_the_timeout_is_too_slow(server: str) -> None:
    with open_source(quick_settings(timeout_s=0.4), f"http://{server}/renewed") as source:
        wait_until(lambda: "too slow: its pictures arrive" in str(read_error(source)))


def test_repeated_pictures_alone_are_a_frozen_camera(server: str) -> None:
    with open_source(quick_settings(timeout_s=0.3), f"http://{server}/frozen") as source:
        numbers: list[int] = []
        wait_until(lambda: "frozen" in str(read_until_lost(source, numbers)))
    assert numbers == [0]
