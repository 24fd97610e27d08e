"""Landmarks: 68 points by a small network, and the two pupils, for all faces of a frame in one batch.

    boxes → cuts by `alignment.align` → network → 68 points each → closer cuts, and their mirror images → network
          → mean of the three answers, back in the frame → irises between the lids

The first cut is the box's: the network needs no eyes, but sees the face as badly placed and as tilted as it is. The
second is made by the points that the first pass found. Where the network doubts its own answer, and where a point lies
outside of the image, there is NaN and no guess.

Convention: order of the points is that of `edge_runtime.markup`, (x, y) in pixels of the frame, pixel centres at
integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate, FloatArray, align, default_pupils, similarity
from edge_runtime.faces.iris import iris_pair
from edge_runtime.frames.frame import Image
from edge_runtime.markup import LEFT_EYE, MARKS, MIRROR, MOUTH, RIGHT_EYE

POINTS: Final = MARKS + 2  # the two pupils
# 1.4 times as wide as a Haar box, whose default pupils lie 0.37 of its side apart: chin, temples and a tilted head
# stay in the cut.
LANDMARK_TEMPLATE: Final = AlignmentTemplate("landmarks", 64, 23.5, 21.0)

_NO_CONFIDENCE: Final = 0.2  # expected error, by the eyes' distance, at which nothing is known of the face
_LEAST_CONFIDENCE: Final = 0.25
_LEAST_BOX_PX: Final = 8  # narrower boxes hold nothing that could be marked
# Where the middles of eyes and mouth come to lie in the second cut, x + iy, from the middle between the template's
# pupils in distances of those: the training persons' mean face, made symmetric and 1/0.85 as large as in the first cut.
_ANCHORS: Final = np.array([-0.568 - 0.111j, 0.568 - 0.111j, 1.165j])


class PointRegressor(Protocol):
    """The network; ONNX Runtime and OpenVINO stand behind it."""

    def regress(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """Runs one batch.

        Args:
            crops: (N, size, size) uint8, contiguous, N ≥ 1.

        Returns:
            (N, 136) float32, x and y of each point from −1 to 1 across the crop; (N,) float32, the natural logarithm of
            the mean error that is to be expected of them, as a share of the distance of the outer eye corners.

        Raises:
            EngineError: the engine failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Of the faces of one frame, as parallel arrays; N = 0 is legal.

    Attributes:
        points_xy: (N, 70, 2) float32 in pixels of the frame; NaN where unknown.
        confidence: (N,) float32 in [0, 1]: 1 − expected error / 0.2, the error being the network's own estimate of its
            mean error by the distance of the outer eye corners. Below 0.25 all points of the face are NaN.
        irises_found: (N,) bool; False: the pupils are the middles of their lids, since no pair of irises was found.
    """

    points_xy: FloatArray
    confidence: FloatArray
    irises_found: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.confidence)


class LandmarkFinder:
    """Finds the landmarks of faces.

    Args:
        regressor: the network.
        template: that its cuts are made by.
        finds_irises: False: the pupils are the middles of the lids, which costs less.
        looks_twice: False: the first pass alone, a third of the work and less right (docs/landmarks.md).
    """

    def __init__(
        self,
        regressor: PointRegressor,
        template: AlignmentTemplate = LANDMARK_TEMPLATE,
        *,
        finds_irises: bool = True,
        looks_twice: bool = True,
    ) -> None:
        self._regressor, self._template = regressor, template
        self._finds_irises, self._looks_twice = finds_irises, looks_twice

    def find(self, image_grey: Image, boxes_xyxy: FloatArray) -> Landmarks:
        """Marks each face.

        Args:
            image_grey: (H, W) uint8.
            boxes_xyxy: (N, 4) float32 as the frontal Haar cascades draw them; may reach out of the image.

        Raises:
            EngineError: the engine failed.
        """
        count = len(boxes_xyxy)
        points = np.full((count, POINTS, 2), np.nan, np.float32)
        confidence, irises = np.zeros(count, np.float32), np.zeros(count, np.bool_)
        rows = np.flatnonzero(boxes_xyxy[:, 2] - boxes_xyxy[:, 0] >= _LEAST_BOX_PX)
        if len(rows) == 0:
            return Landmarks(points, confidence, irises)
        marks, log_error = self._first_pass(image_grey, boxes_xyxy[rows])
        is_face = _confidence(log_error) >= _LEAST_CONFIDENCE
        if self._looks_twice and is_face.any():
            marks[is_face], log_error[is_face] = self._second_pass(
                image_grey, marks[is_face], log_error[is_face]
            )
        confidence[rows] = _confidence(log_error)
        for row, found in zip(rows, marks, strict=True):
            if confidence[row] >= _LEAST_CONFIDENCE:
                points[row, :MARKS] = found
                points[row, MARKS:], irises[row] = self._pupils(image_grey, found)
        points[_is_outside(points, image_grey)] = np.nan
        return Landmarks(points, confidence, irises)

    def _first_pass(self, image_grey: Image, boxes_xyxy: FloatArray) -> tuple[FloatArray, FloatArray]:
        pupils = default_pupils(boxes_xyxy)
        relative, log_error = self._regressor.regress(align(image_grey, pupils, self._template))
        matrices = similarity(pupils, self._template)
        return from_crop(relative.reshape(-1, MARKS, 2), matrices, self._template), log_error

    def _second_pass(
        self, image_grey: Image, first: FloatArray, first_log_error: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Closer cuts and their mirror images in one batch; the means of theirs and the first pass's answers."""
        count, size = len(first), self._template.size_px
        pupils = closer_pupils(first)
        cuts = np.empty((2, count, size, size), np.uint8)
        align(image_grey, pupils, self._template, out=cuts[0])
        cuts[1] = cuts[0, :, :, ::-1]
        relative, log_error = self._regressor.regress(cuts.reshape(-1, size, size))
        straight, mirrored = relative.reshape(2, count, MARKS, 2)
        mirrored = mirrored[:, MIRROR] * np.array([-1, 1], np.float32)
        both = np.asarray((straight + mirrored) / 2, np.float32)
        second = from_crop(both, similarity(pupils, self._template), self._template)
        total_log_error = first_log_error + log_error.reshape(2, count).sum(axis=0)
        return np.asarray((first + 2 * second) / 3, np.float32), np.asarray(total_log_error / 3, np.float32)

    def _pupils(self, image_grey: Image, marks: FloatArray) -> tuple[FloatArray, bool]:
        lids = np.stack([marks[LEFT_EYE], marks[RIGHT_EYE]])
        irises = iris_pair(image_grey, lids) if self._finds_irises else None
        return (lids.mean(axis=1), False) if irises is None else (irises, True)


def closer_pupils(marks_xy: FloatArray) -> FloatArray:
    """What `align` is to take for pupils, so that a face lies upright and closer in its cut than its box would have it.

    Eyes and mouth are enough to tell place, size and tilt: all 68 points gain nothing more (docs/landmarks.md).

    Args:
        marks_xy: (N, 68, 2) float32.

    Returns:
        (N, 2, 2) float32: of the least-squares similarity that takes `_ANCHORS` to the middles of eyes and mouth, the
        places of the template's pupils.
    """
    middles = np.stack([marks_xy[:, part].mean(axis=1) for part in (LEFT_EYE, RIGHT_EYE, MOUTH)], axis=1)
    found = middles @ np.array([1, 1j])  # a turn and a scale are one complex factor
    centre, arms = found.mean(axis=1, keepdims=True), _ANCHORS - _ANCHORS.mean()
    factor = (found - centre) @ arms.conj() / (np.abs(arms) ** 2).sum()
    pupils = centre + factor[:, None] * (np.array([-0.5, 0.5]) - _ANCHORS.mean())
    return np.stack([pupils.real, pupils.imag], axis=2).astype(np.float32)


def from_crop(relative: FloatArray, matrices: FloatArray, template: AlignmentTemplate) -> FloatArray:
    """Points of crops, back in the image that they were cut out of.

    Args:
        relative: (N, P, 2) float32, from −1 to 1 across the crop.
        matrices: (N, 2, 3) float32 from image to crop, of `alignment.similarity`.
        template: that the crops were cut by.

    Returns:
        (N, P, 2) float32 pixels.
    """
    in_crop = (relative * template.size_px + template.size_px - 1) / 2 - matrices[:, None, :, 2]
    linear = matrices[:, :, :2]
    # The inverse of a similarity is its transpose over the square of its scale.
    squared = (linear[:, 0] ** 2).sum(axis=1)[:, None, None]
    return np.asarray(in_crop @ linear / squared, np.float32)


def to_crop(points_xy: FloatArray, matrices: FloatArray, template: AlignmentTemplate) -> FloatArray:
    """The inverse of `from_crop`: what the network is to give for these points of the image."""
    in_crop = points_xy @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    return np.asarray((2 * in_crop - (template.size_px - 1)) / template.size_px, np.float32)


def _confidence(log_error: FloatArray) -> FloatArray:
    return np.asarray(np.clip(1 - np.exp(log_error) / _NO_CONFIDENCE, 0, 1), np.float32)


def _is_outside(points: FloatArray, image_grey: Image) -> npt.NDArray[np.bool_]:
    height, width = image_grey.shape
    # NaN compares as False, and stays what it is.
    is_outside = (points < -0.5) | (points > np.array([width, height]) - 0.5)
    return np.asarray(is_outside.any(axis=2))
