"""Pinhole geometry against numbers worked out by hand."""

from __future__ import annotations

import pytest

from edge_runtime.survey.geometry import Lens


@pytest.mark.parametrize(
    ("distance_m", "face_px"),
    [pytest.param(3, 45, id="3 m"), pytest.param(6, 22, id="6 m"), pytest.param(8, 17, id="8 m")],
)
def test_a_14_cm_face_under_a_1080p_camera_with_a_90_degree_lens(distance_m: float, face_px: int) -> None:
    assert round(Lens(1920, 90).face_px(distance_m)) == face_px


def test_distance_and_width_are_each_other_s_inverse() -> None:
    lens = Lens(1280, 62)
    for distance_m in (0.5, 2, 7.3):
        assert lens.distance_m(lens.face_px(distance_m)) == pytest.approx(distance_m)


def test_a_narrower_lens_makes_faces_wider_by_the_factor() -> None:
    lens = Lens(1920, 90)
    # tan(45°) = 1, so twice as wide is arctan(1/2) on each side: 53.13°.
    assert lens.narrower(2) == pytest.approx(53.13, abs=0.01)
    assert Lens(1920, lens.narrower(2)).face_px(3) == pytest.approx(2 * lens.face_px(3))


@pytest.mark.parametrize(("width_px", "degrees"), [(1920, 0), (1920, 180), (0, 90), (1920, -5)])
def test_a_lens_that_cannot_be_is_refused(width_px: int, degrees: float) -> None:
    with pytest.raises(ValueError, match="no lens"):
        Lens(width_px, degrees)
