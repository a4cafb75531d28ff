"""People cut out of a picture and set into a scene."""

from __future__ import annotations

import cv2
import numpy as np

from support.faces import BOX, drawn_face
from training.rendering import HEIGHT, WIDTH
from training.rendering.corridor import corridor
from training.rendering.people import MAX_FACE_PX, Sprite, cut_out
from training.rendering.walks import Pose, random_walk


def test_a_cut_out_face_is_not_higher_than_the_maximum() -> None:
    big = np.asarray(cv2.resize(drawn_face(), None, fx=4, fy=4), np.uint8)
    x1, y1, x2, y2 = (4 * v for v in BOX)
    person = cut_out(big, (x1, y1, x2, y2), np.random.default_rng(0))
    assert person.face_height <= MAX_FACE_PX
    assert person.picture.shape[:2] == person.matte.shape


def test_a_person_is_where_the_pose_says_and_the_scene_is_not_changed() -> None:
    scene = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    sprite = Sprite(cut_out(drawn_face(), BOX, np.random.default_rng(0)))
    frame = sprite.into(scene, Pose(x=500, y=200, face=100))
    assert frame[200, 500].min() > 50
    assert not frame[:, :300].any()
    assert not scene.any()


def test_a_walk_comes_nearer_and_leaves_the_frame() -> None:
    poses = list(random_walk(np.random.default_rng(3), 4.0).poses(10, np.random.default_rng(4)))
    assert len(poses) == 40
    assert poses[20].face > 2 * poses[0].face
    assert not 0 <= poses[-1].x <= WIDTH


def test_the_same_seed_paints_the_same_corridor() -> None:
    first = corridor(np.random.default_rng(1))
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(first, corridor(np.random.default_rng(1)))
    assert not np.array_equal(first, corridor(np.random.default_rng(2)))
