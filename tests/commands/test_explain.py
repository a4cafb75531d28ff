"""`doorlight explain`: files, arguments and what it prints."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.commands import explain as command
from edge.explain.explanation import DEFAULT_METHOD, Stage
from edge.explain.methods import Method
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.command import printable_output, write_settings
from support.paths import CLIP

pytestmark = pytest.mark.usefixtures("coarse_maps")
STILL = CLIP.with_name("still.jpg")


def save(name: str, *seconds: float) -> Path:
    """Write frames of the demo clip beside each other."""
    picture = np.concatenate([frame_at(second) for second in seconds], 1)
    assert cv2.imwrite(name, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return Path(name)


def refused(capfd: pytest.CaptureFixture[str], exit_code: int, *args: object) -> list[str]:
    """Run the command and return its error and its hint. Checks that nothing is written."""
    before = sorted(os.listdir())
    assert main(["explain", *map(str, args)]) == exit_code
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2, lines
    assert sorted(os.listdir()) == before
    return lines


def test_it_writes_the_same_file_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(STILL), "a.png"]) == 0
    printed = printable_output(capfd)
    assert main(["explain", str(STILL), "b.png"]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert cv2.imread("a.png").shape[1] == 624
    lines = printed.splitlines()
    assert lines[0] == "wrote a.png"
    assert lines[1].startswith("person 1: mask, ")
    assert "a mask" in lines[2]
    assert sorted(os.listdir()) == ["a.png", "b.png"]


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    save("two.png", UNMASKED_S, MASKED_S)
    assert main(["explain", "two.png", "why.png", "--json", "--method", "lime"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {key: found[key] for key in ("picture", "out", "stage", "method", "faces")} == {
        "picture": "two.png", "out": "why.png", "stage": "mask", "method": "lime", "faces": 2
    }  # fmt: skip
    assert [person["person"] for person in found["people"]] == [1, 2]
    left, right = found["people"]
    assert left["log_odds"] < 0 < right["log_odds"]
    assert left["box"][0] < right["box"][0]
    assert len(left["regions"]) == 8
    assert left["words"]


def test_one_person_of_several(capfd: pytest.CaptureFixture[str]) -> None:
    save("two.png", UNMASKED_S, MASKED_S)
    assert main(["explain", "two.png", "why.png", "--person", "2", "--method", "lime"]) == 0
    out = capfd.readouterr().out
    assert "person 2: mask" in out
    assert "person 1" not in out


def test_arguments_are_those_of_the_package() -> None:
    """The command line names them itself, so that --help does not load NumPy."""
    assert tuple(stage.value for stage in Stage) == command.STAGES
    assert tuple(method.value for method in Method) == command.METHODS
    assert DEFAULT_METHOD in Method


@pytest.mark.parametrize("stage", ["mask", "face"])
def test_no_face(capfd: pytest.CaptureFixture[str], stage: str) -> None:
    save("empty.png", EMPTY_S)
    assert "empty.png: no face found" in refused(capfd, 66, "empty.png", "why.png", "--stage", stage)[0]


@pytest.mark.parametrize("number", ["0", "-1", "x", "2.0", "1001"])
def test_person_numbers_that_are_none(number: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(STILL), "why.png", "--person", number])
    assert ended.value.code == 2
    assert "--person" in capfd.readouterr().err


def test_a_person_who_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    lines = refused(capfd, 2, STILL, "why.png", "--person", 2)
    assert "--person 2: no such person" in lines[0]


def test_expression_of_a_masked_person(capfd: pytest.CaptureFixture[str]) -> None:
    assert "person 1 wears a mask" in refused(capfd, 66, STILL, "why.png", "--stage", "expression")[0]


def test_expression_that_is_turned_off(capfd: pytest.CaptureFixture[str]) -> None:
    """Also for a masked person and without a face: the setting is the first reason."""
    settings = write_settings("[expression]\nenabled = false\n")
    for name, second in (("bare.png", UNMASKED_S), ("masked.png", MASKED_S), ("empty.png", EMPTY_S)):
        picture = save(name, second)
        lines = refused(capfd, 2, picture, "why.png", "--stage", "expression", "--config", settings)
        assert "[expression] enabled = false" in lines[0]


def test_pictures_that_cannot_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    Path("empty.jpg").write_bytes(b"")
    Path("text.png").write_text("not a picture")
    encoded = cv2.imencode(".png", frame_at(MASKED_S))[1].tobytes()
    Path("torn.png").write_bytes(encoded[: len(encoded) // 2])
    Path("torn.jpg").write_bytes(STILL.read_bytes()[:9000])
    Path("folder").mkdir()
    shutil.copy(CLIP, "clip.mp4")
    os.mkfifo("pipe.jpg")
    for name in (
        "missing.jpg",
        "empty.jpg",
        "text.png",
        "torn.png",
        "torn.jpg",
        "folder",
        "clip.mp4",
        "pipe.jpg",
        "picamera",
    ):
        assert refused(capfd, 66, name, "why.png")[0].startswith(f"doorlight: {name}: "), name


def test_a_picture_that_breaks_off_is_explained_with_a_note(capfd: pytest.CaptureFixture[str]) -> None:
    data = cv2.imencode(".jpg", cv2.cvtColor(frame_at(MASKED_S), cv2.COLOR_RGB2BGR))[1].tobytes()
    Path("torn.jpg").write_bytes(data[: len(data) * 19 // 20] + b"\xff\xd9")
    assert main(["explain", "torn.jpg", "why.png"]) == 0
    assert "note: torn.jpg: breaks off" in capfd.readouterr().out


def test_outputs_that_cannot_be_written(capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(STILL, "still.png")
    Path("taken.png").mkdir()
    assert "would overwrite the original" in refused(capfd, 2, "still.png", "still.png")[0]
    Path("symbolic.png").symlink_to("still.png")
    Path("hard.png").hardlink_to("still.png")
    for link in ("symbolic.png", "hard.png"):
        assert "would overwrite the original" in refused(capfd, 2, "still.png", link)[0]
    assert "is not the name of a picture" in refused(capfd, 2, STILL, "why.txt")[0]
    assert "its folder does not exist" in refused(capfd, 74, STILL, "nowhere/why.png")[0]
    assert "taken.png: cannot be written" in refused(capfd, 74, STILL, "taken.png")[0]


def test_names_that_are_not_utf8() -> None:
    shutil.copy(STILL, "x\udcff.jpg")
    assert main(["explain", "x\udcff.jpg", "why\udcff.png"]) == 0
    assert Path("why\udcff.png").stat().st_size > 10_000


def test_the_camera_settings_apply(capfd: pytest.CaptureFixture[str]) -> None:
    """A picture is explained as the door would see it: here upside down, where there is no face."""
    settings = write_settings("[camera]\nrotate = 180\n")
    picture = cv2.rotate(frame_at(MASKED_S), cv2.ROTATE_180)
    cv2.imwrite("turned.png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert main(["explain", "turned.png", "why.png", "--config", str(settings), "--method", "lime"]) == 0
    assert "person 1: mask" in capfd.readouterr().out
