"""Landmarks: the way from box to cut and back, what is unknown, and who is given up. The network is another test's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces.alignment import default_pupils, similarity
from edge_runtime.faces.landmark_pupils import LandmarkPupils, pupils_of
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE, LandmarkFinder, closer_pupils, from_crop, to_crop
from edge_runtime.frames.simulation.appearance import Pose
from edge_runtime.frames.simulation.controls import expression
from edge_runtime.frames.simulation.face import render_face
from edge_runtime.markup import LEFT_EYE, MIRROR, MOUTH, RIGHT_EYE

FACE = render_face(expression("neutral"), size_px=200)
GREY = cv2.cvtColor(FACE.image_bgr, cv2.COLOR_BGR2GRAY)
BOX = FACE.truth.box_xyxy[None]


class Knows:
    """In the place of the network: knows where the points are, how wrong that is, and how it is asked."""

    def __init__(self, points_xy, boxes_xyxy, error=0.02):
        points = np.asarray(points_xy, np.float32)
        first, closer = (
            to_crop(points, similarity(pupils, LANDMARK_TEMPLATE), LANDMARK_TEMPLATE)
            for pupils in (default_pupils(boxes_xyxy), closer_pupils(points))
        )
        self.answers = [first, np.concatenate([closer, closer[:, MIRROR] * (-1, 1)])]
        self.error, self.asked = error, []

    def regress(self, crops):
        answer = self.answers[len(self.asked) % 2][: len(crops)]
        self.asked.append(crops.copy())
        log_error = np.full(len(crops), np.log(self.error), np.float32)
        return answer.reshape(len(crops), -1).astype(np.float32), log_error


def test_points_go_into_the_cut_and_come_back_where_they_were():
    rng = np.random.default_rng(1)
    pupils = rng.uniform(0, 300, (5, 2, 2)).astype(np.float32)
    points = rng.uniform(0, 300, (5, 68, 2)).astype(np.float32)
    matrices = similarity(pupils, LANDMARK_TEMPLATE)
    back = from_crop(to_crop(points, matrices, LANDMARK_TEMPLATE), matrices, LANDMARK_TEMPLATE)
    np.testing.assert_allclose(back, points, atol=0.05)


def test_a_point_of_the_image_lies_in_the_cut_where_opencv_warps_it_to():
    dot = np.zeros((200, 200), np.uint8)
    dot[80, 110] = 255
    matrix = similarity(default_pupils(BOX), LANDMARK_TEMPLATE)
    warped = cv2.warpAffine(dot, matrix[0], (64, 64))
    row, column = np.unravel_index(int(warped.argmax()), warped.shape)
    found = to_crop(np.array([[[110.0, 80.0]]], np.float32), matrix, LANDMARK_TEMPLATE)[0, 0]
    np.testing.assert_allclose((found * 64 + 63) / 2, (column, row), atol=0.6)


def test_the_points_are_those_of_the_network_in_pixels_of_the_frame():
    found = LandmarkFinder(Knows(FACE.truth.landmarks_xy[None], BOX)).find(GREY, BOX)
    np.testing.assert_allclose(found.points_xy[0, :68], FACE.truth.landmarks_xy, atol=0.01)
    assert found.confidence[0] == pytest.approx(0.9)


def test_the_irises_of_a_large_face_are_found_where_it_looks():
    gaze = expression("neutral").__class__(gaze_right=0.6)
    face = render_face(gaze, size_px=400)
    grey = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY)
    box = face.truth.box_xyxy[None]
    found = LandmarkFinder(Knows(face.truth.landmarks_xy[None], box)).find(grey, box)
    apart = np.linalg.norm(face.truth.pupils_xy[1] - face.truth.pupils_xy[0])
    assert found.irises_found.tolist() == [True]
    assert np.abs(found.points_xy[0, 68:] - face.truth.pupils_xy).max() < 0.05 * apart
    lids = face.truth.landmarks_xy[36:42].mean(axis=0)
    assert found.points_xy[0, 68, 0] > lids[0] + 0.03 * apart  # not just the middle of the lids


def test_without_irises_the_pupils_are_the_middles_of_the_lids_and_say_so():
    found = LandmarkFinder(Knows(FACE.truth.landmarks_xy[None], BOX)).find(np.full_like(GREY, 120), BOX)
    assert found.irises_found.tolist() == [False]
    np.testing.assert_allclose(found.points_xy[0, 68], FACE.truth.landmarks_xy[36:42].mean(axis=0), atol=0.01)


def test_all_faces_are_one_batch_in_each_pass_and_the_second_has_their_mirror_images():
    boxes = np.concatenate([BOX, BOX + 3, BOX - 3])
    network = Knows(np.repeat(FACE.truth.landmarks_xy[None], 3, axis=0), boxes)
    assert len(LandmarkFinder(network).find(GREY, boxes)) == 3
    first, second = network.asked
    assert (first.shape, second.shape) == ((3, 64, 64), (6, 64, 64))
    np.testing.assert_array_equal(second[3:], second[:3, :, ::-1])
    once = Knows(np.repeat(FACE.truth.landmarks_xy[None], 3, axis=0), boxes)
    LandmarkFinder(once, looks_twice=False).find(GREY, boxes)
    assert len(once.asked) == 1


@pytest.mark.parametrize("answer", [0, 1], ids=["closer", "mirrored"])
def test_the_three_answers_count_alike(answer):
    marks = FACE.truth.landmarks_xy[None]
    network = Knows(marks, BOX)
    network.answers[1][answer, :, 1] += 0.06  # too low, by so much of half a cut
    found = LandmarkFinder(network, finds_irises=False).find(GREY, BOX)
    scale = np.linalg.norm(similarity(closer_pupils(marks), LANDMARK_TEMPLATE)[0, 0, :2])
    off = found.points_xy[0, :68] - marks[0]
    np.testing.assert_allclose(np.linalg.norm(off, axis=1), 0.06 * 32 / scale / 3, rtol=0.01)


@pytest.mark.parametrize("roll_deg", [-60, 0, 25])
@pytest.mark.parametrize("size_px", [120, 400])
def test_in_the_second_cut_every_face_is_upright_and_as_large(roll_deg, size_px):
    marks = render_face(expression("neutral"), Pose(roll_deg=roll_deg), size_px=size_px).truth.landmarks_xy[
        None
    ]
    matrices = similarity(closer_pupils(marks), LANDMARK_TEMPLATE)
    in_cut = (to_crop(marks, matrices, LANDMARK_TEMPLATE)[0] * 64 + 63) / 2
    left, right, mouth = (in_cut[part].mean(axis=0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH))
    assert left[1] == pytest.approx(right[1], abs=0.3)
    assert (left[0] + right[0]) / 2 == pytest.approx(32, abs=0.5)
    assert right[0] - left[0] == pytest.approx(19.3, abs=1.5)
    assert mouth[1] - left[1] == pytest.approx(21.7, abs=1.5)


def test_no_face_asks_nothing():
    network = Knows(np.zeros((1, 68, 2)), BOX)
    found = LandmarkFinder(network).find(GREY, np.empty((0, 4), np.float32))
    assert (len(found), found.points_xy.shape, network.asked) == (0, (0, 70, 2), [])
    assert len(LandmarkPupils(LandmarkFinder(network)).find(GREY, np.empty((0, 4), np.float32))[0]) == 0


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10, 10, 10, 10), id="no size"),
        pytest.param((10, 10, 16, 16), id="six pixels"),
        pytest.param((20, 20, 10, 10), id="inside out"),
    ],
)
def test_a_face_too_small_to_be_marked_is_unknown_and_the_others_are_marked(box):
    boxes = np.array([box, BOX[0]], np.float32)
    found = LandmarkFinder(Knows(FACE.truth.landmarks_xy[None], BOX)).find(GREY, boxes)
    assert np.isnan(found.points_xy[0]).all()
    assert found.confidence[0] == 0
    np.testing.assert_allclose(found.points_xy[1, :68], FACE.truth.landmarks_xy, atol=0.01)


def test_a_face_that_the_network_doubts_is_unknown_and_not_looked_at_twice():
    network = Knows(FACE.truth.landmarks_xy[None], BOX, error=0.19)
    found = LandmarkFinder(network).find(GREY, BOX)
    assert len(network.asked) == 1
    assert np.isnan(found.points_xy).all()
    assert found.confidence[0] == pytest.approx(0.05, abs=0.01)


def test_points_outside_of_the_image_are_unknown_and_the_others_are_not():
    points = FACE.truth.landmarks_xy.copy()
    points[8] = 100, 250  # a chin below the lower border
    points[0] = -3, 90
    found = LandmarkFinder(Knows(points[None], BOX)).find(GREY, BOX)
    unknown = np.flatnonzero(np.isnan(found.points_xy[0]).any(axis=1))
    assert unknown.tolist() == [0, 8]


def test_a_box_that_reaches_out_of_the_image_is_marked_all_the_same():
    box = np.array([[-60, -60, 90, 90]], np.float32)
    points = FACE.truth.landmarks_xy[None] / 2
    found = LandmarkFinder(Knows(points, box), finds_irises=False).find(GREY, box)
    np.testing.assert_allclose(found.points_xy[:, :68], points, atol=0.01)


def test_crops_are_aligned_by_the_lids_and_by_the_stated_fallback_where_they_are_unknown():
    face = render_face(expression("happy"), Pose(roll_deg=15), size_px=200)
    points = np.concatenate([face.truth.landmarks_xy, face.truth.pupils_xy])[None].repeat(2, axis=0)
    points[1] = np.nan
    boxes = face.truth.box_xyxy[None].repeat(2, axis=0)
    pupils, found = pupils_of(points, boxes)
    assert found.tolist() == [True, False]
    np.testing.assert_allclose(pupils[0, 0], points[0, 36:42].mean(axis=0), atol=1e-3)
    np.testing.assert_array_equal(pupils[1], default_pupils(boxes)[1])
