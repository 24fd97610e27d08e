"""The tables that P1 counts and does not list."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.features.landmark_table import LANDMARKS, REGIONS, SEGMENTS
from edge_runtime.markup import LEFT_EYE, RIGHT_EYE

# Landmarks of the iBUG mark-up by region. Cheeks have none of their own, and a crop ends above the chin.
IN_REGION = {
    "brows": range(17, 27),
    "eyes": range(36, 48),
    "nose": range(28, 36),
    "mouth": range(48, 68),
}
MIRRORED = {
    **dict(zip(range(17), range(16, -1, -1), strict=True)),
    **dict(zip(range(17, 27), range(26, 16, -1), strict=True)),
    **{point: point for point in (27, 28, 29, 30, 33, 51, 57, 62, 66)},
    **dict(zip((36, 37, 38, 39, 40, 41, 31, 32), (45, 44, 43, 42, 47, 46, 35, 34), strict=True)),
    **dict(zip((48, 49, 50, 58, 59, 60, 61, 67, 68), (54, 53, 52, 56, 55, 64, 63, 65, 69), strict=True)),
}
MIRRORED |= {other: one for one, other in MIRRORED.items()}


def test_there_are_the_papers_38_segments_in_7_regions():
    assert (len(SEGMENTS), len(REGIONS)) == (38, 7)
    assert len({segment.name for segment in SEGMENTS}) == 38
    ends = {frozenset((segment.first, segment.second)) for segment in SEGMENTS}
    assert len(ends) == 38
    assert all(len(pair) == 2 and pair <= set(range(LANDMARKS)) for pair in ends)
    assert all(segment.action_units for segment in SEGMENTS)


def test_the_table_is_its_own_mirror_image():
    ends = {frozenset((segment.first, segment.second)) for segment in SEGMENTS}
    assert {frozenset(MIRRORED[point] for point in pair) for pair in ends} == ends
    boxes = {region.box for region in REGIONS}
    assert {(-x1, y0, -x0, y1) for x0, y0, x1, y1 in boxes} == boxes


@pytest.mark.realdata
def test_regions_hold_the_landmarks_of_real_faces(shared_data):
    with np.load(shared_data / "faces" / "landmarks68.npz") as archive:
        points = archive["landmarks"].astype(float)
    left, right = points[:, LEFT_EYE].mean(axis=1), points[:, RIGHT_EYE].mean(axis=1)
    span = np.linalg.norm(right - left, axis=1, keepdims=True)
    along = (right - left) / span
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    away = points - ((left + right) / 2)[:, None]
    placed = np.stack([(away * axis[:, None]).sum(axis=2) / span for axis in (along, across)], axis=2)
    for region in REGIONS:
        x0, y0, x1, y1 = region.box
        rows = placed[:, list(IN_REGION.get(region.name, []))]
        held = ((rows >= (x0, y0)) & (rows <= (x1, y1))).all(axis=2)
        assert not held.size or held.mean() > 0.8, region.name
