"""Pixel operations: where pixels go, and that crops accept any box with bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging import images
from edge.imaging.images import Picture

side_px = st.integers(1, 60)
#: Face boxes are float32: any finite value.
coordinate = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-100, 200, width=32)


def gradient(height: int, width: int) -> Picture:
    """Return (height, width, 3): red increases to the right, green downwards, blue is 200."""
    picture = np.full((height, width, 3), 200, np.uint8)
    picture[..., 0] = np.linspace(0, 255, width).round().astype(np.uint8)
    picture[..., 1] = np.linspace(0, 255, height).round().astype(np.uint8)[:, np.newaxis]
    return picture


class TestResize:
    def test_picture_of_the_same_size_is_returned_itself(self) -> None:
        picture = gradient(6, 8)
        assert images.resize(picture, 8, 6) is picture

    def test_shrinking_averages_pixels(self) -> None:
        """A checkerboard becomes grey instead of one of its colours."""
        picture = np.zeros((8, 8, 3), np.uint8)
        picture[::2, ::2] = picture[1::2, 1::2] = 200
        assert np.unique(images.resize(picture, 4, 4)).tolist() == [100]

    @given(side_px, side_px, side_px, side_px)
    def test_any_size_to_any_size(self, height: int, width: int, to_height: int, to_width: int) -> None:
        found = images.resize(np.full((height, width, 3), 77, np.uint8), to_width, to_height)
        assert (found.shape, found.dtype) == ((to_height, to_width, 3), np.dtype(np.uint8))
        assert (found == 77).all()


class TestLetterbox:
    @pytest.mark.parametrize(
        ("shape", "scale", "left", "top"),
        [
            ((192, 256), 1.0, 0, 0),
            ((384, 512), 0.5, 0, 0),
            ((384, 256), 0.5, 64, 0),  # portrait: bars left and right
            ((96, 256), 1.0, 0, 48),  # wide: bars above and below
            ((48, 64), 4.0, 0, 0),
        ],
    )
    def test_position_of_the_picture(self, shape: tuple[int, int], scale: float, left: int, top: int) -> None:
        found, fit = images.letterbox(np.full((*shape, 3), 9, np.uint8), 256, 192)
        assert found.shape == (192, 256, 3)
        assert fit == (scale, left, top)
        inner = np.full((192, 256), images.PADDING)
        inner[top : 192 - top, left : 256 - left] = 9
        np.testing.assert_array_equal(found, np.repeat(inner[..., np.newaxis], 3, axis=2))

    def test_used_output_array_is_overwritten(self) -> None:
        """No pixel of the previous frame remains."""
        output = np.full((192, 256, 3), 255, np.uint8)
        picture = gradient(100, 60)
        found, fit = images.letterbox(picture, 256, 192, output)
        assert found is output
        fresh, fresh_fit = images.letterbox(picture, 256, 192)
        np.testing.assert_array_equal(found, fresh)
        assert fit == fresh_fit

    @pytest.mark.parametrize("shape", [(192, 256), (100, 60)])
    def test_input_is_not_modified(self, shape: tuple[int, int]) -> None:
        picture = gradient(*shape)
        before = picture.copy()
        found, _ = images.letterbox(picture, 256, 192)
        found[:] = 0
        np.testing.assert_array_equal(picture, before)

    @given(st.integers(1, 400), st.integers(1, 400))
    def test_any_shape_fits(self, height: int, width: int) -> None:
        """The picture is centred, fills one direction, and the rest is padding, even if it is a thin line."""
        found, fit = images.letterbox(np.full((height, width, 3), 9, np.uint8), 64, 48)
        rows, columns = np.nonzero((found == 9).all(axis=2))
        assert (columns.min(), rows.min()) == (fit.left, fit.top)
        inner_height, inner_width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == inner_height * inner_width
        assert inner_width == 64 or inner_height == 48
        assert abs(64 - inner_width - 2 * fit.left) <= 1
        assert abs(48 - inner_height - 2 * fit.top) <= 1
        assert (found == 9).sum() + (found == images.PADDING).sum() == found.size

    @given(
        st.integers(40, 2000),
        st.integers(40, 2000),
        st.lists(st.tuples(*[st.floats(-500, 2500, width=32)] * 4), max_size=4),
    )
    def test_boxes_survive_the_round_trip(self, height: int, width: int, rows: list[tuple[float, ...]]) -> None:
        scale = min(256 / width, 192 / height)
        fit = images.Letterbox(
            scale, (256 - max(1, round(width * scale))) // 2, (192 - max(1, round(height * scale))) // 2
        )
        found = np.array(rows, np.float32).reshape(-1, 4)
        back = fit.to_picture(fit.to_input(found))
        assert (back.shape, back.dtype) == (found.shape, np.dtype(np.float32))
        np.testing.assert_allclose(back, found, atol=0.1)

    @given(st.integers(200, 700), st.integers(200, 700), st.data())
    def test_box_marks_the_same_patch_in_picture_and_input(self, height: int, width: int, data: st.DataObject) -> None:
        """A bright patch of the picture appears in the input at its converted box, within 1.5 pixels."""
        x1, y1 = data.draw(st.integers(0, width - 60)), data.draw(st.integers(0, height - 60))
        x2, y2 = x1 + data.draw(st.integers(40, width - x1)), y1 + data.draw(st.integers(40, height - y1))
        picture = np.zeros((height, width, 3), np.uint8)
        picture[y1:y2, x1:x2] = 255
        found, fit = images.letterbox(picture, 256, 192)
        # Brighter than the padding (127): the patch covers more than half of the input pixel.
        rows, columns = np.nonzero(found[..., 0] > 128)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(fit.to_input(np.array([[x1, y1, x2, y2]], np.float32))[0], seen, atol=1.5)


class TestCropSquare:
    def test_box_inside_the_picture(self) -> None:
        picture = gradient(100, 120)
        np.testing.assert_array_equal(images.crop_square(picture, (30, 40, 50, 60), 20, 1.0), picture[40:60, 30:50])

    def test_longer_side_sets_the_size(self) -> None:
        picture = gradient(100, 120)
        np.testing.assert_array_equal(images.crop_square(picture, (35, 40, 45, 60), 20, 1.0), picture[40:60, 30:50])

    def test_margin_enlarges_the_square(self) -> None:
        picture = gradient(100, 120)
        np.testing.assert_array_equal(images.crop_square(picture, (30, 40, 50, 60), 40, 2.0), picture[30:70, 20:60])

    def test_edge_pixels_are_repeated(self) -> None:
        picture = gradient(100, 120)
        found = images.crop_square(picture, (-10, -10, 10, 10), 20, 1.0)
        np.testing.assert_array_equal(found[10:, 10:], picture[:10, :10])
        np.testing.assert_array_equal(found[:10, :10], np.broadcast_to(picture[0, 0], (10, 10, 3)))
        np.testing.assert_array_equal(found[:10, 10:], np.broadcast_to(picture[0, :10], (10, 10, 3)))

    @pytest.mark.parametrize(
        ("box", "corner"),
        [
            ((-900, -900, -880, -880), (0, 0)),
            ((900, -900, 920, -880), (0, -1)),
            ((-900, 900, -880, 920), (-1, 0)),
            ((900, 900, 920, 920), (-1, -1)),
        ],
    )
    def test_box_far_outside_gives_the_nearest_corner(
        self, box: tuple[float, float, float, float], corner: tuple[int, int]
    ) -> None:
        picture = gradient(100, 120)
        assert (images.crop_square(picture, box, 8, 1.0) == picture[corner]).all()

    def test_enormous_box_keeps_the_picture_in_the_middle(self) -> None:
        """Shrinking before padding gives the same result as the direct way."""
        picture = np.zeros((100, 100, 3), np.uint8)
        picture[:, 40:60] = 250
        small = images.crop_square(picture, (-950, -950, 1050, 1050), 100, 1.0)
        # The picture covers 100 of 2000 pixels, so 5 of the crop's 100; its edges are repeated above and below.
        assert small[:, 49:51].mean() > 100
        assert (small[:, :47] == 0).all()
        assert (small[:, 53:] == 0).all()

    @given(
        height=side_px,
        width=side_px,
        box=st.tuples(coordinate, coordinate, coordinate, coordinate),
        size=st.sampled_from([1, 48, 96]),
        margin=st.sampled_from([0.5, 1.0, 1.3]),
    )
    def test_any_box_gives_a_crop(
        self, height: int, width: int, box: tuple[float, float, float, float], size: int, margin: float
    ) -> None:
        found = images.crop_square(np.full((height, width, 3), 77, np.uint8), box, size, margin)
        assert (found.shape, found.dtype) == ((size, size, 3), np.dtype(np.uint8))
        assert (found == 77).all()

    @pytest.mark.parametrize("reach", [1e3, 1e6, 1e12, 3e38])
    def test_enormous_box_needs_little_memory(self, reach: float) -> None:
        picture = gradient(480, 640)
        tracemalloc.start()
        try:
            images.crop_square(picture, (-reach, -reach, reach, reach), 48, 1.3)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2_000_000


def test_grey_is_luma() -> None:
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 10, 10]]], np.uint8)
    found = images.grey(picture)
    assert (found.shape, found.dtype) == ((1, 4, 1), np.dtype(np.uint8))
    assert found[0, :, 0].tolist() == [76, 150, 29, 10]


class TestOrient:
    @pytest.mark.parametrize(
        ("rotate", "mirror", "shape", "corner"),
        [
            (0, False, (4, 6), (0, 0)),
            (90, False, (6, 4), (0, 3)),
            (180, False, (4, 6), (3, 5)),
            (270, False, (6, 4), (5, 0)),
            (0, True, (4, 6), (0, 5)),
            (90, True, (6, 4), (0, 0)),
        ],
    )
    def test_rotates_clockwise_then_mirrors(
        self, rotate: int, mirror: bool, shape: tuple[int, int], corner: tuple[int, int]
    ) -> None:
        picture = np.zeros((4, 6, 3), np.uint8)
        picture[0, 0] = 255
        found = images.orient(picture, rotate, mirror)
        assert found.shape == (*shape, 3)
        assert found.flags.c_contiguous
        assert [tuple(where) for where in np.argwhere(found[:, :, 0])] == [corner]


class TestYuv420:
    @pytest.mark.parametrize(
        ("yuv", "rgb"),
        [
            ((16, 128, 128), (0, 0, 0)),
            ((235, 128, 128), (255, 255, 255)),
            ((82, 90, 240), (255, 0, 0)),
            ((145, 54, 34), (0, 255, 0)),
            ((41, 240, 110), (0, 0, 255)),
        ],
    )
    def test_colours_of_bt_601(self, yuv: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
        planes = np.concatenate([np.full(n, value, np.uint8) for n, value in zip((48, 12, 12), yuv, strict=True)])
        found = images.yuv420_to_rgb(planes.reshape(9, 8), 8)
        assert (found.shape, found.dtype) == ((6, 8, 3), np.dtype(np.uint8))
        assert np.abs(found.astype(int) - rgb).max() <= 2

    @pytest.mark.parametrize(("width", "height", "stride"), [(10, 6, 64), (64, 6, 64), (100, 74, 128), (6, 4, 6)])
    def test_padding_is_removed_from_every_plane(self, width: int, height: int, stride: int) -> None:
        """The left half is red, the right half blue, and the padding green."""
        half = width // 2
        luma, u, v = (np.empty((height // k, stride // k), np.uint8) for k in (1, 2, 2))
        for plane, (left, right, beyond) in ((luma, (82, 41, 145)), (u, (90, 240, 54)), (v, (240, 110, 34))):
            step = 1 if plane is luma else 2
            plane[:], plane[:, : width // step], plane[:, : half // step] = beyond, right, left
        planes = np.concatenate([plane.ravel() for plane in (luma, u, v)]).reshape(height * 3 // 2, stride)
        found = images.yuv420_to_rgb(planes, width)
        assert found.shape == (height, width, 3)
        assert found.flags.c_contiguous
        edge = half // 2 * 2  # two adjacent pixels share U and V
        assert np.abs(found[:, :edge].astype(int) - (255, 0, 0)).max() <= 2
        assert np.abs(found[:, edge + 2 * (half % 2) :].astype(int) - (0, 0, 255)).max() <= 2
