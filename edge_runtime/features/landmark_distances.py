"""Distances between landmarks, divided by the length of the nose bridge (P1 §3.1, eqs 7 and 8)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.features.landmark_table import (
    LANDMARKS,
    LEFT_PUPIL,
    NOSE_BRIDGE,
    RIGHT_PUPIL,
    SEGMENTS,
)
from edge_runtime.markup import LEFT_EYE, RIGHT_EYE

LENGTH: Final = len(SEGMENTS)
# Nothing of a face is so many nose bridges long; a bridge that is seen from its tip, or misplaced, is so short.
LONGEST: Final = 10.0
_FIRST: Final = np.array([segment.first for segment in SEGMENTS])
_SECOND: Final = np.array([segment.second for segment in SEGMENTS])


def landmark_distances(landmarks_xy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The lengths of all segments of each face, in nose bridges; they do not depend on its place, size or tilt.

    A pupil that is unknown stands in the middle of its lid points. What is still unknown is told by a length that
    no face has: 0 for a segment with an unknown end, and for all of a face without a nose bridge.

    Args:
        landmarks_xy: (N, 70, 2) float32 in pixels of any image; NaN where unknown. N may be 0.

    Returns:
        (N, 38) float32 in [0, 10], in the order of `landmark_table.SEGMENTS`.

    Raises:
        ValueError: there are not 70 points with two coordinates each.
    """
    if landmarks_xy.ndim != 3 or landmarks_xy.shape[1:] != (LANDMARKS, 2):
        raise ValueError(f"landmarks are {landmarks_xy.shape}, needed are (N, {LANDMARKS}, 2)")
    points = landmarks_xy.astype(np.float32)  # a copy
    for pupil, lids in ((LEFT_PUPIL, LEFT_EYE), (RIGHT_PUPIL, RIGHT_EYE)):
        unknown = ~np.isfinite(points[:, pupil]).all(axis=1)
        points[unknown, pupil] = points[unknown, lids].mean(axis=1)
    ends = points[:, _FIRST] - points[:, _SECOND]
    bridge = points[:, NOSE_BRIDGE[0]] - points[:, NOSE_BRIDGE[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = np.hypot(ends[..., 0], ends[..., 1]) / np.hypot(bridge[:, 0], bridge[:, 1])[:, None]
    np.nan_to_num(lengths, copy=False, nan=0.0, posinf=0.0)
    return np.asarray(np.minimum(lengths, LONGEST), np.float32)
