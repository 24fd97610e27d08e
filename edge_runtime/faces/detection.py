"""Full-frame face detection: Haar cascades (P1 §2.1), and YuNet behind the same interface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.config import FacesSection
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Image

CASCADES: Final = {
    "default": "haarcascade_frontalface_default.xml",
    "alt": "haarcascade_frontalface_alt.xml",
    "alt2": "haarcascade_frontalface_alt2.xml",
}
CASCADE_WINDOW_PX: Final = 20  # of all frontal cascades
_SAME_SIZE: Final = 0.2  # hits whose corners lie closer than this share of their sides are of one group
_SAME_FACE_IOU: Final = 0.3  # of two groups that overlap more, the one with more hits stands for the face
# A Haar box is square and about 1.33 times as wide as the face (mosaic clip, against YuNet's tight boxes).
HAAR_SIDE_PER_FACE_WIDTH: Final = 1.33


@dataclass(frozen=True, slots=True)
class Detections:
    """What one scan found.

    Attributes:
        boxes_xyxy: (N, 4) float32, square, as the frontal Haar cascades draw them (brow to chin, ear to ear).
        is_certain: the boxes need no second look. A cascade's do: what it once takes for a face, a cupboard
            say, it takes for one in each scan.
    """

    boxes_xyxy: FloatArray
    is_certain: bool = False

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


class Detector(Protocol):
    """Finds the faces of a whole frame. An instance belongs to one thread."""

    def prepare(self, view: FrameView) -> None:
        """Makes the forms of the frame that `detect` needs, in the caller's thread."""
        ...

    def detect(self, view: FrameView) -> Detections:
        """All faces, in pixels of the frame."""
        ...


class HaarDetector:
    """A frontal Haar cascade over a pyramid of the scaled image.

    OpenCV tries every second place while it looks for faces less than twice its window, and every place (four
    times the work) for larger ones. So each octave of sizes is looked for in an image half as wide as the one
    before, and the hits of all of them are grouped together.
    """

    def __init__(self, settings: FacesSection) -> None:
        self._settings = settings
        self._cascade = load_cascade(CASCADES[settings.cascade])

    def prepare(self, view: FrameView) -> None:
        """See `Detector.prepare`."""
        self._octaves(view)

    def detect(self, view: FrameView) -> Detections:
        """See `Detector.detect`."""
        settings = self._settings
        most_px = settings.max_face_fraction * view.shape[0]
        hits = [np.empty((0, 4), np.float32)]
        for image, scale in self._octaves(view):
            least = max(CASCADE_WINDOW_PX, round(settings.min_face_px * scale))
            most = min(2 * CASCADE_WINDOW_PX - 1, round(most_px * scale))
            if least <= most:
                found = self._cascade.detectMultiScale(
                    image, settings.scan_step, 0, minSize=(least, least), maxSize=(most, most)
                )
                hits.append(np.asarray(found, np.float32).reshape(-1, 4) / scale)
        return Detections(_grouped(np.concatenate(hits), settings.min_neighbors))

    def _octaves(self, view: FrameView) -> list[tuple[Image, float]]:
        settings = self._settings
        most_px = (
            settings.max_face_fraction * view.shape[0] * min(1.0, settings.scan_width_px / view.shape[1])
        )
        count = max(1, math.ceil(math.log2(max(1.0, most_px / CASCADE_WINDOW_PX))))
        return view.octaves(settings.scan_width_px, count)


def _grouped(hits_xywh: FloatArray, min_neighbors: int) -> FloatArray:
    """Overlapping hits as one box, where there are more than `min_neighbors` of them; (N, 4), corners."""
    rects = sorted(hits_xywh.round().astype(int).tolist())  # threads find in any order
    # Twice, since OpenCV drops what stands alone.
    boxes, hits = cv2.groupRectangles(rects * 2, 2 * min_neighbors + 1, _SAME_SIZE)
    best = cv2.dnn.NMSBoxes(boxes, [float(count) for count in hits], 0.0, _SAME_FACE_IOU)
    corners = np.asarray(boxes, np.float32).reshape(-1, 4)[best]
    corners[:, 2:] += corners[:, :2]
    return corners


class YuNetDetector:
    """YuNet (Wu et al. 2023) in OpenCV's DNN module; its boxes are turned into Haar's convention."""

    def __init__(self, settings: FacesSection) -> None:
        self._settings = settings
        path = settings.yunet_model
        if path is None or not path.is_file():
            raise ConfigurationError(
                "the configuration",
                [Fault("faces.yunet_model", f"no such file: {path}")],
                hint='download YuNet\'s ONNX file, or use detector = "haar"',
            )
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.6, 0.3, 500)
            # Another network than YuNet loads as well, and fails only when it runs.
            self._net.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as exc:
            raise ConfigurationError(
                "the configuration", [Fault("faces.yunet_model", f"OpenCV cannot read {path}: {exc.err}")]
            ) from exc

    def prepare(self, view: FrameView) -> None:
        """See `Detector.prepare`; YuNet reads the frame itself."""

    def detect(self, view: FrameView) -> Detections:
        """See `Detector.detect`."""
        height, width = view.shape
        scale = min(1.0, self._settings.scan_width_px / width)
        size = (round(width * scale), max(1, round(height * scale)))
        self._net.setInputSize(size)
        _, found = self._net.detect(
            view.frame.image_bgr if scale == 1 else cv2.resize(view.frame.image_bgr, size)
        )
        if found is None:
            return Detections(np.empty((0, 4), np.float32))
        rows = np.asarray(found, np.float32)
        rows = rows[np.isfinite(rows).all(axis=1)]  # on frames a few pixels high it answers infinite boxes
        side = rows[:, 2] * HAAR_SIDE_PER_FACE_WIDTH / scale
        centre = (rows[:, :2] + rows[:, 2:4] / 2) / scale
        corner = centre - np.stack([side, side], 1) / 2
        boxes = np.concatenate([corner, corner + side[:, None]], axis=1)
        sizes_ok = (side >= self._settings.min_face_px) & (
            side <= self._settings.max_face_fraction * view.shape[0]
        )
        return Detections(boxes[sizes_ok].astype(np.float32), is_certain=True)


def make_detector(settings: FacesSection) -> Detector:
    """The configured detector.

    Raises:
        ConfigurationError: YuNet's model is missing or no model.
        EngineError: this OpenCV has no cascades.
    """
    return YuNetDetector(settings) if settings.detector == "yunet" else HaarDetector(settings)


def intersection_over_union(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float32]:
    """(N, 4) and (M, 4) boxes → (N, M) ratios in [0, 1]."""
    (left, top, right, bottom), other = first.T[:, :, None], second.T[:, None]
    width = np.minimum(right, other[2]) - np.maximum(left, other[0])
    height = np.minimum(bottom, other[3]) - np.maximum(top, other[1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = [np.maximum(b[:, 2] - b[:, 0], 0) * np.maximum(b[:, 3] - b[:, 1], 0) for b in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), np.float32)
