"""Why an RTSP camera does not open."""

from __future__ import annotations

import contextlib
import socketserver
import time
import urllib.parse
from collections.abc import Iterator

import pytest

from edge.camera import address, ffmpeg_process, rtsp_probe
from edge.camera.factory import open_source
from edge.errors import CameraError
from support.camera import quick_settings
from support.network_cameras import PASSWORD, USER, RtspCamera, serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(RtspCamera) as host:
        yield host


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("404", "has no stream at this address (404 Reason)"),
        ("453", "reports an error (453 Reason)"),
        ("200", "cannot be opened as a stream"),
        ("login/digest", "needs a user and a password (401 Reason)"),
        ("login/basic", "needs a user and a password (401 Reason)"),
    ],
)
def test_status_is_reported(server: str, path: str, problem: str) -> None:
    assert rtsp_probe.problem(address.split(f"rtsp://{server}/{path}"))[0] == problem


class DribblingCamera(socketserver.StreamRequestHandler):
    """Sends a byte now and then, for ever."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"R")
                time.sleep(0.001)


def test_a_camera_that_never_ends_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_probe, "TIMEOUT_S", 0.5)
    with serving(DribblingCamera) as host:
        assert rtsp_probe.problem(address.split(f"rtsp://{host}/a"))[0] == "does not answer"


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_login(server: str, login: str) -> None:
    for password, problem in ((PASSWORD, "has no stream"), ("wrong", "refuses this user or password")):
        camera = address.split(f"rtsp://{USER}:{urllib.parse.quote(password, safe='')}@{server}/login/{login}")
        assert rtsp_probe.problem(camera)[0].startswith(problem)


def test_camera_reports_the_reason_without_the_password(server: str) -> None:
    with pytest.raises(
        CameraError, match=r"rtsp://u:\*\*\*@.*: refuses this user or password \(401 Reason\)"
    ) as caught:
        open_source(quick_settings(), f"rtsp://u:wr@ng#1@{server}/login/digest").open()
    assert "ng#1" not in f"{caught.value} {caught.value.hint}"


class FakeCapture:
    """A cv2.VideoCapture that opens with the second timeout, or never."""

    def __init__(self, takes_ms: float, opens_from_ms: float) -> None:
        self.takes_ms, self.opens_from_ms = takes_ms, opens_from_ms
        self.timeouts: list[float] = []

    def open(self, source: str, backend: int, parameters: tuple[int, ...]) -> bool:
        self.timeouts.append(parameters[1])
        FakeClock.now += min(self.takes_ms, parameters[1]) / 1000
        return parameters[1] >= self.opens_from_ms


class FakeClock:
    now = 0.0

    @classmethod
    def monotonic(cls) -> float:
        return cls.now


@pytest.mark.parametrize(
    ("source", "takes_ms", "opens_from_ms", "timeouts"),
    [
        pytest.param("rtsp://door/", 6000, 0, [1200], id="opens although FFmpeg would probe for 6 s"),
        pytest.param("rtsp://door/", 6000, 5000, [1200, 8800], id="no picture size within the short time"),
        pytest.param("rtsp://door/", 100, 99999, [1200], id="refused"),
        pytest.param("udp://door:1", 6000, 0, [10000], id="not RTSP"),
        pytest.param("/film.mp4", 100, 0, [10000], id="file"),
    ],
)
def test_rtsp_opens_with_a_short_timeout_first(
    monkeypatch: pytest.MonkeyPatch, source: str, takes_ms: float, opens_from_ms: float, timeouts: list[float]
) -> None:
    monkeypatch.setattr(ffmpeg_process, "time", FakeClock)
    capture = FakeCapture(takes_ms, opens_from_ms)
    assert ffmpeg_process._open(capture, source, 10000, 3000) is (opens_from_ms < 99999)  # type: ignore[arg-type]
    assert capture.timeouts == timeouts
