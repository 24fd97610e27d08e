"""The centre of an iris: Canny edges, Hough circle (P1 §2.2(1)), once in an eye's box, once between known lids.

On a face of 60 px an iris is 4 px across, and circles are found everywhere. So circles between lids must be darker than
what is around them, and the two eyes must look the same way, or they are no irises.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

_FloatArray = npt.NDArray[np.float32]
_FARTHEST: Final = (
    0.15  # from the middle of a Haar box, as a share of its side: farther out lie brows and lids
)

_BOX: Final = 1.7  # side of the box around an eye, in distances of its corners
_BOX_PX: Final = 40  # to which it is scaled
_RADIUS_PX: Final = (4, 8)
_REACH: Final = (
    0.26,
    0.20,
)  # of an iris from the middle of the lids, x and y, in distances of the eye's corners
_DARKER: Final = 5.0  # grey levels, than its surroundings
_AGREEMENT: Final = 0.12  # by how much the two irises may lie otherwise between their lids, likewise
_MOST: Final = 20  # circles of one eye that are looked at, strongest first
_ROWS, _COLUMNS = np.mgrid[:_BOX_PX, :_BOX_PX].astype(np.float32)


def iris_centre(image_grey: Image, rect: npt.NDArray[np.generic]) -> _FloatArray | None:
    """Looks for an iris in a box of the eye cascade (`cv2.HOUGH_GRADIENT` runs Canny first).

    Args:
        image_grey: (H, W) uint8, in which the eye's box is about 30 px wide.
        rect: (4,) x, y, width, height of the box in pixels of the image.

    Returns:
        (2,) float32 in pixels of the image; None where there is no circle, or none near the middle of the box.
    """
    x, y, w, h = (int(value) for value in rect)
    circles = cv2.HoughCircles(
        image_grey[y : y + h, x : x + w],
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


def iris_pair(image_grey: Image, lids_xy: _FloatArray) -> _FloatArray | None:
    """Looks for both irises between their lids.

    Args:
        image_grey: (H, W) uint8.
        lids_xy: (2, 6, 2) float32, the six lid points of the image-left and of the image-right eye; the first and the
            fourth are the corners.

    Returns:
        (2, 2) float32 in pixels of the image; None unless both eyes have a dark circle at the same place.
    """
    middles = lids_xy.mean(axis=1)
    widths = np.linalg.norm(lids_xy[:, 3] - lids_xy[:, 0], axis=1)
    if widths.min() < 2:
        return None
    left, right = (_circles(image_grey, *eye) for eye in zip(middles, widths, strict=True))
    if len(left) == 0 or len(right) == 0:
        return None
    apart = np.abs(left[:, None, :2] - right[None, :, :2]).max(axis=2)
    contrast = np.where(apart <= _AGREEMENT, left[:, None, 2] + right[None, :, 2], -np.inf)
    if not np.isfinite(contrast.max()):
        return None
    first, second = np.unravel_index(int(contrast.argmax()), contrast.shape)
    offsets = np.stack([left[first, :2], right[second, :2]])
    return np.asarray(middles + offsets * widths[:, None], np.float32)


def _circles(image_grey: Image, middle: _FloatArray, width: float) -> _FloatArray:
    """(K, 3): dark circles, x and y from the middle of the lids in distances of the corners, and their contrast."""
    scale = _BOX_PX / (_BOX * width)
    shift = _BOX_PX / 2 - scale * middle
    to_box = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    size = (_BOX_PX, _BOX_PX)
    eye = np.asarray(
        cv2.warpAffine(image_grey, to_box, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
    found = cv2.HoughCircles(
        eye,
        cv2.HOUGH_GRADIENT,
        dp=1,
        minDist=2,
        param1=40,
        param2=5,
        minRadius=_RADIUS_PX[0],
        maxRadius=_RADIUS_PX[1],
    )
    if found is None:
        return np.empty((0, 3), np.float32)
    circles = np.asarray(found, np.float32).reshape(-1, 3)[:_MOST]
    offsets = (circles[:, :2] - _BOX_PX / 2) / (scale * width)
    circles, offsets = (rows[(np.abs(offsets) <= _REACH).all(axis=1)] for rows in (circles, offsets))
    x, y, radius = (circles[:, column, None, None] for column in range(3))
    far = np.hypot(_COLUMNS - x, _ROWS - y) / radius
    inside, around = far < 0.8, (far > 1.2) & (far < 1.8)
    contrast = _mean(eye, around) - _mean(eye, inside)
    return np.column_stack([offsets, contrast])[contrast >= _DARKER].astype(np.float32)


def _mean(eye: Image, masks: npt.NDArray[np.bool_]) -> _FloatArray:
    return np.asarray((eye * masks).sum(axis=(1, 2)) / masks.sum(axis=(1, 2)).clip(min=1), np.float32)
