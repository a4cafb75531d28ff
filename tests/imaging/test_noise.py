"""Noise changes with every frame, and a wall does not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import pytest

from edge import config
from edge.imaging.blindness import NOISE, BlindnessDetector, find_blindness
from edge.imaging.cells import cells
from edge.imaging.images import Picture
from edge.imaging.noise import MAX_GAP_S, MIN_CHANGES, NoiseDetector, looks_like_noise
from support.clip import EMPTY_S, MASKED_S, frame_at
from support.textures import TEXTURES, frames_of, snow
from training.rendering.blind_pictures import CHANGING, NIGHT, SHAKEN, blind_frames, compressed, scene_frames

MIN_DETAIL = config.load().camera.min_detail
SIZES = [(640, 480), (320, 240)]


def reasons(frames: Iterable[Picture], interval_s: float = 0.1, min_detail: float = MIN_DETAIL) -> list[str]:
    """Return the finding after each frame, "" if something can be seen."""
    detector = BlindnessDetector(min_detail)
    found = (detector.find(cells(frame), k * interval_s) for k, frame in enumerate(frames))
    return [finding.reason if finding is not None else "" for finding in found]


def looks(frame: Picture) -> bool:
    """Return whether the frame by itself may be noise, and nothing else speaks against it."""
    grid = cells(frame)
    return looks_like_noise(grid.brightness) and find_blindness(grid, MIN_DETAIL) is None


class TestNoise:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", CHANGING)
    def test_snow_and_random_blocks_are_blind(self, kind: str, size: tuple[int, int]) -> None:
        source = np.zeros((size[1], size[0], 3), np.uint8)
        for seed in range(4):
            frames = blind_frames(kind, source, np.random.default_rng(seed))
            found = reasons(itertools.islice(frames, 5))
            assert found[0] in ("", "without any detail"), "one picture proves nothing"
            assert set(found[MIN_CHANGES:]) <= {"only noise", "without any detail"}, (seed, found)

    @pytest.mark.parametrize("quality", [0, 30])
    @pytest.mark.parametrize("text", ["", "NO SIGNAL"])
    def test_text_on_snow_is_no_structure(self, text: str, quality: int) -> None:
        frames = snow(5)
        for frame in frames:
            cv2.putText(frame, text, (200, 250), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 3, cv2.LINE_AA)
        assert reasons(compressed(frame, quality) for frame in frames)[MIN_CHANGES:] == ["only noise"] * 3

    @pytest.mark.parametrize("interval_s", [1 / 30, 1.0, 4.0])
    def test_at_every_rate(self, interval_s: float) -> None:
        assert reasons(snow(6), interval_s) == ["", "", *["only noise"] * 4]

    def test_a_face_refutes_it(self) -> None:
        assert not NOISE.is_certain

    def test_zero_does_not_look_for_it(self) -> None:
        assert set(reasons(snow(6), min_detail=0)) == {""}


class TestRepeats:
    """A picture that is sent again proves neither noise nor a wall."""

    @pytest.mark.parametrize("times", [2, 3, 6])
    def test_repeated_frames_of_noise(self, times: int) -> None:
        frames = [frame for frame in snow(5) for _ in range(times)]
        found = reasons(frames)
        assert found == ["" if k < MIN_CHANGES * times else "only noise" for k in range(len(frames))]

    def test_still_picture(self) -> None:
        assert set(reasons(snow(1) * 30)) == {""}, "it may be a wall"

    def test_two_still_pictures(self) -> None:
        """A video shows one wall, then another."""
        assert set(reasons([frame for frame in snow(2) for _ in range(20)])) == {""}

    def test_cut_between_walls_with_sensor_noise(self) -> None:
        one, other = (frames_of(TEXTURES[kind](480, 640), 5) for kind in ("gravel", "carpet"))
        assert set(reasons(one + other + one)) == {""}

    def test_files_of_a_folder(self) -> None:
        detector = NoiseDetector()
        times = itertools.count(0, MAX_GAP_S + 1)
        assert not any(detector.update(cells(frame), next(times)) for frame in snow(6))

    def test_frames_are_forgotten(self) -> None:
        detector = BlindnessDetector(MIN_DETAIL)
        frames = [cells(frame) for frame in snow(MIN_CHANGES + 2)]
        assert [detector.find(frame, 0.1 * k) for k, frame in enumerate(frames)][-1] is NOISE
        detector.clear()
        assert detector.find(frames[0], 1.0) is None
        assert detector.is_undecided

    def test_scene_ends_noise(self) -> None:
        found = reasons([*snow(5), frame_at(EMPTY_S), *snow(2)])
        assert found[4:] == ["only noise", "", "", ""]


class TestTextures:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", TEXTURES)
    def test_one_frame_looks_like_noise(self, kind: str, size: tuple[int, int]) -> None:
        """Otherwise the tests below prove nothing."""
        assert looks(frames_of(TEXTURES[kind](size[1], size[0]), 1)[0])

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", TEXTURES)
    @pytest.mark.parametrize(
        ("sigma", "gain", "quality"), [(3.0, 1.0, 0), (8.0, 1.0, 30), (8.0, 0.5, 0), (16.0, 0.8, 50)]
    )
    def test_wall_filling_texture_is_seen(
        self, kind: str, size: tuple[int, int], sigma: float, gain: float, quality: int
    ) -> None:
        """With the noise of the sensor, in good light and at dusk."""
        frames = frames_of(TEXTURES[kind](size[1], size[0]), 6, sigma, gain)
        assert set(reasons(compressed(frame, quality) for frame in frames)) == {""}

    @pytest.mark.parametrize("shake_px", [1, 4, 12])
    @pytest.mark.parametrize("kind", TEXTURES)
    def test_camera_that_shakes_in_front_of_a_wall(self, kind: str, shake_px: float) -> None:
        assert set(reasons(frames_of(TEXTURES[kind](480, 640), 8, 4.0, 1.0, shake_px))) == {""}

    def test_person_walks_past_a_wall(self) -> None:
        frames = frames_of(TEXTURES["gravel"](480, 640), 6)
        for k, frame in enumerate(frames):
            cv2.rectangle(frame, (90 * k, 60), (90 * k + 130, 480), (60, 50, 40), -1)
        assert set(reasons(frames)) == {""}


class TestScenes:
    @pytest.mark.parametrize("t", [EMPTY_S, MASKED_S])
    @pytest.mark.parametrize("kind", [NIGHT, SHAKEN])
    def test_noisy_and_moving_scenes_are_seen(self, kind: str, t: float) -> None:
        for seed in range(4):
            rng = np.random.default_rng(seed)
            frames = scene_frames(kind, frame_at(t), rng)
            assert set(reasons(itertools.islice(frames, 3))) == {""}

    @pytest.mark.parametrize("gain", [0.1, 0.2])
    @pytest.mark.parametrize("sigma", [20, 35])
    def test_dark_noise_may_hide_a_scene(self, gain: float, sigma: float) -> None:
        """The noise of a high gain can be stronger than a texture at night."""
        frames = frames_of(TEXTURES["carpet"](480, 640), 6, sigma, gain)
        assert "only noise" not in reasons(frames)

    def test_nothing_is_kept_of_a_scene(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge.imaging.noise.grey_quarters", lambda _: pytest.fail("kept a frame"))
        scene: Sequence[Picture] = frames_of(np.asarray(frame_at(MASKED_S)[:, :, 1], np.float32), 3)
        assert set(reasons(scene)) == {""}
