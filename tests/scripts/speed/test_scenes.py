"""Footage and scenes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import InputError
from edge.inference.perception import Perception
from edge.policy import Verdict
from speed import measure, scenes
from support.speed import CONFIG

NAMES = [
    "empty door",
    "one settled face, masked",
    "one settled face, unmasked",
    "one new face, masked",
    "one new face, unmasked",
    "ten faces",
]


def test_the_demo_clip_has_every_scene(footage: scenes.Footage) -> None:
    assert list(scenes.scenes(footage, CONFIG)) == NAMES


@pytest.mark.parametrize("name", ["empty door", "one settled face, unmasked", "one new face, masked", "ten faces"])
def test_the_door_sees_what_a_scene_shows(name: str, footage: scenes.Footage, perception: Perception) -> None:
    scene = scenes.scenes(footage, CONFIG)[name]()
    assert len(scene.frames) >= scenes.MIN_FRAMES
    assert {(f.shape, f.dtype.name) for f in scene.frames} == {((480, 640, 3), "uint8")}
    pipeline = measure.DoorlightPipeline(perception, CONFIG.camera.fps)
    pipeline.begin(scene)
    people = [pipeline.look(scene.frames[k % len(scene.frames)]) for k in range(12)]
    decision = pipeline.decision
    assert decision is not None
    verdicts = {person.verdict for person in decision.people.values()}
    if name == scenes.EMPTY:
        assert set(people) == {0}
    elif name == scenes.TEN_FACES:
        assert min(people) >= 9
        assert max(people) <= 11
        assert verdicts == {Verdict.MASKED, Verdict.UNMASKED}
    else:
        assert set(people) == {1}
        is_new = "new" in name
        assert verdicts == {Verdict.UNKNOWN if is_new else Verdict(name.rpartition(" ")[2])}
        # A new person has a look in every frame, a settled one only now and then.
        assert pipeline.looks == 12 if is_new else 0 < pipeline.looks < 12


def test_each_picture_of_a_folder_counts_by_itself(
    tmp_path: Path, perception: Perception, footage: scenes.Footage
) -> None:
    for k, kind in enumerate(("masked", "empty", "unmasked")):
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), footage[kind][0].picture[:, :, ::-1])
    found = scenes.collect_footage(CONFIG, perception, str(tmp_path))
    assert {kind: len(shots) for kind, shots in found.items()} == {"masked": 1, "empty": 1, "unmasked": 1}
    assert found["masked"][0].box is not None
    assert found["empty"][0].box is None


def test_footage_without_a_person_raises(tmp_path: Path, perception: Perception) -> None:
    assert cv2.imwrite(str(tmp_path / "grey.png"), np.full((480, 640, 3), 120, np.uint8))
    with pytest.raises(InputError, match=r"grey\.png: shows no person"):
        scenes.collect_footage(CONFIG, perception, str(tmp_path / "grey.png"))


def test_a_loop_has_no_jump_and_no_two_equal_frames() -> None:
    pictures = [np.full((480, 640, 3), v, np.uint8) for v in (50, 100, 150, 200)]
    frames = scenes.with_noise(pictures)
    assert len(frames) >= scenes.MIN_FRAMES
    levels = [round(float(f.mean()), -1) for f in frames]
    steps = {abs(a - b) for a, b in zip(levels, levels[1:] + levels[:1], strict=True)}
    assert steps == {50}
    for a, b in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert not np.array_equal(a, b)
    assert 0.8 * scenes.NOISE_LEVELS < float((frames[0].astype(float) - 50).std()) < 1.2 * scenes.NOISE_LEVELS
    assert len(scenes.with_noise(pictures[:1])) == scenes.MIN_FRAMES


@pytest.mark.parametrize(("shape", "kept"), [((480, 640), 1.0), ((720, 1280), 0.75), ((800, 600), 0.5625)])
def test_the_centre_of_a_picture_keeps_its_aspect(shape: tuple[int, int], kept: float) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[shape[0] // 2 - 20 : shape[0] // 2 + 20, shape[1] // 2 - 20 : shape[1] // 2 + 20] = 255
    frame = scenes.crop_to_frame(picture)
    assert frame.shape == (480, 640, 3)
    ys, xs = np.nonzero(frame[..., 0] > 127)
    assert (ys.mean() + 0.5, xs.mean() + 0.5) == pytest.approx((240, 320), abs=2)
    assert (np.ptp(ys) + 1) / (np.ptp(xs) + 1) == pytest.approx(1, abs=0.06)
    assert kept == pytest.approx(min(shape[1] * 3, shape[0] * 4) ** 2 / 12 / (shape[0] * shape[1]))
