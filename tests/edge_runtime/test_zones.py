"""Polygons: what is one, and which of them holds a point."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.zones import OUTSIDE, check_polygon, places_of

SQUARE = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6))


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(SQUARE, id="square"),
        pytest.param(SQUARE[::-1], id="the other way round"),
        pytest.param(((0, 0), (1, 0), (1, 1), (0, 1)), id="the whole picture"),
        pytest.param(((0, 0), (1, 0), (0.5, 1)), id="triangle"),
        pytest.param(((0, 0), (1, 0), (1, 1), (0.5, 0.1), (0, 1)), id="with a notch"),
        pytest.param(((0, 0), (0.5, 0), (1, 0), (0.5, 1)), id="a corner on a straight side"),
    ],
)
def test_simple_polygons_are_taken(points):
    assert check_polygon(points) == points


@pytest.mark.parametrize(
    ("points", "says"),
    [
        pytest.param((), "0 points", id="nothing"),
        pytest.param(((0, 0), (1, 1)), "2 points", id="a line"),
        pytest.param(((0, 0), (1.2, 0), (1, 1)), r"\(1.2, 0\) is outside", id="right of the image"),
        pytest.param(((0, 0), (1, 0), (1, -0.1)), "outside of the image", id="above the image"),
        pytest.param(((0, 0), (math.nan, 0), (1, 1)), "outside of the image", id="no number"),
        pytest.param(((0, 0), (1, 1), (1, 0), (0, 1)), "crosses itself", id="bow tie"),
        pytest.param(
            ((0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)), "crosses itself", id="five-pointed star"
        ),
        pytest.param(((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)), "crosses itself", id="touches its own side"),
        pytest.param(((0, 0), (1, 0), (0.5, 0), (0.5, 1)), "crosses itself", id="turns back upon itself"),
        pytest.param(((0, 0), (1, 0), (1, 0), (1, 1)), "crosses itself", id="a point twice"),
        pytest.param(((0, 0), (0.5, 0.5), (1, 1)), r"crosses itself|no area", id="three points in a row"),
        pytest.param(((0, 0), (0.001, 0), (0, 0.001)), "no area", id="a speck"),
    ],
)
def test_what_is_no_simple_polygon_is_refused(points, says):
    with pytest.raises(ValueError, match=says):
        check_polygon(points)


@given(
    st.lists(st.floats(0.05, 0.5), min_size=3, max_size=12),
    st.floats(0, 2 * math.pi),
)
def test_a_star_shaped_outline_never_crosses_itself(radii, turn):
    # Points around a centre in the order of their angles: simple by construction, whatever their distances.
    angles = [turn + 2 * math.pi * number / len(radii) for number in range(len(radii))]
    points = [
        (0.5 + r * math.cos(angle), 0.5 + r * math.sin(angle)) for r, angle in zip(radii, angles, strict=True)
    ]
    assert len(check_polygon(points)) == len(radii)


def test_a_point_is_in_the_first_polygon_that_holds_it_or_outside():
    right = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    points = np.array([[0.3, 0.3], [0.55, 0.5], [0.9, 0.9], [0.1, 0.1], [0.2, 0.4]], np.float32)
    assert places_of([SQUARE, right], points).tolist() == [0, 0, 1, OUTSIDE, 0]


@pytest.mark.parametrize("polygons", [[], [SQUARE]], ids=["no zone", "no point"])
def test_nobody_is_nowhere(polygons):
    assert places_of(polygons, np.empty((0, 2), np.float32)).shape == (0,)
