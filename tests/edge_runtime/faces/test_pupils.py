"""Pupils: found where the drawn face has them, and refused where no face could have them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces.alignment import default_pupils
from edge_runtime.faces.pupils import PupilFinder, _best_pair
from edge_runtime.frames.simulation.appearance import Appearance, Pose
from edge_runtime.frames.simulation.controls import Controls
from edge_runtime.frames.simulation.face import render_face


@pytest.fixture(scope="module")
def finder():
    return PupilFinder()


def drawn(controls=None, *, size_px=240, **keys):
    face = render_face(controls or Controls(), size_px=size_px, **keys)
    return cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY), face.truth


def test_pupils_are_found_within_a_twentieth_of_their_distance(finder):
    errors, found = [], []
    for tone in range(6):
        for yaw, roll in ((0, 0), (-12, 0), (8, 6), (0, -10)):
            image, truth = drawn(pose=Pose(yaw_deg=yaw, roll_deg=roll), appearance=Appearance(skin_tone=tone))
            (pair,), (ok,) = finder.find(image, truth.box_xyxy[None])
            found.append(ok)
            if ok:
                distance = np.linalg.norm(truth.pupils_xy[1] - truth.pupils_xy[0])
                errors.append(np.linalg.norm(pair - truth.pupils_xy, axis=1).max() / distance)
    assert np.mean(found) >= 0.8
    assert np.median(errors) < 0.05
    assert np.max(errors) < 0.15


@pytest.mark.parametrize("size_px", [80, 160, 640])
def test_pupils_are_found_whatever_the_size_of_the_face(finder, size_px):
    image, truth = drawn(size_px=size_px)
    (pair,), (ok,) = finder.find(image, truth.box_xyxy[None])
    assert ok
    assert np.abs(pair - truth.pupils_xy).max() < 0.1 * np.linalg.norm(
        truth.pupils_xy[1] - truth.pupils_xy[0]
    )


def test_the_image_left_pupil_comes_first(finder):
    image, truth = drawn()
    (pair,), _ = finder.find(image, truth.box_xyxy[None])
    assert pair[0, 0] < pair[1, 0]


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((20, 20, 100, 100), id="a wall"),
        pytest.param((-80, -80, -10, -10), id="outside"),
        pytest.param((190, 190, 400, 400), id="beyond the corner"),
        pytest.param((50, 50, 50, 50), id="without extent"),
        pytest.param((50, 50, 53, 53), id="three pixels"),
    ],
)
def test_where_there_are_no_eyes_the_default_pupils_stand_in_and_are_marked(finder, box):
    boxes = np.array([box], np.float32)
    pupils, found = finder.find(np.full((200, 200), 120, np.uint8), boxes)
    assert not found[0]
    np.testing.assert_array_equal(pupils, default_pupils(boxes))


def test_a_face_with_its_eyes_covered_falls_back(finder):
    image, truth = drawn()
    x0, y0, x1, y1 = truth.box_xyxy.astype(int)
    image[y0 + (y1 - y0) // 5 : y0 + (y1 - y0) * 6 // 10, x0:x1] = 90
    pupils, found = finder.find(image, truth.box_xyxy[None])
    assert not found[0]
    np.testing.assert_array_equal(pupils, default_pupils(truth.box_xyxy[None]))


def test_no_boxes_give_no_pupils(finder):
    pupils, found = finder.find(np.zeros((9, 9), np.uint8), np.empty((0, 4), np.float32))
    assert pupils.shape == (0, 2, 2)
    assert found.shape == (0,)


BOX = np.array([0, 0, 100, 100], np.float32)


@pytest.mark.parametrize(
    ("centres", "pair"),
    [
        pytest.param([(31.5, 40.5), (68.5, 40.5)], (0, 1), id="where pupils are"),
        pytest.param([(68.5, 40.5), (31.5, 40.5)], (1, 0), id="the left one second"),
        pytest.param([(30, 44), (67, 36)], (0, 1), id="a tilted head"),
        pytest.param([(31, 40), (69, 41), (32, 28), (70, 27)], (0, 1), id="eyebrows above"),
        pytest.param([(31, 40), (69, 41), (40, 58)], (0, 1), id="a mouth corner below"),
        pytest.param([(31, 40), (69, 75)], None, id="eye and mouth corner: too steep"),
        pytest.param([(31, 40), (48, 40)], None, id="both in one eye: too near"),
        pytest.param([(10, 40), (90, 40)], None, id="ears: too far apart"),
        pytest.param([(32, 20), (68, 20)], None, id="both on the forehead"),
        pytest.param([(32, 62), (68, 62)], None, id="both on the mouth"),
        pytest.param([(5, 40), (42, 40)], None, id="both on one side"),
        pytest.param([(50, 22), (50, 58)], None, id="one above the other"),
        pytest.param([(40, 40)], None, id="a single eye"),
        pytest.param([], None, id="none"),
    ],
)
def test_only_a_pair_that_a_face_could_have_passes_the_check(centres, pair):
    assert _best_pair(np.array(centres, np.float32).reshape(-1, 2), BOX) == pair


def test_the_check_is_relative_to_the_box():
    centres = np.array([[31.5, 40.5], [68.5, 40.5]], np.float32)
    shifted = BOX * 3 + np.array([40, 70, 40, 70], np.float32)
    assert _best_pair(centres * 3 + np.array([40, 70], np.float32), shifted) == (0, 1)
    assert _best_pair(centres, shifted) is None
