"""Faces with 68 landmarks marked: what the landmark network's training, calibration and evaluation all read.

A set is a `.npz` archive: `images (N, S, S) uint8`, one grey face each; `landmarks (N, 68, 2)`, (x, y) in pixels of the
image, order of iBUG; `person (N,)`; optionally `half_px (N,)`, half of the image's side in the film it was cut out of.

Persons, not images, are split: the same face is never learned and judged. A person's name decides, so that a set that
grows keeps its split.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.config import FacesSection
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.detection import HaarDetector, intersection_over_union
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame, Image
from edge_runtime.markup import MARKS, OUTER_EYE_CORNERS

Split = Literal["training", "choosing", "test", "all"]
_TEST_SHARE: Final = 0.2  # of the persons
_CHOOSING_SHARE: Final = 0.1
_SAME_FACE_IOU: Final = 0.4


@dataclass(frozen=True, slots=True)
class MarkedFaces:
    """One split, as parallel arrays.

    Attributes:
        images: (N, S, S) uint8 grey.
        marks_xy: (N, 68, 2) float32 in pixels of the image.
        persons: (N,) names.
        boxes_xyxy: (N, 4) float32, the face as a frontal Haar cascade draws it.
        boxes_found: (N,) bool; False: the cascade did not find the face, and the box is drawn around its marks.
        width_px: (N,) float32, from ear to ear in the film that the image was cut out of.
    """

    images: Image
    marks_xy: FloatArray
    persons: npt.NDArray[np.str_]
    boxes_xyxy: FloatArray
    boxes_found: npt.NDArray[np.bool_]
    width_px: FloatArray

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> MarkedFaces:
        """Some of the faces."""
        return MarkedFaces(
            self.images[rows],
            self.marks_xy[rows],
            self.persons[rows],
            self.boxes_xyxy[rows],
            self.boxes_found[rows],
            self.width_px[rows],
        )


def load_marked(path: Path, split: Split = "all") -> MarkedFaces:
    """Reads one split, and finds each face's box with the device's own detector (3 ms a face).

    Args:
        path: of the archive.
        split: `training` (70 % of the persons), `choosing` (10 %), `test` (20 %) or `all`.

    Raises:
        ConfigurationError: the archive is missing, truncated or not of its layout, or holds nobody of this split.
    """
    images, marks, persons, half_px = _arrays(path)
    splits = split_of(persons)
    rows = np.flatnonzero((splits == split) | (split == "all"))
    if len(rows) == 0:
        problem = f"nobody of the {split} split: {len(np.unique(persons))} persons are too few to be split"
        raise ConfigurationError(str(path), [Fault("person", problem)])
    images, marks = images[rows], marks[rows]
    boxes, found = face_boxes(images, marks)
    width = (marks[:, 16] - marks[:, 0])[:, 0] * 2 * half_px[rows] / images.shape[2]
    return MarkedFaces(images, marks, persons[rows], boxes, found, width.astype(np.float32))


def split_of(persons: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """For each face the split of its person: by the name's sha256, as a share of all that it could be."""
    names, places = np.unique(persons, return_inverse=True)
    shares = np.array([int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 for name in names])
    later = np.where(shares < _TEST_SHARE + _CHOOSING_SHARE, "choosing", "training")
    return np.asarray(np.where(shares < _TEST_SHARE, "test", later)[places], np.str_)


def box_of_marks(marks_xy: FloatArray) -> FloatArray:
    """The box that the frontal cascade would draw; medians over the faces of landmarks68.npz that it finds.

    Args:
        marks_xy: (N, 68, 2) float32.

    Returns:
        (N, 4) float32, square.
    """
    low, high = marks_xy.min(axis=1), marks_xy.max(axis=1)
    side = _SIDE_BY_EXTENT * (high - low).max(axis=1, keepdims=True)
    middle = (low + high) / 2 + _MIDDLE_BY_SIDE * side
    return np.concatenate([middle - side / 2, middle + side / 2], axis=1).astype(np.float32)


_SIDE_BY_EXTENT: Final = 1.19
_MIDDLE_BY_SIDE: Final = np.array([0.0, -0.157], np.float32)


def face_boxes(images: Image, marks_xy: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Boxes of the faces that are marked, by the device's detector where it finds them.

    Args:
        images: (N, H, W) uint8.
        marks_xy: (N, 68, 2) float32.

    Returns:
        (N, 4) float32 boxes, and (N,) bool: the detector found it.
    """
    expected = box_of_marks(marks_xy)
    boxes, found = expected.copy(), np.zeros(len(images), np.bool_)
    detector = HaarDetector(FacesSection(max_face_fraction=1.0))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # images this small are done before other threads have woken up
    try:
        for row, image in enumerate(images):
            detected = detector.detect(FrameView(Frame(np.ascontiguousarray(image), 0.0))).boxes_xyxy
            if len(detected) == 0:
                continue
            overlap = intersection_over_union(expected[row : row + 1], detected)[0]
            if overlap.max() >= _SAME_FACE_IOU:
                boxes[row], found[row] = detected[int(overlap.argmax())], True
    finally:
        cv2.setNumThreads(threads)
    return boxes, found


def eye_distance(marks_xy: FloatArray) -> FloatArray:
    """(N,) float32: distance of the outer eye corners, by which landmark errors are told."""
    left, right = (marks_xy[:, corner] for corner in OUTER_EYE_CORNERS)
    return np.asarray(np.linalg.norm(right - left, axis=1), np.float32)


def _arrays(path: Path) -> tuple[Image, FloatArray, npt.NDArray[np.str_], FloatArray]:
    hint = "the layout is described in edge_runtime/faces/marked.py"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            images, marks = archive["images"], archive["landmarks"]
            persons = archive["person"].astype(np.str_)
            half_px = archive["half_px"] if "half_px" in archive.files else None
    except OSError as exc:
        raise ConfigurationError(str(path), [Fault("", f"cannot be read: {exc.strerror or exc}")]) from exc
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise ConfigurationError(
            str(path), [Fault("", f"is no set of marked faces: {exc}")], hint=hint
        ) from exc
    count = len(images)
    faults = []
    if images.ndim != 3 or images.dtype != np.uint8:
        faults.append(Fault("images", f"are {images.shape} {images.dtype}, not (N, S, S) uint8"))
    if marks.shape != (count, MARKS, 2) or marks.dtype.kind not in "fiu" or not np.isfinite(marks).all():
        faults.append(
            Fault("landmarks", f"are {marks.shape} {marks.dtype}, not ({count}, 68, 2) finite numbers")
        )
    if persons.shape != (count,):
        faults.append(Fault("person", f"are {persons.shape}, not ({count},)"))
    if faults:
        raise ConfigurationError(str(path), faults, hint=hint)
    half = np.full(count, images.shape[2] / 2) if half_px is None else half_px
    return images, marks.astype(np.float32), persons, np.asarray(half, np.float32)
