"""`doorlight annotate`: pictures, videos and folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cli import main
from support.paths import DEMO


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with two seconds of the demo clip."""
    path = tmp_path_factory.mktemp("clip") / "short.mp4"
    capture = cv2.VideoCapture(str(DEMO / "door.mp4"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (640, 480))
    for k in range(60):
        good, picture = capture.read()
        assert good
        if k >= 30:
            writer.write(picture)
    writer.release()
    capture.release()
    return path


def frames(path: Path) -> list[npt.NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    found = []  # type: ignore[var-annotated]
    while True:
        good, picture = capture.read()
        if not good:
            return found
        found.append(picture.astype(np.uint8, copy=False))


def test_picture(tmp_path: Path) -> None:
    out = tmp_path / "seen.png"
    assert main(["annotate", str(DEMO / "still.jpg"), str(out)]) == 0
    before, after = cv2.imread(str(DEMO / "still.jpg")), cv2.imread(str(out))
    assert before.shape == after.shape
    changed = np.abs(before.astype(int) - after).max(2) > 40
    assert 0.002 < changed.mean() < 0.2, "draws something and leaves most of the picture unchanged"
    # OpenCV reads BGR. The first point is the centre of the green lamp, the second that of the red one.
    assert after[33, 33][1] > 180 > 80 > after[33, 33][2], "the green lamp is lit for a masked person"
    assert after[33, 67].max() < 120, "the red lamp is off"
    assert list(tmp_path.iterdir()) == [out], "no temporary file remains"


def test_video(tmp_path: Path, short: Path) -> None:
    out = tmp_path / "seen.mp4"
    assert main(["annotate", str(short), str(out)]) == 0
    assert len(frames(out)) == len(frames(short)) == 30
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_video_of_very_small_pictures_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """OpenCV's writers write beyond their buffers and crash the process."""
    small = tmp_path / "x.mjpeg"
    small.write_bytes(cv2.imencode(".jpg", np.full((8, 2, 3), 77, np.uint8))[1].tobytes() * 3)
    assert main(["annotate", str(small), str(tmp_path / f"seen{ending}")]) == 74
    assert "2 x 8 pixels are too few" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [small]


def test_folder(tmp_path: Path, short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    shutil.copy(short, source / "walk.mp4")
    shutil.copy(DEMO / "still.jpg", source / "still.jpg")
    (source / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    (source / "notes.txt").write_text("not a picture")
    assert main(["annotate", str(source), str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["still.jpg", "walk.mp4"]
    assert "broken.jpg" in capsys.readouterr().out


def test_originals_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jpg"
    shutil.copy(DEMO / "still.jpg", path)
    before = path.read_bytes()
    assert main(["annotate", str(path), str(path)]) == 2
    assert main(["annotate", str(tmp_path), str(tmp_path)]) == 2
    assert path.read_bytes() == before
    assert "overwrite" in capsys.readouterr().err


def test_empty_folder_and_unreadable_picture(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["annotate", str(tmp_path / "empty"), str(tmp_path / "out")]) == 66
    (tmp_path / "bad.png").write_bytes(b"nothing")
    assert main(["annotate", str(tmp_path / "bad.png"), str(tmp_path / "out.png")]) == 66
    assert not (tmp_path / "out.png").exists()
