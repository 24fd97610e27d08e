"""Single faces: picture and truth belong together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.frames.simulation.appearance import HAIR_STYLES, Appearance, Light, Pose
from edge_runtime.frames.simulation.controls import EXPRESSIONS, Controls, expression
from edge_runtime.frames.simulation.face import render_face


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.int32)


@pytest.mark.parametrize("hair", HAIR_STYLES)
def test_every_hair_style_is_drawn_with_and_without_glasses(hair):
    plain = render_face(Controls(), None, Appearance(hair=hair), 96).image_bgr
    with_glasses = render_face(Controls(), None, Appearance(hair=hair, glasses=True), 96).image_bgr
    assert plain.shape == (96, 96, 3)
    assert plain.dtype == np.uint8
    assert (plain != with_glasses).any()


def test_the_same_arguments_give_the_same_picture():
    arguments = (expression("fear"), Pose(8, 4, -3), Appearance(skin_tone=4), 100)
    first, second = (render_face(*arguments, noise=4.0, blur_px=0.6) for _ in range(2))
    np.testing.assert_array_equal(first.image_bgr, second.image_bgr)


@pytest.mark.parametrize("skin_tone", range(6))
@pytest.mark.parametrize(
    "pose", [Pose(), Pose(15), Pose(0, 12), Pose(0, 0, 15)], ids=["frontal", "yaw", "pitch", "roll"]
)
def test_the_pupils_of_the_truth_are_the_dark_spots_of_the_picture(pose, skin_tone):
    face = render_face(Controls(), pose, Appearance(skin_tone=skin_tone), 240)
    for x, y in np.rint(face.truth.pupils_xy).astype(int):
        around = grey(face.image_bgr)[y - 2 : y + 3, x - 2 : x + 3]
        assert around.min() < 45


@pytest.mark.parametrize("gaze", [-1.0, 1.0], ids=["to the left", "to the right"])
def test_gaze_takes_the_pupils_along(gaze):
    straight = render_face(Controls(), size_px=160).truth
    aside = render_face(Controls(gaze_right=gaze), size_px=160).truth
    shift = aside.pupils_xy - straight.pupils_xy
    assert (np.sign(shift[:, 0]) == np.sign(gaze)).all()
    np.testing.assert_allclose(shift[:, 1], 0, atol=1e-4)


def test_an_open_mouth_is_dark_between_the_inner_lip_landmarks():
    face = render_face(Controls(lips_part=0.6, jaw_drop=0.9), size_px=240)
    top, bottom = face.truth.landmarks_xy[62], face.truth.landmarks_xy[66]
    x, y = np.rint(0.45 * top + 0.55 * bottom).astype(int)
    closed = render_face(Controls(), size_px=240)
    chin = np.rint(0.5 * (closed.truth.landmarks_xy[57] + closed.truth.landmarks_xy[8])).astype(int)
    assert grey(face.image_bgr)[y, x] < 0.5 * grey(closed.image_bgr)[chin[1], chin[0]]


def test_each_expression_looks_unlike_every_other():
    faces = {label: grey(render_face(expression(label), size_px=128).image_bgr) for label in EXPRESSIONS}
    for first in EXPRESSIONS:
        for second in EXPRESSIONS:
            changed = np.mean(np.abs(faces[first] - faces[second]) > 20)
            assert first == second or changed > 0.004, (first, second)


def test_light_from_one_side_brightens_that_side():
    for azimuth, bright, dark in (
        (-60, slice(60, 80), slice(120, 140)),
        (60, slice(120, 140), slice(60, 80)),
    ):
        face = grey(
            render_face(Controls(), size_px=200, light=Light(azimuth_deg=azimuth, strength=0.7)).image_bgr
        )
        assert face[105:125, bright].mean() > face[105:125, dark].mean() + 10


def test_darker_tones_are_darker():
    brightness = [
        grey(render_face(Controls(), None, Appearance(skin_tone=tone), 128).image_bgr)[60:80, 45:83].mean()
        for tone in range(6)
    ]
    assert brightness == sorted(brightness, reverse=True)


@pytest.mark.parametrize(
    ("size_px", "face_px"),
    [
        pytest.param(15, None, id="picture"),
        pytest.param(64, 7.0, id="face"),
        pytest.param(64, float("nan"), id="not a number"),
    ],
)
def test_pictures_too_small_for_a_face_are_refused(size_px, face_px):
    with pytest.raises(ValueError, match="too small"):
        render_face(Controls(), size_px=size_px, face_px=face_px)


@pytest.mark.parametrize("face_px", [8.0, 60.0, 300.0], ids=["tiny", "as large as the picture", "far larger"])
def test_a_face_may_reach_over_the_border_of_its_picture(face_px):
    face = render_face(
        expression("surprise"), Pose(20, 10, 10), Appearance(glasses=True), 64, face_px=face_px
    )
    assert face.image_bgr.shape == (64, 64, 3)
    assert face.truth.box_xyxy[2] - face.truth.box_xyxy[0] == pytest.approx(face_px, rel=1e-4)
