"""Action units, expressions and the geometry that they move."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.faces.alignment import default_pupils
from edge_runtime.frames.simulation.appearance import Appearance, Light, Pose, random_appearance
from edge_runtime.frames.simulation.controls import (
    CONTROL_NAMES,
    EXPRESSIONS,
    PROTOTYPES,
    VALENCE_AROUSAL,
    Controls,
    expression,
)
from edge_runtime.frames.simulation.shape import FaceShape, face_box, project
from edge_runtime.markup import MIRROR

AVERAGE = FaceShape(Appearance())


def moved(**controls: float) -> np.ndarray:
    """How far the landmarks move from the relaxed face, (70, 2)."""
    return (AVERAGE.points(Controls(**controls).vector()) - AVERAGE.points(Controls().vector()))[:, :2]


def test_every_label_of_the_contract_has_prototypes_and_a_place_in_the_circumplex():
    assert set(EXPRESSIONS) == {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}
    assert set(PROTOTYPES) == set(VALENCE_AROUSAL) == set(EXPRESSIONS)
    assert all(-1 <= value <= 1 for place in VALENCE_AROUSAL.values() for value in place)


@pytest.mark.parametrize("label", EXPRESSIONS)
def test_no_expression_at_intensity_zero_differs_from_the_relaxed_face(label):
    assert expression(label, 0.0) == Controls()


@pytest.mark.parametrize("label", EXPRESSIONS)
def test_controls_survive_the_way_through_a_vector(label):
    controls = expression(label, 0.7, variant=1)
    assert Controls.from_vector(controls.vector()) == controls


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: Controls(jaw_drop=1.1), "jaw_drop", id="above one"),
        pytest.param(lambda: Controls(jaw_drop=-0.1), "jaw_drop", id="below zero"),
        pytest.param(lambda: Controls(gaze_right=-1.5), "gaze_right", id="gaze below minus one"),
        pytest.param(lambda: Controls(lip_press=float("nan")), "lip_press", id="not a number"),
        pytest.param(lambda: expression("confusion"), "surprise", id="unknown label lists the known"),
        pytest.param(lambda: expression("happy", 2.0), "intensity", id="intensity"),
        pytest.param(lambda: Appearance(skin_tone=6), "skin_tone", id="skin tone"),
        pytest.param(lambda: Appearance(eye_size=3.0), "eye_size", id="proportion"),
        pytest.param(lambda: Light(strength=1.5), "strength", id="lamp"),
        pytest.param(lambda: Light(exposure=0.0), "exposure", id="no light"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("control", "landmark", "axis", "sign"),
    [
        # FACS, Ekman, Friesen and Hager (2002): what each unit does to the face.
        pytest.param("inner_brow_raise", 22, 1, -1, id="AU1 raises the inner brow"),
        pytest.param("outer_brow_raise", 25, 1, -1, id="AU2 raises the outer brow"),
        pytest.param("brow_lower", 22, 1, 1, id="AU4 lowers the brow"),
        pytest.param("brow_lower", 22, 0, -1, id="AU4 draws the brows together"),
        pytest.param("upper_lid_raise", 43, 1, -1, id="AU5 raises the upper lid"),
        pytest.param("lid_tighten", 47, 1, -1, id="AU7 raises the lower lid"),
        pytest.param("nose_wrinkle", 35, 1, -1, id="AU9 raises the nostril wings"),
        pytest.param("upper_lip_raise", 51, 1, -1, id="AU10 raises the upper lip"),
        pytest.param("lip_corner_pull", 54, 1, -1, id="AU12 raises the lip corner"),
        pytest.param("lip_corner_pull", 54, 0, 1, id="AU12 widens the mouth"),
        pytest.param("lip_corner_depress", 54, 1, 1, id="AU15 lowers the lip corner"),
        pytest.param("chin_raise", 57, 1, -1, id="AU17 pushes the lower lip up"),
        pytest.param("lip_stretch", 54, 0, 1, id="AU20 stretches the lips"),
        pytest.param("lips_part", 66, 1, 1, id="AU25 parts the lips"),
        pytest.param("jaw_drop", 8, 1, 1, id="AU26 lowers the chin"),
        pytest.param("eyes_closed", 44, 1, 1, id="AU43 lowers the upper lid"),
    ],
)
def test_an_action_unit_moves_its_landmark_the_way_facs_says(control, landmark, axis, sign):
    assert moved(**{control: 1.0})[landmark, axis] * sign > 0.02


@pytest.mark.parametrize("name", [name for name in CONTROL_NAMES if name != "gaze_right"])
def test_every_control_moves_something_and_both_sides_alike(name):
    shift = moved(**{name: 1.0})
    assert np.abs(shift).max() > 0.01
    np.testing.assert_allclose(shift[:68], shift[MIRROR] * (-1, 1), atol=1e-6)


def test_closed_eyes_leave_next_to_no_opening_and_the_lids_never_cross():
    points = AVERAGE.points(Controls(eyes_closed=1.0).vector())
    opening = points[[41, 40, 47, 46], 1] - points[[37, 38, 43, 44], 1]
    assert (opening >= 0).all()
    assert opening.max() < 0.03


def test_lids_and_lips_never_pass_through_each_other_whatever_the_muscles_do():
    rng = np.random.default_rng(0)
    for _ in range(300):
        controls = Controls.from_vector(rng.choice([0.0, 0.5, 1.0], len(CONTROL_NAMES)).astype(np.float32))
        points = AVERAGE.points(controls.vector())
        lower, upper = [41, 40, 47, 46, 67, 66, 65], [37, 38, 43, 44, 61, 62, 63]
        assert (points[lower, 1] - points[upper, 1] >= -1e-6).all()


@pytest.mark.parametrize(
    ("pose", "direction"),
    [
        pytest.param(Pose(yaw_deg=20), (1, 0), id="yaw to the image's right"),
        pytest.param(Pose(yaw_deg=-20), (-1, 0), id="yaw to the image's left"),
        pytest.param(Pose(pitch_deg=20), (0, 1), id="pitch down"),
        pytest.param(Pose(pitch_deg=-20), (0, -1), id="pitch up"),
    ],
)
def test_a_turn_moves_the_nose_the_stated_way(pose, direction):
    nose = AVERAGE.relaxed[30:31]
    shift = (project(nose, pose, (0, 0), 100) - project(nose, Pose(), (0, 0), 100))[0]
    assert shift @ np.array(direction) > 20


def test_positive_roll_tilts_the_line_through_the_pupils_clockwise_by_its_angle():
    left, right = project(AVERAGE.relaxed[68:70], Pose(roll_deg=10), (0, 0), 100)
    assert np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])) == pytest.approx(10, abs=1e-3)


def test_a_frontal_box_has_its_pupils_where_the_alignment_expects_them():
    box = face_box(Pose(), (200.0, 150.0), 40.0)
    pupils = project(AVERAGE.relaxed[68:70], Pose(), (200.0, 150.0), 40.0)
    np.testing.assert_allclose(pupils, default_pupils(box[None])[0], atol=0.01)


def test_people_are_drawn_from_their_seed_alone_and_differ():
    first = [random_appearance(np.random.default_rng(3)) for _ in range(2)]
    assert first[0] == first[1]
    rng = np.random.default_rng(4)
    people = [random_appearance(rng) for _ in range(60)]
    assert len({person.hair for person in people}) == 8
    assert {person.skin_tone for person in people} == set(range(6))
    assert 0 < sum(person.glasses for person in people) < 30
