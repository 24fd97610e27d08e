"""Pupils: Haar eyes, then Canny and a Hough circle (P1 §2.2(1)), then a check that wrong pairs do not pass.

One wrong pair of eyes is worse than none: on small faces the eye cascade misses a third of the pairs and
finds eyebrows and mouth corners instead. A pair counts only if slope, distance and place in the face box are
those of a face; otherwise the face keeps the default pupils of `alignment.default_pupils` and is marked.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray, default_pupils
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.iris import iris_centre
from edge_runtime.frames.frame import Image

_FACE_PX: Final = 100  # side to which the face box is scaled before the eye cascade (window 20×20) looks
_MOST_EYE_PX: Final = 39  # side of an eye's box in that; of 470 good pairs none was wider than 37
_BAND: Final = (0.20, 0.60)  # rows of the face box where eyes are looked for
_MARGIN: Final = 0.08  # columns left out on both sides

# The geometric check, in fractions of the face box's side; about 1.5 times the spreads of landmarks68.npz.
_DISTANCE: Final = (0.26, 0.37, 0.50)  # least, expected, largest distance of the pupils
_MAX_SLOPE: Final = 0.36  # |dy/dx|: a head tilted by 20° is still found by the frontal cascade
_MIDDLE: Final = (0.50, 0.405)  # where the middle between the pupils is expected
_SPREAD: Final = 0.045  # standard deviation of distance and middle
_MAX_COST: Final = 9.0  # sum of four squared deviations: three standard deviations in one, or 1.5 in each


class PupilFinder:
    """Finds the pupils of faces. An instance belongs to one thread: OpenCV's cascades are not re-entrant."""

    def __init__(self) -> None:
        self._eyes = load_cascade("haarcascade_eye.xml")

    def find(self, image_grey: Image, boxes_xyxy: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Looks for the pupils in each face box.

        Args:
            image_grey: (H, W) uint8.
            boxes_xyxy: (N, 4) float32.

        Returns:
            pupils (N, 2, 2) float32, and (N,) bool: whether the pair was found and passed the check. Where it
            is False, the pupils are the default ones.
        """
        pupils = default_pupils(boxes_xyxy)
        found = np.zeros(len(boxes_xyxy), np.bool_)
        for index, box in enumerate(boxes_xyxy):
            pair = self._find_pair(image_grey, box)
            if pair is not None:
                pupils[index], found[index] = pair, True
        return pupils, found

    def _find_pair(self, image_grey: Image, box: FloatArray) -> FloatArray | None:
        height, width = image_grey.shape
        side = float(box[2] - box[0])
        if side < 1:
            return None
        x0, x1 = max(0, int(box[0] + _MARGIN * side)), min(width, int(box[2] - _MARGIN * side))
        y0, y1 = max(0, int(box[1] + _BAND[0] * side)), min(height, int(box[1] + _BAND[1] * side))
        if x1 - x0 < 4 or y1 - y0 < 4:
            return None
        scale = _FACE_PX / side
        shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        band = np.asarray(
            cv2.resize(image_grey[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=shrink), np.uint8
        )
        eyes = self._eyes.detectMultiScale(
            band, 1.1, 1, minSize=(18, 18), maxSize=(_MOST_EYE_PX, _MOST_EYE_PX)
        )
        if len(eyes) < 2:
            return None
        rects = np.asarray(eyes, np.float32)
        centres = (rects[:, :2] + rects[:, 2:] / 2) / scale + (x0, y0)
        pair = _best_pair(centres, box)
        if pair is None:
            return None
        refined = [_pupil_in_eye(band, rects[eye]) / scale + (x0, y0) for eye in pair]
        return np.asarray(refined, np.float32)


def _best_pair(centres: npt.NDArray[np.floating], box: FloatArray) -> tuple[int, int] | None:
    """The pair of eye centres that looks most like a face's, or None if none passes the check."""
    side = box[2] - box[0]
    relative = (centres - box[:2]) / side
    best, best_cost = None, _MAX_COST
    for left in range(len(relative)):
        for right in range(len(relative)):
            dx, dy = relative[right] - relative[left]
            if not _DISTANCE[0] < dx < _DISTANCE[2] or abs(dy) > _MAX_SLOPE * dx:
                continue
            middle = (relative[left] + relative[right]) / 2
            deviations = (dx - _DISTANCE[1], middle[0] - _MIDDLE[0], middle[1] - _MIDDLE[1], dy / 2)
            cost = sum((deviation / _SPREAD) ** 2 for deviation in deviations)
            if cost < best_cost:
                best, best_cost = (left, right), cost
    return best


def _pupil_in_eye(band: Image, rect: FloatArray) -> npt.NDArray[np.float32]:
    """(2,) float32 in pixels of the band: the iris, or the eye box's centre where no circle is found in it."""
    iris = iris_centre(band, rect)
    x, y, w, h = (int(value) for value in rect)
    return np.array([x + w / 2, y + h / 2], np.float32) if iris is None else iris
