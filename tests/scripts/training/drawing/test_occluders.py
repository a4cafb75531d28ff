"""Every kind of occluder."""

from __future__ import annotations

import numpy as np

from support.faces import BOX, drawn_face
from training.drawing.canvas import FaceCanvas
from training.drawing.occluders import OCCLUDERS


def test_every_kind_of_occluder_paints_something() -> None:
    picture = drawn_face()
    for paint, _ in OCCLUDERS:
        canvas = FaceCanvas(picture, BOX)
        touched = canvas.new_layer()
        paint(canvas, np.random.default_rng(3), touched)
        name = getattr(paint, "__name__", "")
        assert (touched > 0).mean() > 0.01, name
        assert not np.array_equal(canvas.picture_with(touched), picture), name
