"""Light on a face, and focus, on drawn faces whose fault is made on purpose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.config import CameraSection
from edge_runtime.faces.alignment import P1_TEMPLATE
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.quality import FaceQuality, measure_quality, sharpness
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.opening import open_source


@pytest.fixture(scope="module")
def room() -> tuple[np.ndarray, np.ndarray]:
    """A frame of the simulated classroom, and where its heads are."""
    with open_source(CameraSection(source="simulated://students=6,seed=3,width=960,height=540")) as source:
        image = source.read(5).image_bgr
        return image, source.truth().boxes_xyxy


def measure(image: np.ndarray, boxes: np.ndarray) -> FaceQuality:
    return measure_quality(FrameView(Frame(image, 0.0)), boxes, PupilFinder(), P1_TEMPLATE)


def test_a_haar_box_is_a_third_wider_than_its_face(room) -> None:
    image, boxes = room
    assert measure(image, boxes).width_px == pytest.approx((boxes[:, 2] - boxes[:, 0]) / 1.33, rel=1e-4)


def test_half_the_light_is_half_the_brightness_and_half_the_contrast(room) -> None:
    image, boxes = room
    bright, dark = measure(image, boxes), measure((image * 0.5).astype(np.uint8), boxes)
    assert dark.brightness == pytest.approx(bright.brightness / 2, abs=2)
    assert dark.contrast == pytest.approx(bright.contrast / 2, rel=0.1)


def test_sharpness_falls_with_blur_and_not_with_light(room) -> None:
    image, boxes = room
    medians = [
        float(np.median(measure(picture, boxes).sharpness))
        for picture in (image, cv2.GaussianBlur(image, (0, 0), 1.5), cv2.GaussianBlur(image, (0, 0), 3))
    ]
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 3 * medians[2]
    dim = float(np.median(measure((image * 0.7).astype(np.uint8), boxes).sharpness))
    assert dim == pytest.approx(medians[0], rel=0.25)


def test_an_even_crop_has_no_sharpness() -> None:
    assert sharpness(np.full((96, 96), 90, np.uint8)) == 0.0


def test_no_face_and_a_face_outside_of_the_frame_are_legal(room) -> None:
    image, _ = room
    assert len(measure(image, np.empty((0, 4), np.float32))) == 0
    outside = measure(image, np.array([[-90, -90, -30, -30]], np.float32))
    assert outside.brightness.tolist() == [0.0]
    assert not outside.pupils_found[0]
