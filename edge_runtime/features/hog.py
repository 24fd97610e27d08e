"""Histograms of oriented gradients with P4's settings, computed by OpenCV.

P4 §3.2: gamma 0.5 (eq. 1), gradients by [−1 0 1] (eqs 2–5), cells of 8×8 pixels, blocks of 2×2 cells one cell apart,
9 directions over 180°: 7×7 blocks of 36 numbers, so the image is 64×64. Eq. 6 divides by “seems to be the maximum
value”; the descriptor's usual block norm (L2, clipped at 0.2, L2 again) stands here instead.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

LENGTH: Final = 1764
_SIDE_PX: Final = 64
_WINDOW, _BLOCK, _CELL, _BINS = (_SIDE_PX, _SIDE_PX), (16, 16), (8, 8), 9


def hog(crops: Image) -> npt.NDArray[np.float32]:
    """One descriptor a crop.

    Args:
        crops: (N, size, size) uint8.

    Returns:
        (N, 1764) float32 in [0, 1].
    """
    descriptor = cv2.HOGDescriptor(
        _WINDOW, _BLOCK, _CELL, _CELL, _BINS
    )  # corrects by a gamma of 0.5 by default
    features = np.empty((len(crops), LENGTH), np.float32)
    for row, crop in zip(features, crops, strict=True):
        row[:] = np.ravel(descriptor.compute(cv2.resize(crop, _WINDOW, interpolation=cv2.INTER_AREA)))
    return features
