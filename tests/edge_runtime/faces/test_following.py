"""Following: boxes move with what is under them, and say so when it is gone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces.following import LocalSearch, follow_by_flow
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.pixels import as_bgr
from edge_runtime.frames.simulation.controls import Controls
from edge_runtime.frames.simulation.face import render_face

HEIGHT, WIDTH = 540, 960


@pytest.fixture(scope="module")
def faces():
    """Two drawn faces on a grey wall, and their boxes."""
    image = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
    boxes = []
    for size, x, y in ((240, 100, 150), (160, 600, 200)):
        face = render_face(Controls(), size_px=size)
        image[y : y + size, x : x + size] = face.image_bgr
        boxes.append(face.truth.box_xyxy + np.array([x, y, x, y]))
    return image, np.array(boxes, np.float32)


def view(image):
    return FrameView(Frame(as_bgr(image), 0.0))


def warped(image, matrix):
    return cv2.warpAffine(image, np.array(matrix, np.float64), (WIDTH, HEIGHT), borderValue=(170, 170, 170))


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (0.5, 0.25), (12, 7), (-25, 10)])
def test_a_shifted_image_shifts_the_boxes_by_as_much(faces, shift):
    image, boxes = faces
    moved, kept = follow_by_flow(
        view(image), view(warped(image, [[1, 0, shift[0]], [0, 1, shift[1]]])), boxes
    )
    assert kept.all()
    np.testing.assert_allclose(moved, boxes + np.array([*shift, *shift]), atol=0.6)


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_scaled_image_moves_the_boxes_middle_and_leaves_their_size_to_the_next_scan(faces, factor):
    image, boxes = faces
    moved, kept = follow_by_flow(view(image), view(warped(image, [[factor, 0, 0], [0, factor, 0]])), boxes)
    assert kept.all()
    np.testing.assert_allclose(moved[:, :2] + moved[:, 2:], factor * (boxes[:, :2] + boxes[:, 2:]), atol=3)
    np.testing.assert_allclose(moved[:, 2:] - moved[:, :2], boxes[:, 2:] - boxes[:, :2], atol=1e-3)


def test_flow_works_on_a_wide_frame_shrunk_but_answers_in_its_pixels(faces):
    image, boxes = faces
    large = cv2.resize(image, (2 * WIDTH, 2 * HEIGHT))
    moved, kept = follow_by_flow(view(large), view(np.roll(large, 8, axis=1)), 2 * boxes)
    assert kept.all()
    np.testing.assert_allclose(moved, 2 * boxes + np.array([8, 0, 8, 0]), atol=1.2)


def test_one_face_moves_and_the_other_does_not(faces):
    image, boxes = faces
    after = image.copy()
    after[:, 550:] = np.roll(image[:, 550:], 6, axis=0)
    moved, kept = follow_by_flow(view(image), view(after), boxes)
    assert kept.all()
    np.testing.assert_allclose(moved, boxes + np.array([[0, 0, 0, 0], [0, 6, 0, 6]]), atol=0.6)


@pytest.mark.parametrize("scene", ["noise", "another face"])
def test_after_a_cut_the_faces_are_lost_and_the_boxes_stay(faces, scene):
    image, boxes = faces
    if scene == "noise":
        after = np.random.default_rng(3).integers(0, 256, image.shape, np.uint8)
    else:
        after = np.ascontiguousarray(255 - image[::-1, ::-1])
    moved, kept = follow_by_flow(view(image), view(after), boxes)
    assert not kept.any()
    np.testing.assert_array_equal(moved, boxes)


def test_a_hand_before_one_face_loses_that_one_only(faces):
    image, boxes = faces
    after = image.copy()
    x0, y0, x1, y1 = boxes[0].astype(int)
    after[y0:y1, x0:x1] = np.random.default_rng(1).integers(0, 256, (y1 - y0, x1 - x0, 1), np.uint8)
    _, kept = follow_by_flow(view(image), view(after), boxes)
    assert kept.tolist() == [False, True]


def test_nobody_is_followed_at_no_cost(faces):
    moved, kept = follow_by_flow(view(faces[0]), view(faces[0]), np.empty((0, 4), np.float32))
    assert moved.shape == (0, 4)
    assert kept.shape == (0,)


def test_a_box_outside_of_the_frame_is_lost(faces):
    box = np.array([[-300, -300, -200, -200]], np.float32)
    assert not follow_by_flow(view(faces[0]), view(faces[0]), box)[1].any()


@pytest.fixture(scope="module")
def search():
    return LocalSearch()


@pytest.mark.parametrize("offset", [(0, 0), (0.15, 0), (-0.1, 0.12)])
@pytest.mark.parametrize("scale", [0.85, 1.0, 1.2])
def test_a_face_near_the_known_place_is_found(faces, search, offset, scale):
    image, boxes = faces
    side = (boxes[:, 2:] - boxes[:, :2])[:, :1]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + np.array(offset) * side
    near = np.hstack([middle - scale * side / 2, middle + scale * side / 2]).astype(np.float32)
    found, ok = search.find(view(image).grey, near)
    assert ok.all()
    distance = np.abs(found[:, :2] + found[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    assert (distance < 0.12 * side).all()
    np.testing.assert_allclose((found[:, 2] - found[:, 0]) / side[:, 0], 1, atol=0.25)


@pytest.mark.parametrize(
    "box",
    [(400, 20, 480, 100), (-100, -100, -20, -20), (940, 520, 1100, 680), (5, 5, 8, 8), (9, 9, 9, 9)],
    ids=["a wall", "outside", "mostly outside", "three pixels", "without extent"],
)
def test_where_there_is_no_face_the_box_is_returned_as_it_was(faces, search, box):
    boxes = np.array([box], np.float32)
    found, ok = search.find(view(faces[0]).grey, boxes)
    assert not ok.any()
    np.testing.assert_array_equal(found, boxes)
