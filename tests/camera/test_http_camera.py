"""HTTP cameras that send JPEG pictures: streams, snapshots, logins, and what is no camera."""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Iterator

import pytest

from edge.camera import http_pictures
from edge.camera.factory import open_source
from edge.camera.http_pictures import HttpCameraError, split_stream
from edge.errors import CameraError
from support.camera import is_red, quick_settings
from support.network_cameras import PASSWORD, USER, HttpCamera, jpeg, serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(HttpCamera) as host:
        yield host


@pytest.mark.parametrize("kind", ["stream", "nolength", "chunked", "snapshot", "redirect", "damaged"])
def test_pictures_are_played(server: str, kind: str) -> None:
    with open_source(quick_settings(timeout_s=5, rotate=90), f"http://{server}/{kind}") as source:
        frames = [source.read() for _ in range(3)]
    for frame in frames:
        assert frame is not None
        assert frame.picture.shape == (160, 120, 3)
        assert is_red(frame.picture)


@pytest.mark.parametrize("login", ["basic", "digest"])
@pytest.mark.parametrize("encoded", [False, True])
def test_any_character_may_stand_in_a_password(server: str, login: str, encoded: bool) -> None:
    password = urllib.parse.quote(PASSWORD, safe="") if encoded else PASSWORD
    with open_source(
        quick_settings(timeout_s=5), f"http://{USER}:{password}@{server}/login/{login}/snapshot"
    ) as source:
        frame = source.read()
        assert frame is not None
        assert is_red(frame.picture)
        assert "s#1" not in source.name


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("404", "has no stream at this address (404 Not Found)"),
        ("403", "forbids the access (403 Forbidden)"),
        ("503", "reports an error (503 Service Unavailable)"),
        ("login/basic/stream", "needs a user and a password (401 Unauthorized)"),
        ("login/digest/stream", "needs a user and a password (401 Unauthorized)"),
        ("page", "is a web page, not a stream"),
        ("json", "is no stream, but application/json"),
        ("hls", "is an HLS stream, whose pictures arrive in bursts and many seconds late"),
        ("video", "is neither a video nor JPEG pictures"),
        ("huge", "sends pictures of 65535 x 65535 pixels"),
    ],
)
def test_what_is_no_camera_is_refused_with_its_reason(server: str, path: str, problem: str) -> None:
    address = f"http://{server}/{path}"
    with pytest.raises(CameraError) as caught:
        open_source(quick_settings(), address).open()
    assert str(caught.value) == f"{address}: {problem}"
    assert caught.value.hint


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_wrong_password_is_reported_without_it(server: str, login: str) -> None:
    with pytest.raises(CameraError, match=r"refuses this user or password \(401") as caught:
        open_source(quick_settings(), f"http://{USER}:wr0ng@{server}/login/{login}/stream").open()
    assert "wr0ng" not in f"{caught.value} {caught.value.hint}"


def test_unknown_host_and_rtsp_port_are_told_apart(server: str) -> None:
    with pytest.raises(CameraError, match=r"^http://no-such-door\.invalid/: unknown host$"):
        open_source(quick_settings(), "http://no-such-door.invalid/").open()
    with pytest.raises(CameraError, match="does not speak RTSP"):
        open_source(quick_settings(), f"rtsp://{server}/stream").open()


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


def test_repeated_snapshot_is_no_new_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that renews its snapshot once a second must not count as five looks a second."""
    monkeypatch.setattr(http_pictures, "REPEAT_S", 1000.0)
    fetched = iter([b"a", b"a", b"b", b"b", b"a"])
    assert list(itertools.islice(http_pictures._snapshots(b"a", lambda: next(fetched), 0.0), 3)) == [b"a", b"b", b"a"]
    monkeypatch.setattr(http_pictures, "REPEAT_S", 0.0)
    assert list(itertools.islice(http_pictures._snapshots(b"a", lambda: b"a", 0.0), 3)) == [b"a"] * 3
