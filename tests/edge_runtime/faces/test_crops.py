"""Crops: only of faces wide enough, with pupils that are remembered, and quality that means something."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces.alignment import P1_TEMPLATE, align, default_pupils
from edge_runtime.faces.crops import CropMaker, face_widths_px
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.simulation.controls import Controls
from edge_runtime.frames.simulation.face import render_face

FACE = render_face(Controls(), size_px=300)


def faces_at(*boxes, ids=None):
    count = len(boxes)
    track_ids = np.arange(1, count + 1) if ids is None else np.array(ids, np.int64)
    return Faces(track_ids, np.array(boxes, np.float32).reshape(-1, 4), np.zeros(count))


def view(image=FACE.image_bgr, timestamp_s=0.0):
    return FrameView(Frame(np.ascontiguousarray(image), timestamp_s))


class CountingPupils:
    """The real finder, which notes how many faces it was asked for."""

    def __init__(self, maker):
        self.real, self.asked = maker._pupils, []

    def find(self, image, boxes):
        self.asked.append(len(boxes))
        return self.real.find(image, boxes)


@pytest.fixture
def maker():
    made = CropMaker(P1_TEMPLATE, readable_width_px=32)
    made._pupils = CountingPupils(made)
    return made


def test_the_crop_is_that_of_the_pupils_that_are_there(maker):
    crops = maker.make(view(), faces_at(FACE.truth.box_xyxy))
    assert (len(crops), crops.images.shape) == (1, (1, 96, 96))
    assert crops.pupils_found.tolist() == [True]
    grey = cv2.cvtColor(FACE.image_bgr, cv2.COLOR_BGR2GRAY)
    truth = align(grey, FACE.truth.pupils_xy[None])
    assert np.corrcoef(crops.images.ravel(), truth.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("box_px", "readable"),
    [(42, False), (43, True), (200, True)],
    ids=["31.6 px of face", "32.3 px of face", "a large face"],
)
def test_a_face_is_cut_if_it_is_wide_enough_not_counting_the_margin_of_its_box(maker, box_px, readable):
    faces = faces_at((10, 10, 10 + box_px, 10 + box_px))
    assert face_widths_px(faces)[0] == pytest.approx(box_px / 1.33)
    assert maker.readable(faces).tolist() == [readable]
    assert len(maker.make(view(), faces)) == readable


def test_arrays_stay_parallel_when_some_faces_are_left_out(maker):
    box = FACE.truth.box_xyxy
    faces = faces_at((0, 0, 20, 20), box, (30, 30, 45, 45), box + 3, ids=[7, 9, 11, 13])
    crops = maker.make(view(), faces)
    assert crops.track_ids.tolist() == [9, 13]
    np.testing.assert_allclose(crops.face_width_px, (box[2] - box[0]) / 1.33, rtol=1e-5)
    assert len(crops.sharpness) == len(crops.pupils_found) == 2


def test_nobody_gives_empty_arrays(maker):
    crops = maker.make(view(), faces_at())
    assert (len(crops), crops.images.shape, crops.images.dtype) == (0, (0, 96, 96), np.uint8)
    assert crops.pupils_found.dtype == bool


@pytest.mark.parametrize(
    ("image", "interval_s"),
    [
        pytest.param(None, 8.0, id="found"),
        pytest.param(np.full_like(FACE.image_bgr, 90), 4.0, id="not found"),
    ],
)
def test_pupils_are_looked_for_again_only_after_a_while(maker, image, interval_s):
    seen = view() if image is None else view(image)
    for tenth in range(200):
        maker.make(view(seen.frame.image_bgr, tenth / 10), faces_at(FACE.truth.box_xyxy))
    looked_s = np.array([tenth / 10 for tenth, asked in enumerate(maker._pupils.asked) if asked])
    assert looked_s[0] == 0
    assert interval_s / 4 <= looked_s[1] <= interval_s  # the first time sooner, see the next test
    np.testing.assert_allclose(np.diff(looked_s[1:]), interval_s)


def test_a_class_that_came_in_together_is_not_looked_at_together_for_ever(maker):
    count = 22
    for half in range(40):
        maker.make(
            view(timestamp_s=half / 2), faces_at(*count * [FACE.truth.box_xyxy], ids=range(1, count + 1))
        )
    asked = maker._pupils.asked
    assert asked[0] == count
    assert max(asked[1:]) <= count / 5
    assert count <= sum(asked[1:]) <= 3 * count  # each face once in 8 s


def test_pupils_are_looked_for_again_when_the_box_sits_otherwise_on_the_face(maker):
    box = FACE.truth.box_xyxy
    for tenth, larger in enumerate((0, 3, 0, 40, 40, 0)):
        maker.make(view(timestamp_s=tenth / 10), faces_at(box + np.array([0, 0, larger, larger], np.float32)))
    assert maker._pupils.asked == [1, 0, 0, 1, 0, 1]


def test_remembered_pupils_move_with_the_box(maker):
    box = FACE.truth.box_xyxy
    first = maker.make(view(), faces_at(box))
    moved = np.roll(FACE.image_bgr, (5, 9), axis=(0, 1))
    second = maker.make(view(moved, 0.5), faces_at(box + np.array([9, 5, 9, 5], np.float32)))
    assert maker._pupils.asked == [1, 0]
    assert np.abs(first.images.astype(int) - second.images).mean() < 3


def test_a_track_that_is_gone_is_forgotten(maker):
    box = FACE.truth.box_xyxy
    maker.make(view(timestamp_s=0.0), faces_at(box, box, ids=[1, 2]))
    maker.make(view(timestamp_s=0.1), faces_at(box, ids=[2]))
    maker.make(view(timestamp_s=0.2), faces_at(box, box, ids=[1, 2]))
    assert maker._pupils.asked == [2, 0, 1]
    assert set(maker._known) == {1, 2}


def test_a_face_without_eyes_is_cut_by_the_default_pupils_and_marked(maker):
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    box = np.array([20, 20, 180, 180], np.float32)
    crops = maker.make(view(image), faces_at(box))
    assert crops.pupils_found.tolist() == [False]
    expected = align(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), default_pupils(box[None]))
    np.testing.assert_array_equal(crops.images, expected)


def test_a_blurred_face_is_less_sharp(maker):
    faces = faces_at(FACE.truth.box_xyxy)
    sharp = maker.make(view(), faces).sharpness[0]
    blurred = cv2.GaussianBlur(FACE.image_bgr, (0, 0), 5)
    assert maker.make(view(blurred, 0.1), faces).sharpness[0] < 0.5 * sharp


def test_an_even_patch_has_no_sharpness_and_divides_by_nothing(maker):
    crops = maker.make(view(np.full((200, 200, 3), 77, np.uint8)), faces_at((20, 20, 180, 180)))
    assert crops.sharpness.tolist() == [0.0]


def test_stage_times_are_measured(maker):
    maker.make(view(), faces_at(FACE.truth.box_xyxy))
    assert set(maker._spans.percentiles()) == {"pupils", "align"}
