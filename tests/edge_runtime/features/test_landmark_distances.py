from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from edge_runtime.features.landmark_distances import LONGEST, landmark_distances
from edge_runtime.features.landmark_table import SEGMENTS

NAMES = [segment.name for segment in SEGMENTS]


@pytest.fixture
def faces() -> np.ndarray:
    points = np.random.default_rng(2).uniform(0, 100, (3, 70, 2)).astype(np.float32)
    points[:, 27], points[:, 30] = (50, 20), (50, 50)  # bridges of 30 px
    return points


def test_lengths_are_those_of_the_papers_equations(faces):
    found = landmark_distances(faces)
    assert found.shape == (3, 38)
    assert found.dtype == np.float32
    for row, points in enumerate(faces.astype(float)):
        for column, segment in enumerate(SEGMENTS):
            (xi, yi), (xn, yn) = points[segment.first], points[segment.second]
            length = ((xi - xn) ** 2 + (yi - yn) ** 2) ** 0.5  # eq. 7
            assert found[row, column] == pytest.approx(length / 30, rel=1e-5)  # eq. 8


def test_a_mouth_worked_by_hand():
    points = np.zeros((1, 70, 2), np.float32)
    points[0, 27], points[0, 30] = (0, 0), (0, 4)  # landmarks 28 and 31, counted from 1
    points[0, 48], points[0, 54] = (-3, 9), (3, 9)
    assert landmark_distances(points)[0, NAMES.index("mouth wide")] == 1.5


def test_place_size_and_tilt_of_a_face_change_nothing(faces):
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (2.7 * faces @ turn.T + (400, -90)).astype(np.float32)
    assert_allclose(landmark_distances(moved), landmark_distances(faces), rtol=1e-4)


def test_points_outside_of_the_image_are_points_like_others(faces):
    assert_allclose(landmark_distances(faces - 5000), landmark_distances(faces), rtol=1e-3)


def test_an_unknown_pupil_stands_in_the_middle_of_its_lids(faces):
    wanted = faces.copy()
    wanted[1, 69] = faces[1, 42:48].mean(axis=0)
    faces[1, 69] = np.nan
    kept = faces.copy()
    assert_allclose(landmark_distances(faces), landmark_distances(wanted), rtol=1e-6)
    assert_array_equal(faces, kept)


def test_a_segment_with_an_unknown_end_is_zero_and_the_others_stay(faces):
    before = landmark_distances(faces)
    faces[0, 48] = np.nan
    after = landmark_distances(faces)
    touched = np.array([48 in (segment.first, segment.second) for segment in SEGMENTS])
    assert touched.any()
    assert_array_equal(after[0, touched], 0)
    assert_array_equal(after[0, ~touched], before[0, ~touched])
    assert_array_equal(after[1:], before[1:])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda points: points.__setitem__(0, np.nan), id="no landmark at all"),
        pytest.param(lambda points: points.__setitem__((0, 27), np.nan), id="no root of the nose"),
        pytest.param(lambda points: points.__setitem__((0, 27), points[0, 30]), id="a bridge without length"),
        pytest.param(lambda points: points.__setitem__(0, 7.0), id="all in one place"),
    ],
)
def test_a_face_without_a_nose_bridge_is_all_zero(faces, spoil):
    spoil(faces)
    found = landmark_distances(faces)
    assert_array_equal(found[0], 0)
    assert (found[1:] > 0).all()


def test_a_bridge_seen_from_its_tip_makes_no_giant(faces):
    faces[0, 27] = faces[0, 30] + (0.01, 0)
    assert landmark_distances(faces)[0].max() == LONGEST


def test_no_face_is_legal_and_another_mark_up_is_not():
    assert landmark_distances(np.empty((0, 70, 2), np.float32)).shape == (0, 38)
    with pytest.raises(ValueError, match=r"\(2, 68, 2\), needed are \(N, 70, 2\)"):
        landmark_distances(np.zeros((2, 68, 2), np.float32))
