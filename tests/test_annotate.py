"""`doorlight annotate`: pictures, videos, folders and cameras."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge import annotate, config
from edge.camera.file_kind import FileKind
from edge.cli import main
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import decide_image
from edge.records import Frame
from support.clip import MASKED_S, UNMASKED_S, frame_at
from support.door import Script
from support.image_files import exif, gif, iso_media, with_exif
from support.paths import DEMO

STILL = DEMO / "still.jpg"
BAR = 44
CONFIG = config.load()


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with half a second of the demo clip: long enough for a decision."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (640, 480))
    for k in range(8):
        writer.write(cv2.cvtColor(frame_at(2 + k / 15), cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(autouse=True)
def no_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the program ffmpeg of this machine."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("bin")))


def frames(path: Path) -> list[npt.NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    found: list[npt.NDArray[np.uint8]] = []
    while (picture := capture.read()[1]) is not None:
        found.append(picture.astype(np.uint8, copy=False))
    return found


class TestPicture:
    def test_picture(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "seen.png"
        assert main(["annotate", str(STILL), str(out)]) == 0
        before, after = cv2.imread(str(STILL)), cv2.imread(str(out))
        assert after.shape == (before.shape[0] + BAR, *before.shape[1:])
        changed = np.abs(before.astype(int) - after[BAR:]).max(2) > 40
        assert 0.002 < changed.mean() < 0.2, "draws something and leaves most of the picture unchanged"
        # OpenCV reads BGR. The first point is the centre of the green lamp, the second that of the red one.
        assert after[22, 24][1] > 180 > 80 > after[22, 24][2], "the green lamp is lit for a masked person"
        assert after[22, 58].max() < 120, "the red lamp is off"
        assert list(tmp_path.iterdir()) == [out], "no temporary file remains"
        assert capsys.readouterr().out == f"wrote {out}: PASS: 1 person (1 mask)\n"

    @pytest.mark.parametrize(
        ("name", "ending"),
        [("a.jfif", ".jfif"), ("a.jpe", ".jpe"), ("a", ".webp"), ("a.txt", ".bmp"), ("a.mp4", ".JPG")],
    )
    def test_names_do_not_matter(self, tmp_path: Path, name: str, ending: str) -> None:
        shutil.copy(STILL, tmp_path / name)
        out = tmp_path / f"seen{ending}"
        assert main(["annotate", str(tmp_path / name), str(out)]) == 0
        assert cv2.imread(str(out)).shape == (480 + BAR, 640, 3)

    def test_picture_is_written_upright(self, tmp_path: Path) -> None:
        sideways = np.rot90(cv2.imread(str(STILL)))
        data = cv2.imencode(".webp", sideways)[1].tobytes()
        block = exif(6)
        extended = with_exif(data, block)
        # The size in the header of the extended format is that of the picture.
        extended = extended[:24] + (479).to_bytes(3, "little") + (639).to_bytes(3, "little") + extended[30:]
        (tmp_path / "a.webp").write_bytes(extended)
        assert main(["annotate", str(tmp_path / "a.webp"), str(tmp_path / "seen.jpg")]) == 0
        assert cv2.imread(str(tmp_path / "seen.jpg")).shape == (480 + BAR, 640, 3)

    @pytest.mark.parametrize(
        ("data", "kind"), [(iso_media(b"heic"), "HEIC"), (iso_media(b"avif"), "AVIF"), (gif(1), "GIF")]
    )
    def test_other_kinds_are_refused_by_their_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, kind: str
    ) -> None:
        (tmp_path / "a.jpg").write_bytes(data)
        assert main(["annotate", str(tmp_path / "a.jpg"), str(tmp_path / "out.png")]) == 66
        assert kind in capsys.readouterr().err
        assert not (tmp_path / "out.png").exists()

    def test_truncated_picture_has_a_note(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = STILL.read_bytes()
        (tmp_path / "x.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")
        assert main(["annotate", str(tmp_path / "x.jpg"), str(tmp_path / "seen.jpg")]) == 0
        assert "note: " in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("name", "data", "problem"),
        [
            ("notes.txt", b"text", "is neither a picture nor a video"),
            ("notes", b"text", "is neither a picture nor a video"),
            ("film.mp4", b"text", "is not in a supported video format"),
            ("film.mp4", b"", "is empty"),
            ("a.jpg", b"", "is empty"),
            ("a.jpg", None, "no such file or folder"),
            ("notes.txt", None, "no such file or folder"),
        ],
    )
    @pytest.mark.parametrize("out", ["x.jpg", "x.mp4"])
    def test_the_source_is_checked_before_the_name_of_the_output(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes | None, problem: str, out: str
    ) -> None:
        source = tmp_path / name
        if data is not None:
            source.write_bytes(data)
        assert main(["annotate", str(source), str(tmp_path / out)]) == 66
        assert capsys.readouterr().err.startswith(f"doorlight: {source}: {problem}\n")
        assert not (tmp_path / out).exists()

    def test_original_is_not_overwritten(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "a.jpg"
        shutil.copy(STILL, path)
        before = path.read_bytes()
        assert main(["annotate", str(path), str(path)]) == 2
        assert main(["annotate", str(tmp_path), str(tmp_path)]) == 2
        (tmp_path / "hard.jpg").hardlink_to(path)
        assert main(["annotate", str(path), str(tmp_path / "hard.jpg")]) == 2
        assert path.read_bytes() == before
        assert "overwrite" in capsys.readouterr().err


class TestVideo:
    def test_video(self, tmp_path: Path, short: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "seen.mp4"
        assert main(["annotate", str(short), str(out)]) == 0
        found = frames(out)
        assert len(found) == len(frames(short)) == 8
        assert found[0].shape == (480 + BAR, 640, 3)
        assert list(tmp_path.iterdir()) == [out]
        said = capsys.readouterr().out
        assert said.startswith(f"wrote {out}: 0.5 s, 640 x 524, ")
        assert "people decided: 1" in said
        if "H.264" not in said:
            assert "note: QuickTime does not show it. For H.264: sudo apt" in said

    def test_pictures_of_a_variable_rate_are_shown_at_their_times(
        self, tmp_path: Path, perception: Perception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = [0.0, 0.1, 0.2, 1.5]

        class Film(Script):
            name = "film"
            live = False
            fps = 10.0

            def read(self) -> Frame | None:
                frame = super().read()
                return None if frame is None else Frame(frame.number, times[frame.number], frame.picture)

        pictures = [np.full((120, 160, 3), level, np.uint8) for level in (40, 90, 140, 190)]
        monkeypatch.setattr(annotate, "open_source", lambda *_: Film(pictures))
        out = tmp_path / "seen.webm"
        annotate.annotate(CONFIG, perception, "film", out)
        levels = [round(float(picture[BAR + 50 :].mean())) for picture in frames(out)]
        assert levels == pytest.approx([40, 90, *[140] * 13, 190], abs=8)

    @pytest.mark.parametrize("ending", [".webm", ".avi"])
    def test_very_small_video(self, tmp_path: Path, ending: str) -> None:
        """OpenCV's writers write beyond their buffers for narrow pictures. It is enlarged before it is written."""
        small = tmp_path / "x.mjpeg"
        small.write_bytes(cv2.imencode(".jpg", np.full((8, 2, 3), 77, np.uint8))[1].tobytes() * 3)
        assert main(["annotate", str(small), str(tmp_path / f"seen{ending}")]) == 0
        assert frames(tmp_path / f"seen{ending}")[0].shape[:2] == (480 + 24, 120)

    def test_video_needs_the_name_of_a_video(self, tmp_path: Path, short: Path) -> None:
        assert main(["annotate", str(short), str(tmp_path / "seen.jpg")]) == 2


class TestFolder:
    def test_everything_is_written_and_what_is_left_out_is_named(
        self, tmp_path: Path, short: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source, out = tmp_path / "in", tmp_path / "out"
        source.mkdir()
        shutil.copy(short, source / "walk.avi")
        for name in ("a.jpg", "b.jfif", "c", "d.JPG"):
            shutil.copy(STILL, source / name)
        (source / "broken.jpg").write_bytes(b"\xff\xd8 not really")
        (source / "e.heic").write_bytes(iso_media(b"heic"))
        (source / "notes.txt").write_text("not a picture")
        (source / ".hidden.jpg").write_bytes(b"hidden")
        assert main(["annotate", str(source), str(out)]) == 66
        said = capsys.readouterr()
        names = ["a.jpg", "b.jfif", "c.jpg", "d.JPG", "walk.mp4"]
        assert sorted(path.name for path in out.iterdir()) == names
        assert [line.split(": ")[0] for line in said.out.splitlines() if line.startswith("wrote")] == [
            f"wrote {out}/{name}" for name in names
        ]
        left_out = [line.split(":")[0] for line in said.out.splitlines() if line.startswith("left out")]
        assert left_out == ["left out broken.jpg", "left out notes.txt", "left out e.heic"]
        count, hint = said.err.splitlines()
        assert count == f"doorlight: {source}: 2 pictures or videos could not be read"
        assert "Most Compatible" in hint, "what to do about HEIC"

    def test_folder_in_which_every_picture_is_read(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Other files and folders are named, and are no failure."""
        (tmp_path / "in" / "more").mkdir(parents=True)
        shutil.copy(STILL, tmp_path / "in" / "a.jpg")
        (tmp_path / "in" / "notes.txt").write_text("not a picture")
        assert main(["annotate", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
        said = capsys.readouterr()
        assert said.out.count("more") == said.out.count("notes.txt") == 1
        assert said.err == ""

    @pytest.mark.parametrize("files", [{}, {"a.txt": b"text"}, {"a.jpg": b"no"}])
    def test_folder_without_a_readable_file(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        (tmp_path / "in").mkdir()
        for name, data in files.items():
            (tmp_path / "in" / name).write_bytes(data)
        assert main(["annotate", str(tmp_path / "in"), str(tmp_path / "out")]) == 66

    def test_names_of_the_outputs_differ(self) -> None:
        """Two files may have the same name but for the ending, as a phone's picture and its video."""
        kinds = {
            **dict.fromkeys(("1.jpg", "1", "2.webp", "3.download", "3.DOWNLOAD"), FileKind.PICTURE),
            **dict.fromkeys(("1.mp4", "1.mov", "2.webm", "4.avi"), FileKind.VIDEO),
        }
        names = annotate.output_names([(Path("in") / name, kind) for name, kind in kinds.items()])
        assert dict(zip(kinds, names, strict=True)) == {
            "1.jpg": "1.jpg",
            "1": "_1.jpg",
            "2.webp": "2.webp",
            "3.download": "3.jpg",
            "3.DOWNLOAD": "3.DOWNLOAD.jpg",
            "1.mp4": "1.mp4",
            "1.mov": "1.mov.mp4",
            "2.webm": "2.webm",
            "4.avi": "4.mp4",
        }


class TestCamera:
    @pytest.fixture
    def camera(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
        """A camera that sees an unmasked person for five seconds; its `steps` can be changed."""
        camera = Script([frame_at(UNMASKED_S)] * 50)
        monkeypatch.setattr(annotate, "open_source", lambda *_: camera)
        yield camera
        assert camera.closed

    def test_picture_is_written_after_three_seconds(
        self, tmp_path: Path, camera: Script, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The last picture with the decision of the whole time, as the door would have made it."""
        looked_at: list[int] = []
        camera.actions = {k: lambda k=k: looked_at.append(k) for k in range(50)}  # type: ignore[misc]
        out = tmp_path / "aim.jpg"
        assert main(["annotate", "picamera", str(out)]) == 0
        assert looked_at[-1] == 30
        assert cv2.imread(str(out)).shape == (480 + BAR, 640, 3)
        assert capsys.readouterr().out == f"wrote {out}: scripted camera, 640 x 480, STOP: 1 person (1 no mask)\n"

    def test_time_can_be_chosen(self, tmp_path: Path, camera: Script) -> None:
        looked_at: list[int] = []
        camera.actions = {k: lambda k=k: looked_at.append(k) for k in range(50)}  # type: ignore[misc]
        assert main(["annotate", "/dev/video0", str(tmp_path / "aim.png"), "--seconds", "1"]) == 0
        assert looked_at[-1] == 10

    def test_camera_that_is_lost(self, tmp_path: Path, camera: Script, capsys: pytest.CaptureFixture[str]) -> None:
        camera.steps = [frame_at(MASKED_S), None]
        assert main(["annotate", "rtsp://camera/1", str(tmp_path / "aim.jpg")]) == 69
        assert "no picture for 2 s" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_covered_camera_shows_fault(
        self, tmp_path: Path, camera: Script, capsys: pytest.CaptureFixture[str]
    ) -> None:
        camera.steps = [np.zeros((480, 640, 3), np.uint8)] * 50
        assert main(["annotate", "picamera", str(tmp_path / "aim.jpg")]) == 0
        assert "FAULT: the picture is black" in capsys.readouterr().out

    def test_camera_writes_a_picture_only(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["annotate", "picamera", str(tmp_path / "aim.mp4")]) == 2
        assert "a camera gives one" in capsys.readouterr().err

    def test_missing_camera(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["annotate", "/dev/video97", str(tmp_path / "aim.jpg")]) == 69
        assert "/dev/video97: no such camera" in capsys.readouterr().err


def test_picamera(tmp_path: Path, world: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the camera package, as the door opens it."""
    out = tmp_path / "aim.jpg"
    assert main(["annotate", "picamera", str(out), "--seconds", "0.2"]) == 0
    assert capsys.readouterr().out == f"wrote {out}: picamera, 640 x 480, IDLE: no face found\n"
    assert cv2.imread(str(out)).shape == (480 + BAR, 640, 3)


def test_description(perception: Perception) -> None:
    both = np.hstack([frame_at(MASKED_S), frame_at(UNMASKED_S)])
    decision = decide_image(CONFIG, perception, both)
    assert annotate.describe(decision) == "STOP: 2 people (1 mask, 1 no mask)"
