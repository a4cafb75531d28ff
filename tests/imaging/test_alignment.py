"""A face is turned, scaled and cropped to the template of the embedder."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.imaging.alignment import TEMPLATE, TEMPLATE_SIZE, align
from edge.imaging.images import Picture

SIZE = TEMPLATE_SIZE
POINTS = np.array(TEMPLATE) + 0.5


def face(size: int = TEMPLATE_SIZE) -> Picture:
    """Return a picture (size, size, 3) without sharp edges, in which no side is like another."""
    y, x = np.mgrid[0:size, 0:size] / size
    planes = [np.sin(5 * x + 2 * y), np.cos(3 * y - x), np.sin(4 * x * y + y)]
    return np.asarray(127 + 120 * np.stack(planes, 2), np.uint8)


def placed(
    degrees: float, scale: float, shift: tuple[float, float], shape: tuple[int, int] = (800, 900)
) -> tuple[Picture, npt.NDArray[np.float64]]:
    """Return a picture with the face turned, scaled and shifted, and where its landmarks are."""
    a = scale * complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))
    matrix = np.array([[a.real, -a.imag, shift[0]], [a.imag, a.real, shift[1]]])
    half = np.array([0.5, 0.5])
    # OpenCV's coordinates are those of pixel centres.
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ half - half
    size = (shape[1], shape[0])
    picture = cv2.warpAffine(face(), centred, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8), POINTS @ matrix[:, :2].T + matrix[:, 2]


def difference(a: Picture, b: Picture) -> float:
    inner = slice(SIZE // 8, -SIZE // 8)
    return float(np.abs(a[inner, inner].astype(int) - b[inner, inner].astype(int)).mean())


@pytest.mark.parametrize("degrees", [0, -30, 45, 120, 180])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_face_is_seen_upright_and_as_large_as_the_template(degrees: float, scale: float) -> None:
    picture, points = placed(degrees, scale, (450.0, 330.0))
    assert difference(align(picture, points, SIZE), face()) < 2


@pytest.mark.parametrize("size", [48, 64, 96])
def test_the_template_is_scaled_to_the_size_of_the_input(size: int) -> None:
    crop = align(face(), POINTS, size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    enlarged = np.asarray(cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)
    assert difference(enlarged, face()) < 2


def test_a_face_in_place_is_not_resampled() -> None:
    assert np.array_equal(align(face(), POINTS, SIZE), face())


def test_a_large_face_is_shrunk_without_aliasing() -> None:
    """Stripes of one pixel in a face ten times as large are grey in the crop."""
    picture = np.zeros((10 * SIZE, 10 * SIZE, 3), np.uint8)
    picture[:, ::2] = 255
    crop = align(picture, POINTS * 10, SIZE)
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_landmarks_are_moved_to_the_template_in_a_shrunk_picture_of_odd_size() -> None:
    """A dot at each landmark of a large face is at the template's place in the crop."""
    factor = 7.3
    for k, point in enumerate(POINTS):
        picture = np.zeros((1203, 1203, 3), np.uint8)
        cv2.circle(picture, tuple(round(v) for v in point * factor), 12, (255, 255, 255), -1)
        crop = align(picture, POINTS * factor, SIZE)[:, :, 0].astype(float)
        y, x = (np.array(np.mgrid[0:SIZE, 0:SIZE]) * crop).sum((1, 2)) / crop.sum()
        assert (x, y) == pytest.approx(TEMPLATE[k], abs=0.2)


def test_a_face_at_the_edge_repeats_the_pixels_of_the_edge() -> None:
    picture = np.full((60, 60, 3), 90, np.uint8)
    crop = align(picture, POINTS - 80, SIZE)
    assert np.array_equal(crop, np.full((SIZE, SIZE, 3), 90, np.uint8))


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 30.0),
        POINTS[::-1],
        POINTS * [-1, 1],
        np.full((5, 2), -9000.0),
        POINTS * 1e6,
        [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.5, 0.5)],
    ],
)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (64, 64)])
def test_points_that_are_no_face_give_a_crop(points: object, shape: tuple[int, int]) -> None:
    crop = align(np.full((*shape, 3), 7, np.uint8), np.asarray(points), SIZE)
    assert np.array_equal(crop, np.full((SIZE, SIZE, 3), 7, np.uint8))


def test_points_may_be_the_landmarks_of_a_look() -> None:
    landmarks = tuple((float(x), float(y)) for x, y in POINTS)
    assert np.array_equal(align(face(), landmarks, SIZE), align(face(), POINTS, SIZE))
