"""How readable a face is, beside its width: light on it, focus, and whether it is turned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate, FloatArray, align
from edge_runtime.faces.detection import HAAR_SIDE_PER_FACE_WIDTH
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.faces.pose import head_poses
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Image

# The skin of a Haar box: without hair, background and collar, as fractions of its side.
_INNER_X: Final = (0.22, 0.78)
_INNER_Y: Final = (0.25, 0.88)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Of the faces of one frame, as parallel arrays; N = 0 is legal.

    Attributes:
        width_px: (N,) float32, of the face itself (not of the box).
        brightness: (N,) float32, mean grey level of the skin, 0..255.
        contrast: (N,) float32, its standard deviation.
        sharpness: (N,) float32, see `sharpness`.
        pupils_found: (N,) bool, a pair of eyes was found and passed the geometric check.
        turned_away: (N,) bool, a profile, or bent over a book, by its landmarks; False where nobody looked for them.
    """

    width_px: FloatArray
    brightness: FloatArray
    contrast: FloatArray
    sharpness: FloatArray
    pupils_found: npt.NDArray[np.bool_]
    turned_away: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.width_px)


def measure_quality(
    view: FrameView,
    boxes_xyxy: FloatArray,
    pupils: PupilFinder,
    template: AlignmentTemplate,
    landmarks: LandmarkFinder | None = None,
) -> FaceQuality:
    """Looks at each face.

    Args:
        view: the frame.
        boxes_xyxy: (N, 4) float32 in pixels of the frame, as the frontal Haar cascades draw them.
        pupils: of the caller's thread.
        template: of the bundle; sharpness is measured on its crops.
        landmarks: tell how heads are turned; None: nobody looks.

    Raises:
        EngineError: the landmark network failed.
    """
    points, found = pupils.find(view.grey, boxes_xyxy)
    crops = align(view.grey, points, template)
    light = np.array([_light(view.grey, box) for box in boxes_xyxy], np.float32).reshape(-1, 2)
    return FaceQuality(
        width_px=((boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) / HAAR_SIDE_PER_FACE_WIDTH).astype(np.float32),
        brightness=light[:, 0],
        contrast=light[:, 1],
        sharpness=np.array([sharpness(crop) for crop in crops], np.float32),
        pupils_found=found,
        turned_away=_turned_away(view, boxes_xyxy, landmarks),
    )


def sharpness(crop: Image) -> float:
    """Variance of the crop's Laplacian over that of the crop; low when blurred.

    Of aligned crops of 96 px it is 0.03 to 0.3 for faces in focus, and below 0.014 where only a third of the
    eyes are still found (mosaic clip, blurred with a standard deviation of 0, 1, 2 and 3 px).
    """
    deviation = cv2.meanStdDev(crop)[1].item()
    edges = cv2.meanStdDev(cv2.Laplacian(crop, cv2.CV_16S))[1].item()
    return (edges / deviation) ** 2 if deviation > 0 else 0.0


def _turned_away(
    view: FrameView, boxes_xyxy: FloatArray, landmarks: LandmarkFinder | None
) -> npt.NDArray[np.bool_]:
    if landmarks is None:
        return np.zeros(len(boxes_xyxy), np.bool_)
    poses = head_poses(landmarks.find(view.grey, boxes_xyxy).points_xy)
    return poses.is_profile | poses.is_looking_down


def _light(grey: Image, box: FloatArray) -> tuple[float, float]:
    height, width = grey.shape
    side = float(box[2] - box[0])
    x0, x1 = (int(np.clip(box[0] + part * side, 0, width)) for part in _INNER_X)
    y0, y1 = (int(np.clip(box[1] + part * side, 0, height)) for part in _INNER_Y)
    if x1 <= x0 or y1 <= y0:
        return 0.0, 0.0
    mean, deviation = cv2.meanStdDev(grey[y0:y1, x0:x1])
    return mean.item(), deviation.item()
