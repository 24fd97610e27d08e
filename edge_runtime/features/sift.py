"""SIFT descriptors on a fixed grid, computed by OpenCV (P4 §3.3).

P4 looks for keypoints, whose number differs from face to face, and does not say how it makes a vector of one length
of them. An aligned crop has its eyes, nose and mouth at known places, so here the keypoints are a grid, and upright.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

_SIDE_PX: Final = 96
_POINTS: Final = 4  # a side
_DIAMETER_PX: Final = 8.0  # of a keypoint; its descriptor covers about six times as much (Lowe 2004 §6.1)
LENGTH: Final = _POINTS * _POINTS * 128


def sift(crops: Image) -> npt.NDArray[np.float32]:
    """The descriptors of all points of a crop, row by row, side by side.

    Args:
        crops: (N, size, size) uint8.

    Returns:
        (N, 2048) float32 in [0, 255].
    """
    extractor = cv2.SIFT.create()
    places = (np.arange(_POINTS) + 0.5) * (_SIDE_PX / _POINTS)
    grid = [cv2.KeyPoint(float(x), float(y), _DIAMETER_PX, 0.0) for y in places for x in places]
    features = np.empty((len(crops), LENGTH), np.float32)
    for row, crop in zip(features, crops, strict=True):
        if crop.shape != (_SIDE_PX, _SIDE_PX):
            crop = np.asarray(
                cv2.resize(crop, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR), np.uint8
            )
        _, descriptors = extractor.compute(crop, grid)
        row[:] = np.ravel(descriptors)
    return features
