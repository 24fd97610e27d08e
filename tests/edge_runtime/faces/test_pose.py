"""Head pose: against heads whose pose is known, and against OpenCV's solver."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.faces import pose as module
from edge_runtime.faces.pose import head_poses
from edge_runtime.frames.simulation.appearance import Appearance, Pose
from edge_runtime.frames.simulation.controls import expression
from edge_runtime.frames.simulation.shape import FaceShape, project


def drawn(pose, label="neutral", scale_px=80.0):
    """The landmarks of a simulated head; its proportions are not those that the solver was given."""
    points = FaceShape(Appearance()).points(expression(label).vector())
    return project(points, pose, (300.0, 200.0), scale_px)


@pytest.mark.parametrize("yaw", [-40, -20, 0, 20, 40])
@pytest.mark.parametrize("pitch", [-20, 0, 20])
@pytest.mark.parametrize("roll", [-20, 0, 20])
def test_the_pose_of_a_drawn_head_is_found_within_six_degrees(yaw, pitch, roll):
    found = head_poses(drawn(Pose(yaw, pitch, roll))[None])
    assert found.yaw_deg[0] == pytest.approx(yaw, abs=6)
    assert found.pitch_deg[0] == pytest.approx(pitch, abs=6)
    assert found.roll_deg[0] == pytest.approx(roll, abs=6)


def test_an_expression_does_not_turn_the_head():
    poses = head_poses(np.stack([drawn(Pose(10, 5, 0), label) for label in ("neutral", "happy", "surprise")]))
    assert np.ptp([poses.yaw_deg, poses.pitch_deg, poses.roll_deg], axis=1).max() < 3


def test_it_agrees_with_opencvs_solver_on_a_camera_that_is_far_away():
    focal = 4_000.0
    camera = np.array([[focal, 0, 300], [0, focal, 200], [0, 0, 1]])
    points = drawn(Pose(25, -10, 12), scale_px=120)
    model = module._POINTS * (1, 1, -1)  # OpenCV's z points away from the camera
    _, rotation, _ = cv2.solvePnP(
        model, points[module._RIGID].astype(np.float64), camera, None, flags=cv2.SOLVEPNP_EPNP
    )
    turn = cv2.Rodrigues(rotation)[0] * np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    expected = np.rad2deg(
        [np.arcsin(-turn[2, 0]), np.arctan2(-turn[2, 1], turn[2, 2]), np.arctan2(turn[1, 0], turn[0, 0])]
    )
    found = head_poses(points[None])
    np.testing.assert_allclose([found.yaw_deg[0], found.pitch_deg[0], found.roll_deg[0]], expected, atol=3.0)


def test_a_head_that_is_turned_away_or_bent_over_a_book_is_flagged():
    points = np.stack([drawn(Pose(*angles)) for angles in ((0, 0, 0), (55, 0, 0), (-55, 0, 0), (0, 40, 0))])
    found = head_poses(points)
    assert found.is_profile.tolist() == [False, True, True, False]
    assert found.is_looking_down.tolist() == [False, False, False, True]


def test_unknown_landmarks_have_no_pose_and_no_flag():
    points = np.stack([drawn(Pose(5, 0, 0)), np.full((70, 2), np.nan, np.float32)])
    found = head_poses(points)
    assert np.isfinite(found.yaw_deg).tolist() == [True, False]
    assert found.is_profile.tolist() == found.is_looking_down.tolist() == [False, False]


def test_points_that_all_lie_in_one_place_have_no_pose():
    assert np.isnan(head_poses(np.full((1, 68, 2), 7, np.float32)).yaw_deg[0])


def test_nobody_has_no_pose():
    assert len(head_poses(np.empty((0, 70, 2), np.float32))) == 0
