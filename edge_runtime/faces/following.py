"""Following faces between two scans: by optical flow, or by a cascade that looks around the known place."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Image

BoolArray = npt.NDArray[np.bool_]

# A 4×4 grid over the inner face, as fractions of the box: background and hair do not move with the face.
_GRID: Final = (
    np.stack(np.meshgrid(np.linspace(0.28, 0.72, 4), np.linspace(0.3, 0.8, 4)), -1)
    .reshape(-1, 2)
    .astype(np.float32)
)
_WIDTH_PX: Final = 960  # flow works on half of that, the scan's second octave; on smaller frames as they are
_WINDOW: Final = (9, 9)
_LEVELS: Final = 2  # motions up to 4 windows between two frames
_MAX_ERROR: Final = 18.0  # mean grey difference of a followed patch: above, it is not the same thing any more
_LEAST_POINTS: Final = 6


def follow_by_flow(before: FrameView, now: FrameView, boxes_xyxy: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Moves boxes from one frame into a later one by pyramidal Lucas–Kanade flow (Bouguet 2001).

    A box moves by the median motion of its points, without those that move otherwise than most. It keeps its
    size: the points of a head that turns draw together, too, and the next scan knows the size better (on the
    benchmark clip, boxes that grew with their points overlap the true ones by 0.68 on average, these by 0.69).

    Args:
        before: where the boxes lie.
        now: of the same size.
        boxes_xyxy: (N, 4) float32.

    Returns:
        (N, 4) float32 boxes in `now`, and (N,) bool: False where the flow lost the face (a cut, a hand, a
        turn); such a box is returned unmoved.
    """
    count = len(boxes_xyxy)
    if count == 0:
        return boxes_xyxy, np.zeros(0, np.bool_)
    octave = 1 if now.shape[1] >= _WIDTH_PX else 0
    image_before, scale = before.octaves(_WIDTH_PX, octave + 1)[octave]
    image_now, _ = now.octaves(_WIDTH_PX, octave + 1)[octave]
    boxes = boxes_xyxy * np.float32(scale)
    side = boxes[:, 2:] - boxes[:, :2]
    points = boxes[:, None, :2] + _GRID * side[:, None]
    there, status, error = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]  # stub: None is not allowed
        image_before,
        image_now,
        points.reshape(-1, 1, 2),
        None,
        winSize=_WINDOW,
        maxLevel=_LEVELS,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.1),
    )
    good = ((status == 1) & (error < _MAX_ERROR)).reshape(count, -1)
    motion = np.ascontiguousarray((there.reshape(points.shape) - points).transpose(0, 2, 1))  # (N, 2, P)
    # Points on an occluder move otherwise than the face.
    apart = np.abs(motion - _median(motion, good)[:, :, None]).max(axis=1)
    good &= apart < 0.12 * side[:, :1] + 1
    kept = np.count_nonzero(good, axis=1) >= _LEAST_POINTS
    shift = np.where(kept[:, None], _median(motion, good), np.float32(0)) / np.float32(scale)
    return boxes_xyxy + np.concatenate([shift, shift], axis=1), kept


def _median(values: FloatArray, chosen: BoolArray) -> FloatArray:
    """Of the chosen ones of each row: (N, 2, P) and (N, P) → (N, 2); the upper one of an even number."""
    ordered = np.where(chosen[:, None], values, np.float32(np.inf))
    ordered.sort(axis=2)
    middle = np.minimum(np.count_nonzero(chosen, axis=1) // 2, chosen.shape[1] - 1)
    return ordered[np.arange(len(values)), :, middle]


class LocalSearch:
    """Looks for a face around a known place with a second cascade, on a patch in which the face is small.

    Serves three ends: to confirm what the scan found, to check what the flow doubts, and to follow on its own
    (`follow = "search"`). An instance belongs to one thread.
    """

    _FACE_PX: Final = 36  # side of the face in the shrunk patch; the cascade's window is 20
    _MARGIN: Final = 0.4  # searched on each side, as a fraction of the box
    _SIZES: Final = (0.7, 1.4)  # against the known size
    # On a patch this small the cascade draws wider boxes than in a scan: the eyes of 284 frontal faces of
    # landmarks68.npz lie 0.3565 of the side apart, in a scan's boxes 0.3698, which the default pupils expect.
    _TIGHTER: Final = 0.964

    def __init__(self) -> None:
        self._cascade = load_cascade("haarcascade_frontalface_alt2.xml")

    def find(self, image_grey: Image, boxes_xyxy: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Looks around each box.

        Args:
            image_grey: (H, W) uint8.
            boxes_xyxy: (N, 4) float32.

        Returns:
            (N, 4) float32 boxes, and (N,) bool: whether a face was found; where not, the box is returned
            unmoved.
        """
        result, found = boxes_xyxy.copy(), np.zeros(len(boxes_xyxy), np.bool_)
        for index, box in enumerate(boxes_xyxy):
            hit = self._find_one(image_grey, box)
            if hit is not None:
                result[index], found[index] = hit, True
        return result, found

    def _find_one(self, image: Image, box: FloatArray) -> FloatArray | None:
        height, width = image.shape
        side = float(box[2] - box[0])
        x0, y0 = max(0, int(box[0] - self._MARGIN * side)), max(0, int(box[1] - self._MARGIN * side))
        x1, y1 = min(width, int(box[2] + self._MARGIN * side)), min(height, int(box[3] + self._MARGIN * side))
        if x1 - x0 < 0.8 * side or y1 - y0 < 0.8 * side or side < 8:
            return None
        scale = self._FACE_PX / side
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        patch = cv2.resize(image[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=method)
        least, most = (round(self._FACE_PX * size) for size in self._SIZES)
        hits = self._cascade.detectMultiScale(patch, 1.1, 2, minSize=(least, least), maxSize=(most, most))
        if len(hits) == 0:
            return None
        rects = np.asarray(hits, np.float32)
        centres = rects[:, :2] + rects[:, 2:] / 2
        expected = ((box[:2] + box[2:]) / 2 - (x0, y0)) * scale
        x, y, w, h = rects[np.argmin(np.linalg.norm(centres - expected, axis=1))]
        middle, half = np.array([x + w / 2, y + h / 2]), self._TIGHTER * np.array([w, h]) / 2
        corners = np.concatenate([middle - half, middle + half])
        return (corners / scale + (x0, y0, x0, y0)).astype(np.float32)
