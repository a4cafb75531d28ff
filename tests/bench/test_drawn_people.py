"""Drawn people: the models find them, and they fit into every picture."""

from __future__ import annotations

import msgspec
import pytest

from edge import config
from edge.bench.drawn_people import STAY_S, DrawnPeople
from edge.inference import manifest
from edge.inference.perception import Perception

CONFIG = config.load()


@pytest.mark.parametrize("faces", [0, 1, 3, 10])
def test_drawn_people_are_found_and_have_no_mask(faces: int) -> None:
    perception = Perception(CONFIG, manifest.load())
    with DrawnPeople(faces, CONFIG.camera) as source:
        for k in range(round((STAY_S + 0.2) * CONFIG.camera.fps)):
            frame = source.read()
            assert frame is not None
            assert frame.picture.shape == (CONFIG.camera.height, CONFIG.camera.width, 3)
            if k % 15 == 0:
                found = perception.detect(frame)
                assert len(found) == (faces if frame.t < STAY_S else 0), f"at {frame.t} s"
                assert all(perception.classify(frame.picture, each).mask_probability < 0.1 for each in found)


@pytest.mark.parametrize("size", [(640, 480), (64, 64), (480, 1280)])
@pytest.mark.parametrize("faces", [1, 2, 7, 20])
def test_up_to_20_people_fit_into_any_picture(size: tuple[int, int], faces: int) -> None:
    settings = msgspec.structs.replace(CONFIG.camera, width=size[0], height=size[1])
    with DrawnPeople(faces, settings) as source:
        frame = source.read()
    assert frame is not None
    assert frame.picture.shape == (size[1], size[0], 3)
