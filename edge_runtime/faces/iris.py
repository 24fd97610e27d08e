"""The centre of an iris in an eye's box: Canny edges, Hough circle (P1 §2.2(1))."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

_FARTHEST: Final = 0.15  # from the middle of the box, as a share of its side: farther out lie brows and lids


def iris_centre(image_grey: Image, rect: npt.NDArray[np.generic]) -> npt.NDArray[np.float32] | None:
    """Looks for a dark circle's edge (`cv2.HOUGH_GRADIENT` runs Canny first).

    Args:
        image_grey: (H, W) uint8, in which the eye's box is about 30 px wide.
        rect: (4,) x, y, width, height of the box in pixels of the image, about 1.7 times as wide as the eye.

    Returns:
        (2,) float32 in pixels of the image; None where there is no circle, or none near the middle of the box.
    """
    x, y, w, h = (int(value) for value in rect)
    eye = image_grey[y : y + h, x : x + w]
    circles = cv2.HoughCircles(
        eye,
        cv2.HOUGH_GRADIENT,
        dp=1,
        minDist=w,
        param1=120,
        param2=8,
        minRadius=max(2, w // 12),
        maxRadius=w // 5,
    )
    if circles is None:
        return None
    centre = np.array([x + w / 2, y + h / 2], np.float32)
    circle = np.asarray(circles, np.float32).reshape(-1, 3)[0, :2] + (x, y)
    return circle.astype(np.float32) if bool(np.all(np.abs(circle - centre) <= _FARTHEST * w)) else None
