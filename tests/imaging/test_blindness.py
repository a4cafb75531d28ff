"""Which pictures show nothing.

Cameras, covered lenses and bad light are simulated by training.rendering.blind_pictures.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest

from edge import config
from edge.imaging import blindness
from edge.imaging.blindness import (
    BLACK_PICTURE,
    NO_DETAIL,
    Blindness,
    clips_noise,
    confirmed,
    detail,
    find_blindness,
)
from edge.imaging.cells import cells
from edge.imaging.images import Picture
from support.clip import EMPTY_S, MASKED_S, frame_at
from training.rendering import blind_pictures
from training.rendering.blind_pictures import BLIND, CAMERAS, SCENES, camera, compressed, snow_frames

MIN_DETAIL = config.load().camera.min_detail
SIZES = [(640, 480), (320, 240)]
#: Noise of these cameras is as strong as real detail, if the picture is small.
NOISY = ("Pi camera, night", "network camera, dusk")


def found(picture: Picture, min_detail: float = MIN_DETAIL) -> Blindness | None:
    return find_blindness(cells(picture), min_detail)


def reason(picture: Picture, min_detail: float = MIN_DETAIL) -> str:
    """Return the reason, "" if the picture is not blind."""
    finding = found(picture, min_detail)
    return finding.reason if finding is not None else ""


def flat(*colour: int) -> Picture:
    return np.full((480, 640, 3), colour, np.uint8)


def noisy(picture: Picture, sigma: float) -> Picture:
    noise = np.random.default_rng(6).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def photograph(size: tuple[int, int] = (640, 480), t: float = MASKED_S) -> Picture:
    return cast(Picture, cv2.resize(frame_at(t), size, interpolation=cv2.INTER_AREA))


def textured_wall(levels: int) -> Picture:
    """A wall with coarse plaster, `levels` of contrast, in the light of a window on one side."""
    spots = np.random.default_rng(3).integers(-levels, levels + 1, (96, 128)).astype(np.float32)
    plaster = 150 + cv2.resize(spots, (640, 480), interpolation=cv2.INTER_LINEAR)
    lit = plaster * np.linspace(1.2, 0.6, 640, dtype=np.float32)
    return np.repeat(lit[:, :, None], 3, axis=2).clip(0, 255).astype(np.uint8)


class TestBlackAndWhite:
    @pytest.mark.parametrize(
        ("picture", "expected"),
        [
            (flat(0, 0, 0), "black"),
            (noisy(flat(6, 6, 6), 6), "black"),
            (flat(255, 255, 255), "white"),
            (noisy(flat(253, 253, 253), 3), "white"),
        ],
    )
    def test_black_and_white(self, picture: Picture, expected: str) -> None:
        assert reason(picture) == expected
        assert reason(picture, 0) == expected, "whatever min_detail is"
        assert clips_noise(cells(picture).brightness)

    def test_covered_lens_with_a_speck_of_light(self) -> None:
        covered = flat(0, 0, 0)
        covered[100:112, 100:112] = 255  # a status lamp shining in
        assert reason(covered) == "black"

    def test_grey_keeps_its_noise(self) -> None:
        assert not clips_noise(cells(noisy(flat(128, 128, 128), 3)).brightness)

    @pytest.mark.parametrize("wall", [(255, 255, 255), (128, 128, 128), (60, 90, 170)])
    def test_visitor_in_front_of_a_perfectly_plain_wall(self, wall: tuple[int, int, int]) -> None:
        """It may look like a screen with a text: the face decides."""
        picture = flat(*wall)
        cv2.ellipse(picture, (320, 200), (40, 55), 0, 0, 360, (120, 90, 80), -1)
        cv2.ellipse(picture, (320, 480), (130, 230), 0, 0, 360, (30, 30, 30), -1)
        blindness = found(picture)
        assert blindness is None or not blindness.is_certain


class TestOneColour:
    @pytest.mark.parametrize(
        ("colour", "name"),
        [
            ((128, 128, 128), "grey"),
            ((0, 135, 0), "green"),
            ((0, 0, 255), "blue"),
            ((0, 0, 170), "blue"),
            ((255, 0, 255), "pink"),
            ((200, 20, 20), "red"),
            ((16, 16, 130), "blue"),
        ],
    )
    @pytest.mark.parametrize("quality", [0, 30])
    def test_picture_of_a_decoder_without_data(self, colour: tuple[int, int, int], name: str, quality: int) -> None:
        picture = compressed(flat(*colour), quality)
        assert reason(picture, 0) == f"one colour ({name})"
        assert found(picture) == found(picture, 0)

    @pytest.mark.parametrize("colour", [(0, 0, 255), (0, 0, 130), (30, 50, 170), (60, 60, 60), (0, 0, 0)])
    @pytest.mark.parametrize("scale", [1.0, 2.5])
    def test_no_signal_screen_with_a_text(self, colour: tuple[int, int, int], scale: float) -> None:
        picture = flat(*colour)
        cv2.putText(picture, "NO SIGNAL", (60, 260), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), round(3 * scale))
        blindness = found(picture)
        assert blindness is not None
        assert blindness.reason.startswith("one colour (")
        if scale > 2:
            assert not blindness.is_certain, "it could be a portrait in front of a plain wall"

    @pytest.mark.parametrize("sigma", [1, 4, 12, 25])
    @pytest.mark.parametrize("colour", [(128, 128, 128), (0, 135, 0), (190, 120, 100)])
    def test_one_colour_with_noise(self, colour: tuple[int, int, int], sigma: float) -> None:
        assert reason(noisy(flat(*colour), sigma))


class TestMissingPart:
    @pytest.mark.parametrize("fill", [(128, 128, 128), (0, 135, 0), (0, 0, 0), (255, 255, 255), "repeat"])
    @pytest.mark.parametrize("share", [0.35, 0.5, 0.7])
    @pytest.mark.parametrize("quality", [0, 60])
    def test_lower_part(self, fill: tuple[int, int, int] | str, share: float, quality: int) -> None:
        picture = photograph()
        first = round(480 * (1 - share))
        picture[first:] = picture[first - 1] if fill == "repeat" else fill
        picture = compressed(picture, quality)
        assert reason(picture) == "incomplete"
        for turned in (picture[::-1], picture.transpose(1, 0, 2), picture.transpose(1, 0, 2)[:, ::-1]):
            assert reason(np.ascontiguousarray(turned)) == reason(picture), "the camera may be mounted in any way"

    @pytest.mark.parametrize("bar", [60, 150, 190])
    @pytest.mark.parametrize("axis", [0, 1])
    def test_bars_on_both_sides_are_no_fault(self, bar: int, axis: int) -> None:
        """A wide film, or a phone held upright."""
        picture = photograph()
        lines = picture if axis == 0 else picture.transpose(1, 0, 2)
        lines[:bar] = lines[-bar:] = 0
        assert reason(picture) == ""

    def test_dark_floor_is_no_fault(self) -> None:
        """Shadows that are clipped to black have no straight border."""
        light = np.linspace(2.0, -1.5, 480)[:, None, None] + np.linspace(-0.5, 0.5, 640)[None, :, None]
        picture = (photograph() * np.clip(light, 0, 1)).astype(np.uint8)
        assert not picture[360:].any()
        assert reason(picture) == ""


class TestCoveredLens:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", BLIND)
    def test_most_covered_lenses_are_blind(self, kind: str, size: tuple[int, int]) -> None:
        """The error rates are in scripts/training/README.md; this small sample may have few misses."""
        rng = np.random.default_rng(4)
        source = photograph(size)
        results = []
        for name, model in CAMERAS.items():
            if name not in NOISY or size[0] > 320:
                results += [bool(reason(camera(BLIND[kind](source, rng), model, rng))) for _ in range(2)]
        assert results.count(False) <= {"fog on the lens": 3, "lamp": 4}.get(kind, 1), results

    def test_date_in_the_picture_is_no_detail(self) -> None:
        covered = noisy(flat(150, 90, 70), 4)
        dated = blind_pictures.with_date(covered, np.random.default_rng(2))
        assert np.count_nonzero(dated != covered) > 500
        assert reason(dated) == "without any detail"

    def test_zero_allows_pictures_without_detail(self) -> None:
        assert reason(noisy(flat(150, 90, 70), 4), 0) == ""

    @pytest.mark.parametrize("measure", ["coarse_detail", "fine_detail"])
    def test_zero_measures_no_detail(self, measure: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blindness, measure, lambda _: pytest.fail("measured"))
        assert reason(photograph(), 0) == ""


class TestNothingButSignals:
    """Pictures with strong contrast that a capture device or a decoder makes without a scene. Noise is in test_noise.py."""

    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("place", [0.1, 0.5, 0.7])
    def test_one_line_repeated_exactly(self, axis: int, place: float) -> None:
        source = photograph()
        line = np.take(source, [round(place * source.shape[axis])], axis=axis)
        picture = np.ascontiguousarray(np.broadcast_to(line, source.shape))
        assert reason(picture, 0) == "one line repeated"
        assert found(picture, 0) == found(picture)

    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("quality", [0, 30])
    def test_one_line_repeated_with_noise(self, axis: int, quality: int) -> None:
        source = photograph()
        line = np.take(source, [240], axis=axis)
        picture = compressed(noisy(np.ascontiguousarray(np.broadcast_to(line, source.shape)), 6), quality)
        assert reason(picture) == "only stripes"
        assert reason(picture, 0) == ""

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("quality", [0, 30])
    @pytest.mark.parametrize("sigma", [0, 6])
    def test_colour_bars(self, sigma: float, quality: int, size: tuple[int, int]) -> None:
        for seed in range(4):
            bars = blind_pictures.colour_bars(photograph(size), np.random.default_rng(seed)).astype(np.uint8)
            assert reason(compressed(noisy(bars, sigma), quality)) in ("one line repeated", "only stripes")

    @pytest.mark.parametrize("background", ["snow", "colour bars"])
    def test_scene_in_part_of_the_picture_is_visible(self, background: str) -> None:
        """A screen with snow or bars hangs in the scene."""
        picture = photograph()
        rng = np.random.default_rng(3)
        light = next(snow_frames(picture, rng)) if background == "snow" else blind_pictures.colour_bars(picture, rng)
        screen = light.astype(np.uint8)
        picture[60:240, 80:320] = screen[60:240, 80:320]
        assert reason(picture) == ""

    def test_visitor_in_front_of_a_striped_wall(self) -> None:
        stripes = np.repeat(np.tile([90, 160], 8), 40).astype(np.uint8)
        picture = np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (480, 640, 3)))
        cv2.ellipse(picture, (320, 200), (60, 80), 0, 0, 360, (120, 90, 80), -1)
        cv2.ellipse(picture, (320, 480), (160, 230), 0, 0, 360, (30, 30, 30), -1)
        assert reason(noisy(picture, 3)) == ""


class TestLamp:
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("sigma", [0.1, 0.15])
    @pytest.mark.parametrize("bright", [80, 160, 230])
    def test_blurred_spot_on_black(self, bright: float, sigma: float, size: tuple[int, int]) -> None:
        width, height = size
        y, x = np.mgrid[:height, :width].astype(np.float32)
        for centre in (0.3, 0.6):
            distance = (x - centre * width) ** 2 + (y - centre * height) ** 2
            spot = 12 + bright * np.exp(-distance / (2 * (sigma * height) ** 2))
            picture = np.repeat(spot[:, :, None], 3, axis=2).astype(np.uint8)
            assert reason(noisy(picture, 2))

    def test_lit_person_at_night(self) -> None:
        """What a lamp lights in front of a black street has edges."""
        picture = flat(10, 10, 10)
        person = photograph()[60:420, 220:420]
        picture[60:420, 220:420] = person
        assert reason(noisy(picture, 3)) == ""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cover", [blind_pictures.hand, blind_pictures.tape])
def test_two_lines_of_text_are_no_detail(cover: blind_pictures.Change, size: tuple[int, int]) -> None:
    """The date at the top, the name at the bottom, on any side."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        covered = camera(cover(photograph(size), rng), CAMERAS["webcam, day"], rng)
        assert reason(covered)
        assert reason(blind_pictures.with_two_texts(covered, rng)), seed


class TestRealScenes:
    @pytest.mark.parametrize("t", [EMPTY_S, MASKED_S])
    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("kind", SCENES)
    def test_bad_light_is_not_blind(self, kind: str, size: tuple[int, int], t: float) -> None:
        rng = np.random.default_rng(5)
        source = photograph(size, t)
        for model in CAMERAS.values():
            assert reason(camera(SCENES[kind](source, rng), model, rng)) == ""

    @pytest.mark.parametrize("levels", [30, 60])
    @pytest.mark.parametrize("gain", [0.6, 1.0])
    def test_wall_with_texture_is_not_blind(self, levels: int, gain: float) -> None:
        wall = (textured_wall(levels) * gain).astype(np.uint8)
        assert reason(noisy(wall, 3)) == ""

    def test_fine_texture_is_detail(self) -> None:
        """Stripes of a cell have no coarse detail, but neighbouring pixels agree."""
        stripes = np.repeat(np.tile([90, 160], 64), 5)[:640].astype(np.float32)
        picture = np.repeat((stripes * np.linspace(0.6, 1.2, 480)[:, None])[:, :, None], 3, axis=2).astype(np.uint8)
        picture[200:280] = picture[200:280, ::-1]
        grid = cells(noisy(picture, 3))
        assert blindness.coarse_detail(grid.brightness) < MIN_DETAIL < detail(grid)


@pytest.mark.parametrize(
    ("finding", "has_face", "expected"),
    [
        (None, False, None),
        (None, True, None),
        (NO_DETAIL, False, NO_DETAIL),
        (NO_DETAIL, True, None),
        (BLACK_PICTURE, True, BLACK_PICTURE),
    ],
)
def test_a_face_refutes_a_finding_that_is_not_certain(
    finding: Blindness | None, has_face: bool, expected: Blindness | None
) -> None:
    assert confirmed(finding, has_face) is expected


@pytest.mark.parametrize("size", [(48, 64), (1, 1), (4096, 10), (10, 4096), (192, 256), (1080, 1920)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    assert reason(np.full((*size, 3), 90, np.uint8)) == "one colour (grey)"
