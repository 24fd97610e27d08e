"""One thorough look at a frame: the runtime's own detector at full width, and heads that it does not read.

Slower than what runs in the classroom, and meant to be: a survey has to see what will be missed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Manifest
from edge_runtime.config import Config
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.detection import intersection_over_union, make_detector
from edge_runtime.faces.following import LocalSearch
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.quality import FaceQuality, measure_quality
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame, Image
from edge_runtime.inference.pupil_search import pupil_way, shipped_landmarks
from edge_runtime.survey.readability import Grade, Limits, grade_faces

_MOST_WIDTH_PX: Final = 1920  # looked at; a wider frame is shrunk
_LEAST_WIDTH_PX: Final = 960  # a smaller frame is enlarged, so that faces below the cascade's window are seen
_SAME_HEAD: Final = 0.25  # overlap, from which a profile is the same head as a frontal face
_PROFILE_STEP, _PROFILE_NEIGHBOURS = 1.15, 4  # the profile cascade errs more often than the frontal one


@dataclass(frozen=True, slots=True)
class Sightings:
    """The heads of one frame, as parallel arrays in pixels of the frame; N = 0 is legal.

    Attributes:
        boxes_xyxy: (N, 4) float32, square, as the Haar cascades draw them.
        grades: (N,) int8, see `Grade`.
        quality: (N,) light and focus; of a head that is turned away, as far as it can be said.
        suspects_xyxy: (M, 4) float32: everything that any cascade took for a head, for what must be hidden.
    """

    boxes_xyxy: FloatArray
    grades: npt.NDArray[np.int8]
    quality: FaceQuality
    suspects_xyxy: FloatArray

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


class ThoroughScan:
    """See the module. An instance belongs to one thread.

    Args:
        config: names the detector.
        manifest: of the bundle, for the crops on which sharpness is measured.
        limits: of the widths.
    """

    def __init__(self, config: Config, manifest: Manifest, limits: Limits) -> None:
        self._limits, self._template = limits, manifest.alignment.template()
        thorough = {"scan_width_px": _MOST_WIDTH_PX, "scan_step": 1.1, "min_neighbors": 2, "min_face_px": 10}
        self._detector = make_detector(config.faces.model_copy(update=thorough))
        self._search = LocalSearch()
        self._profile = load_cascade("haarcascade_profileface.xml")
        self._pupils = PupilFinder()
        self._landmarks = shipped_landmarks() if pupil_way(config.faces, manifest) == "landmarks" else None

    def __call__(self, image_bgr: Image) -> Sightings:
        """Looks at one frame.

        Args:
            image_bgr: (H, W, 3) uint8.
        """
        enlarge = max(1.0, _LEAST_WIDTH_PX / image_bgr.shape[1])
        image = image_bgr
        if enlarge > 1:
            image = np.asarray(cv2.resize(image_bgr, None, fx=enlarge, fy=enlarge), np.uint8)
        view = FrameView(Frame(image, 0.0))
        hits = self._detector.detect(view)
        frontal = hits.boxes_xyxy
        if not hits.is_certain:
            # The runtime believes the scan's cascade only where the other one agrees.
            found, agreed = self._search.find(view.grey, frontal)
            frontal = found[agreed]
        frontal = _without_doubles(frontal)
        profiles = self._profiles(view.grey)
        turned = profiles[~_overlaps(profiles, frontal)]
        boxes = np.concatenate([frontal, turned]).astype(np.float32)
        grades = np.full(len(boxes), Grade.TURNED, np.int8)
        quality = measure_quality(view, boxes, self._pupils, self._template, self._landmarks)
        if enlarge > 1:
            quality = replace(quality, width_px=(quality.width_px / enlarge).astype(np.float32))
        grades[: len(frontal)] = grade_faces(quality, self._limits)[: len(frontal)]
        suspects = np.concatenate([hits.boxes_xyxy, frontal, profiles]).astype(np.float32)
        return Sightings(
            (boxes / enlarge).astype(np.float32), grades, quality, suspects / np.float32(enlarge)
        )

    def _profiles(self, grey: Image) -> FloatArray:
        """Heads seen from either side, in the frontal cascade's convention."""
        scale = min(1.0, _MOST_WIDTH_PX / grey.shape[1])
        small = grey if scale == 1 else np.asarray(cv2.resize(grey, None, fx=scale, fy=scale), np.uint8)
        found: list[FloatArray] = []
        for mirrored in (False, True):
            image = np.ascontiguousarray(small[:, ::-1]) if mirrored else small
            hits = self._profile.detectMultiScale(image, _PROFILE_STEP, _PROFILE_NEIGHBOURS, minSize=(24, 24))
            rects = np.array(sorted(map(tuple, hits)), np.float32).reshape(-1, 4)
            rects[:, 2:] += rects[:, :2]
            if mirrored:
                rects[:, [0, 2]] = small.shape[1] - rects[:, [2, 0]]
            found.append(rects)
        return _without_doubles(np.concatenate(found) / np.float32(scale))


def _overlaps(boxes: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) bool: which boxes lie on one of the others."""
    if len(boxes) == 0 or len(others) == 0:
        return np.zeros(len(boxes), np.bool_)
    overlap: npt.NDArray[np.float32] = intersection_over_union(boxes, others)
    return np.asarray(overlap.max(axis=1) > _SAME_HEAD)


def _without_doubles(boxes: FloatArray) -> FloatArray:
    """Of boxes on the same head, the largest."""
    kept = np.empty((0, 4), np.float32)
    for box in boxes[np.argsort(boxes[:, 0] - boxes[:, 2], kind="stable")]:
        if not _overlaps(box[None], kept)[0]:
            kept = np.concatenate([kept, box[None]])
    return kept.astype(np.float32)
