"""The room without its people: a median over time, then blur, strongest where heads were.

Three layers, each against what the one before leaves. *Median*: who moves is in few of the kept frames and
vanishes. *Blur*: the whole picture is softened so far that a head at reading distance has no features left, and
around every place where any cascade ever suspected a head, head and body are dissolved. *Second look*: all
cascades search the median and then the result, and what they take for a head is dissolved too, until they find
nothing.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.frames.frame import Image

WIDTH_PX: Final = 1280  # of the picture that is drawn
_MOST_FRAMES: Final = 15  # kept for the median: 41 MB at 1280×720
_ROWS_AT_ONCE: Final = 90

# Ellipses for each head, hair, shoulders and body, which others know a person by too: middle and half axes, in sides
# of the head's box. What was only suspected has the first one.
_HEAD: Final = ((0.0, -0.05), (0.75, 0.95))
_SHOULDERS: Final = ((0.0, 1.05), (1.05, 0.55))
_BODY: Final = ((0.0, 4.4), (1.3, 4.1))  # clothes and posture of who stands or sits still, down to the feet
_SOFT: Final = 0.0028  # standard deviation of the blur of the whole picture, of its width: 3.6 px of 1280
_STRONG: Final = 0.4  # … of a hidden head, of its box's side; at least
_STRONG_LEAST_PX: Final = 10.0
_SIZE_STEP: Final = 1.6  # heads within this ratio of size are dissolved together
_SHRINK: Final = 8  # the strong blur is made on a small picture
_ROUNDS: Final = 4
_SEARCH_STEP: Final = 1.15
_Ellipse = tuple[tuple[float, float], tuple[float, float]]
_SEARCHED_BY: Final = (
    "haarcascade_frontalface_default.xml",
    "haarcascade_frontalface_alt.xml",
    "haarcascade_frontalface_alt2.xml",
    "haarcascade_profileface.xml",
)


class Background:
    """Collects frames for the median, evenly over a time that is not known beforehand; one thread."""

    def __init__(self) -> None:
        self._kept: list[Image] = []
        self._every, self._offered = 1, 0

    def offer(self, image_bgr: Image) -> None:
        """Takes a frame, or not.

        Args:
            image_bgr: (H, W, 3) uint8; all of one size.
        """
        if self._offered % self._every == 0:
            if len(self._kept) == _MOST_FRAMES:
                self._kept, self._every = self._kept[::2], 2 * self._every
            if self._offered % self._every == 0:
                self._kept.append(_shrunk(image_bgr))
        self._offered += 1

    def median(self) -> Image | None:
        """(h, w, 3) uint8, w at most `WIDTH_PX`; None before the first frame."""
        if not self._kept:
            return None
        result = np.empty_like(self._kept[0])
        for top in range(0, len(result), _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            result[rows] = np.median(np.stack([image[rows] for image in self._kept]), axis=0)
        return result


def _shrunk(image: Image) -> Image:
    if image.shape[1] <= WIDTH_PX:
        return image.copy()
    size = (WIDTH_PX, max(1, round(image.shape[0] * WIDTH_PX / image.shape[1])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def hide_people(image_bgr: Image, heads_xyxy: FloatArray, suspects_xyxy: FloatArray) -> Image:
    """Blurs a picture until nobody is in it.

    Args:
        image_bgr: (H, W, 3) uint8.
        heads_xyxy: (N, 4) float32, every box in which a head was ever seen.
        suspects_xyxy: (M, 4) float32, boxes of which one cascade alone said so.

    Returns:
        (H, W, 3) uint8.
    """
    cascades = [load_cascade(name) for name in _SEARCHED_BY]
    suspects = np.concatenate([suspects_xyxy, _search(image_bgr, cascades)])
    result = np.asarray(cv2.GaussianBlur(image_bgr, (0, 0), max(1.0, _SOFT * image_bgr.shape[1])), np.uint8)
    result = _dissolved(result, suspects, (_HEAD,))
    result = _dissolved(result, heads_xyxy, (_HEAD, _SHOULDERS, _BODY))
    for _ in range(_ROUNDS):
        found = _search(result, cascades)
        if len(found) == 0:
            return result
        result = _dissolved(result, found, (_HEAD,))
    # What looks like a head to a cascade after all that goes with everything else.
    return _strongly_blurred(result, 4 * _STRONG_LEAST_PX)


def _search(image_bgr: Image, cascades: list[cv2.CascadeClassifier]) -> FloatArray:
    """(N, 4) float32: everything that any of the cascades takes for a head, from either side."""
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    mirror, width = np.ascontiguousarray(grey[:, ::-1]), grey.shape[1]
    found = [
        (width - x - w if searched is mirror else x, y, w, h)
        for cascade in cascades
        for searched in (grey, mirror)
        for x, y, w, h in cascade.detectMultiScale(searched, _SEARCH_STEP, 2, minSize=(20, 20))
    ]
    boxes = np.array(found, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _dissolved(image: Image, heads_xyxy: FloatArray, shapes: tuple[_Ellipse, ...]) -> Image:
    """The picture with these shapes around each box replaced by a blur as strong as the head is large."""
    sides = heads_xyxy[:, 2] - heads_xyxy[:, 0]
    order = np.argsort(-sides)
    while len(order):
        largest = float(sides[order[0]])
        together = order[sides[order] > largest / _SIZE_STEP]
        order = order[len(together) :]
        image = _blended(image, _mask(image, heads_xyxy[together], shapes), largest)
    return image


def _mask(image: Image, heads_xyxy: FloatArray, shapes: tuple[_Ellipse, ...]) -> Image:
    mask = np.zeros(image.shape[:2], np.uint8)
    for box in heads_xyxy.astype(np.float64):
        side, x, y = box[2] - box[0], (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        for (right, down), (half_width, half_height) in shapes:
            centre = (round(x + right * side), round(y + down * side))
            axes = (round(half_width * side), round(half_height * side))
            cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
    return mask


def _blended(image: Image, mask: Image, side: float) -> Image:
    strong = _strongly_blurred(image, max(_STRONG_LEAST_PX, _STRONG * side))
    # The soft edge lies outside the mask, so that nothing inside shows through.
    edge = max(3, round(0.12 * side))
    weight = cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=edge), (0, 0), edge / 2)
    weight[mask > 0] = 255
    share = weight.astype(np.float32)[:, :, None] / np.float32(255)
    return np.asarray(np.rint(image * (1 - share) + strong * share), np.uint8)


def _strongly_blurred(image: Image, deviation_px: float) -> Image:
    height, width = image.shape[:2]
    size = (max(1, width // _SHRINK), max(1, height // _SHRINK))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), deviation_px / _SHRINK)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
