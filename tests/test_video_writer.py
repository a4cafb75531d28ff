"""Videos are written in a format that programs show, with each picture at its time."""

from __future__ import annotations

import math
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge import video_writer
from edge.errors import OutputError
from edge.video_writer import DEFAULT_FPS, FORMATS, MAX_GAP_S, VideoWriter, output_fps

#: Stands in for the program ffmpeg: it lists its encoders, or encodes with OpenCV what comes through the pipe.
FAKE_FFMPEG = """\
#!{python}
import sys
import cv2
import numpy as np
if "-encoders" in sys.argv:
    print(" V....D {encoder}              an encoder")
    sys.exit(0)
assert sys.argv[sys.argv.index("-c:v") + 1] == "{encoder}" and "yuv420p" in sys.argv
if {broken}:
    sys.exit(1)
width, height = map(int, sys.argv[sys.argv.index("-s") + 1].split("x"))
fps = float(sys.argv[sys.argv.index("-r") + 1])
path = sys.argv[-1].removeprefix("file:")
writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
while data := sys.stdin.buffer.read(width * height * 3):
    writer.write(np.frombuffer(data, np.uint8).reshape(height, width, 3))
writer.release()
"""


@pytest.fixture(autouse=True)
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the program ffmpeg of this machine."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def install_ffmpeg(tmp_path: Path, encoder: str = "libx264", broken: bool = False) -> None:
    path = tmp_path / "bin" / "ffmpeg"
    path.write_text(FAKE_FFMPEG.format(python=sys.executable, encoder=encoder, broken=broken))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def grey(level: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def write(path: Path, shown: Sequence[tuple[float, int]], fps: float = 10.0) -> VideoWriter:
    """Write pictures of a grey level from given times on."""
    writer = VideoWriter(path, path, grey(0), fps)
    for t, level in shown:
        writer.write(grey(level), t)
    assert writer.close()
    return writer


def levels(path: Path) -> list[int]:
    """Return the grey level of each frame."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while (picture := capture.read()[1]) is not None:
        found.append(round(float(picture.mean())))
    return found


def fourcc(path: Path) -> str:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()


class TestTimes:
    def test_constant_rate_is_kept_exactly(self, tmp_path: Path) -> None:
        path = tmp_path / "x.webm"
        shown = [(k / 29.97, 20 + 4 * k) for k in range(40)]
        writer = write(path, shown, output_fps(29.97))
        assert levels(path) == pytest.approx([level for _, level in shown], abs=6)
        assert writer.seconds == pytest.approx(40 / 29.97)
        assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(29.97, abs=0.01)

    def test_each_picture_is_shown_at_its_time(self, tmp_path: Path) -> None:
        """A camera that stores 15 pictures a second while somebody moves, and one in seconds otherwise."""
        path = tmp_path / "x.webm"
        shown = [(0.0, 20), (0.1, 60), (0.2, 100), (1.7, 140), (1.74, 180), (3.0, 220)]
        writer = write(path, shown)
        expected = [max((t, level) for t, level in shown if round(10 * t) <= slot)[1] for slot in range(31)]
        assert levels(path) == pytest.approx(expected, abs=8)
        assert writer.seconds == pytest.approx(3.1)
        assert writer.shortened == 0

    def test_first_picture_is_also_shown_before_its_time(self, tmp_path: Path) -> None:
        write(tmp_path / "x.webm", [(0.5, 60), (0.7, 180)])
        assert levels(tmp_path / "x.webm") == pytest.approx([60] * 7 + [180], abs=8)

    def test_enormous_gap_is_shortened(self, tmp_path: Path) -> None:
        """It may come from a damaged time stamp."""
        writer = write(tmp_path / "x.webm", [(0.0, 20), (1e9, 60), (1e9 + 1, 100)], fps=2.0)
        assert writer.shortened == 1
        assert writer.seconds == pytest.approx(MAX_GAP_S + 2, abs=1)

    @pytest.mark.parametrize(
        ("announced", "written"),
        [
            *((25.0, 25.0), (29.97, 29.97), (60.0, 60.0), (5.0, 10.0), (4.0, 12.0), (0.5, 10.0)),
            *((600.0, DEFAULT_FPS), (1000.0, DEFAULT_FPS), (0.0, DEFAULT_FPS), (-1.0, DEFAULT_FPS)),
            *((math.nan, DEFAULT_FPS), (math.inf, DEFAULT_FPS), (None, DEFAULT_FPS)),
        ],
    )
    def test_rate(self, announced: float | None, written: float) -> None:
        assert output_fps(announced) == pytest.approx(written)


class TestFormat:
    @pytest.mark.parametrize("ending", FORMATS)
    def test_codec_is_named_and_a_codec_that_is_not_shown_everywhere_has_a_note(
        self, tmp_path: Path, ending: str
    ) -> None:
        path = tmp_path / f"x{ending}"
        writer = write(path, [(0.0, 20), (0.1, 60)])
        names = {
            "VP90": "VP9",
            "VP80": "VP8",
            "FMP4": "MPEG-4",
            "MJPG": "Motion JPEG",
            "h264": "H.264",
            "avc1": "H.264",
        }
        assert names[fourcc(path)] == writer.format.name
        is_shown_everywhere = (ending, writer.format.name) in {
            *((ending, "H.264") for ending in (".mp4", ".m4v", ".mov")),
            *((".webm", name) for name in ("VP8", "VP9")),
        }
        assert (writer.format.note == "") == is_shown_everywhere

    def test_mp4_is_never_written_with_a_codec_that_browsers_refuse(self, tmp_path: Path) -> None:
        assert write(tmp_path / "x.mp4", [(0.0, 20)]).format.name in ("H.264", "VP9")

    @pytest.mark.parametrize("encoder", ["libx264", "libopenh264"])
    @pytest.mark.parametrize("ending", [".mp4", ".mov"])
    def test_program_ffmpeg_encodes_h264(self, tmp_path: Path, ending: str, encoder: str) -> None:
        install_ffmpeg(tmp_path, encoder)
        path = tmp_path / f"x{ending}"
        writer = write(path, [(0.0, 20), (0.1, 60), (0.3, 100)])
        assert (writer.format.name, writer.format.note) == ("H.264", "")
        assert levels(path) == pytest.approx([20, 60, 60, 100], abs=8)

    def test_ffmpeg_without_h264_is_not_used(self, tmp_path: Path) -> None:
        install_ffmpeg(tmp_path, "mpeg4")
        assert write(tmp_path / "x.mov", [(0.0, 20)]).format.name in ("MPEG-4", "H.264")

    def test_ffmpeg_that_fails_is_noticed(self, tmp_path: Path) -> None:
        install_ffmpeg(tmp_path, broken=True)
        path = tmp_path / "x.mov"
        writer = VideoWriter(path, path, grey(0), 10)
        if not isinstance(writer._writer, video_writer._FfmpegProgram):
            pytest.skip("this OpenCV encodes H.264 itself")
        for k in range(50):
            writer.write(grey(9), k / 10)
        assert not writer.close()
        writer.abort()

    def test_odd_sizes_are_cut_to_even_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "x.webm"
        writer = VideoWriter(path, path, grey(0, 49, 65), 10)
        writer.write(grey(90, 49, 65), 0)
        writer.write(grey(90, 30, 40), 0.1)  # a video may change its size
        assert writer.close()
        capture = cv2.VideoCapture(str(path))
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        assert (size, len(levels(path))) == ((64, 48), 2)

    def test_huge_pictures_are_made_smaller(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An encoder keeps many of them."""
        monkeypatch.setattr(video_writer, "MAX_VIDEO_PIXELS", 64 * 48)
        path = tmp_path / "x.mkv"
        writer = VideoWriter(path, path, grey(60, 200, 400), 10.0)
        writer.write(grey(60, 200, 400), 0.0)
        assert writer.close()
        capture = cv2.VideoCapture(str(path))
        size = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        assert size == (78, 38), "the same shape"
        assert abs(levels(path)[0] - 60) <= 3

    def test_tiny_pictures_are_refused(self, tmp_path: Path) -> None:
        """OpenCV's writers write beyond their buffers and crash the process."""
        with pytest.raises(OutputError, match="8 x 20 pixels are too few"):
            VideoWriter(tmp_path / "x.avi", tmp_path / "x.avi", grey(0, 20, 8), 10)

    def test_without_any_encoder_it_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FORMATS, ".mov", FORMATS[".mov"][:0])
        with pytest.raises(OutputError, match="cannot write this kind of video"):
            VideoWriter(tmp_path / "x.mov", tmp_path / "x.mov", grey(0), 10)
