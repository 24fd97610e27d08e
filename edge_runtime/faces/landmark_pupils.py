"""Pupils by the landmark network, in the place of Haar eyes: every face of the moment in one batch.

For alignment a pupil is the middle of its six lid points, not the iris: it stays where it is when somebody looks
aside, and is off by less (docs/landmarks.md).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray, default_pupils
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.frames.frame import Image
from edge_runtime.markup import LEFT_EYE, RIGHT_EYE


class PupilSource(Protocol):
    """What finds pupils: Haar eyes (`pupils.PupilFinder`), or landmarks."""

    def find(self, image_grey: Image, boxes_xyxy: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Looks for the pupils in each face box; see `pupils.PupilFinder.find`."""
        ...


class LandmarkPupils:
    """Pupils from landmarks.

    Args:
        finder: may leave out the irises, which are not looked at here.
    """

    def __init__(self, finder: LandmarkFinder) -> None:
        self._finder = finder

    def find(self, image_grey: Image, boxes_xyxy: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """See `PupilSource.find`. A face whose landmarks are unknown keeps its default pupils.

        Raises:
            EngineError: the network failed.
        """
        return pupils_of(self._finder.find(image_grey, boxes_xyxy).points_xy, boxes_xyxy)


def pupils_of(points_xy: FloatArray, boxes_xyxy: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Middles of the lids, and default pupils where a lid is unknown.

    Args:
        points_xy: (N, ≥ 68, 2) float32 landmarks; NaN where unknown.
        boxes_xyxy: (N, 4) float32.

    Returns:
        pupils (N, 2, 2) float32, and (N,) bool: they are the landmarks'.
    """
    lids = [points_xy[:, eye].mean(axis=1) for eye in (LEFT_EYE, RIGHT_EYE)]
    pupils = np.stack(lids, axis=1).astype(np.float32)
    found = np.asarray(np.isfinite(pupils).all(axis=(1, 2)))
    return np.where(found[:, None, None], pupils, default_pupils(boxes_xyxy)), found
