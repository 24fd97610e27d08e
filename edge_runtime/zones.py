"""Zones of a room as polygons in normalised image coordinates, and which of them holds a point.

Convention: (x, y), x to the right and y down, (0, 0) the upper left corner of the frame and (1, 1) the lower right.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

ZONE_NAME: Final = "[a-z][a-z0-9]{0,19}"  # no separator: it stands between others in a payload's keys
OUTSIDE: Final = -1
_LEAST_AREA: Final = 1e-4  # of the image; a face itself is larger than a hundredth of its width and height

Point = tuple[float, float]
Polygon = tuple[Point, ...]


def check_polygon(points: Sequence[Point]) -> Polygon:
    """The polygon, if it is one.

    Raises:
        ValueError: fewer than 3 points, a point outside of the image, sides that cross or touch each other,
            or hardly any area.
    """
    if len(points) < 3:
        raise ValueError(f"has {len(points)} points; a polygon has at least 3")
    for x, y in points:
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(f"({x:g}, {y:g}) is outside of the image; x and y go from 0 to 1")
    sides = list(zip(points, [*points[1:], points[0]], strict=True))
    for (one, side), (two, other) in combinations(enumerate(sides), 2):
        are_neighbours = two - one in (1, len(sides) - 1)
        if _turns_back(side, other) if are_neighbours else _meet(*side, *other):
            raise ValueError(f"crosses itself: {_shown(side)} and {_shown(other)}")
    import cv2  # here, since the configuration is read by commands that never see a picture

    area = cv2.contourArea(np.array(points, np.float32))
    if area < _LEAST_AREA:
        raise ValueError("encloses no area")
    return tuple((float(x), float(y)) for x, y in points)


def _cross(origin: Point, a: Point, b: Point) -> float:
    return (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0])


def _on_segment(a: Point, b: Point, point: Point) -> bool:
    return min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(a[1], b[1])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments a–b and c–d have a point in common."""
    turns = _cross(a, b, c), _cross(a, b, d), _cross(c, d, a), _cross(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _on_segment(*end) for turn, end in zip(turns, ends, strict=True))


def _turns_back(side: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two sides that share a corner lie upon each other."""
    shared = next(iter({*side} & {*other}), None)
    if shared is None or side[0] == side[1] or other[0] == other[1]:
        return True
    (a,), (b,) = ({*pair} - {shared} or {shared} for pair in (side, other))
    along = (a[0] - shared[0]) * (b[0] - shared[0]) + (a[1] - shared[1]) * (b[1] - shared[1])
    return _cross(shared, a, b) == 0 and along >= 0


def _shown(side: tuple[Point, Point]) -> str:
    (ax, ay), (bx, by) = side
    return f"({ax:g}, {ay:g})–({bx:g}, {by:g})"


def places_of(polygons: Sequence[Polygon], points_xy: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Which polygon holds each point.

    Args:
        polygons: the first that holds a point has it; a point on an edge is inside.
        points_xy: (N, 2), normalised.

    Returns:
        (N,) int64 index of a polygon, or `OUTSIDE`.
    """
    import cv2

    places = np.full(len(points_xy), OUTSIDE, np.int64)
    for place in reversed(range(len(polygons))):
        contour = np.array(polygons[place], np.float32)
        for row, (x, y) in enumerate(points_xy.tolist()):
            if cv2.pointPolygonTest(contour, (x, y), measureDist=False) >= 0:
                places[row] = place
    return places
