"""The command training.make_walkups, on a data set of drawn faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm", reason="training.make_walkups needs the extra: pip install .[train]")

from support.evaluation import World, human
from support.faces import drawn_face
from training import make_walkups
from training.walkups import script, truth

FACE = (110, 60, 210, 190)


@pytest.fixture
def data(world: World) -> Path:
    """Return a data set with people of each kind, a place, and things."""
    rng = np.random.default_rng(0)

    def different(picture: np.ndarray) -> np.ndarray:
        # Pictures that look alike would be one family, and in one split.
        pattern = rng.integers(0, 90, (6, 6, 3), np.uint8)
        out = picture.copy()
        out[:50] = cv2.resize(pattern, (320, 320))[:50]
        out[200:] = cv2.resize(pattern, (320, 320))[200:]
        return out

    for _ in range(8):
        world.add(different(drawn_face()), "mux", label="mask", faces=[human(FACE, "mask")])
        world.add(different(drawn_face()), "mux", label="no_mask", faces=[human(FACE)])
        world.add(different(drawn_face()), "mux", label="no_mask", expression="angry", faces=[human(FACE)])
    for source in ("animals", "objects"):
        for _ in range(3):
            world.add(rng.integers(0, 255, (64, 64, 3), np.uint8), source, faces=[])
    return world.write()


def make(data: Path, out: Path, *more: str) -> int:
    return make_walkups.main(["--data", str(data), "--out", str(out), "--split", "train", *more])


def test_scenes_are_rendered_with_their_truth(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "RATES", ((2.0, 1.0),))
    monkeypatch.setenv("PATH", "")  # MPEG-4, as without ffmpeg
    for name, jobs in (("a", "1"), ("b", "2")):
        assert make(data, tmp_path / name, "--scenes", "2", "--seed", "4", "--jobs", jobs) == 0
    texts = [(tmp_path / name / truth.FILE).read_text() for name in ("a", "b")]
    assert texts[0] == texts[1], "the same seed renders the same scenes, in one process or two"
    made = truth.read(tmp_path / "a")
    assert (len(made.scenes), made.split, made.codec) == (2, "train", "MPEG-4")
    for scene in made.scenes:
        capture = cv2.VideoCapture(str(tmp_path / "a" / scene.file))
        count = 0
        while capture.read()[0]:
            count += 1
        capture.release()
        assert count == len(scene.boxes) == round(scene.seconds * scene.fps)
        for person in scene.people:
            assert bool(person.claims) == (person.role == truth.VISITOR)
        assert {p for row in scene.boxes for p, *_ in row} <= {p.id for p in scene.people}


def test_a_kind_of_people_that_is_missing_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(drawn_face(), "mux", label="mask", faces=[human(FACE, "mask")])
    assert make(world.write(), tmp_path / "a", "--scenes", "1") == 65
    assert "person" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
