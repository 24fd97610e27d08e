"""What a landmark network is worth: errors on marked faces through the device's own cuts and engine.

Errors of a landmark are told by the distance of the outer eye corners, those of a pupil by the distance of the eyes;
the truth of a pupil is the middle of its lids. Intervals are bootstrapped over persons: the frames of one film are
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.landmarks import LandmarkFinder, Landmarks
from edge_runtime.faces.marked import MarkedFaces, eye_distance
from edge_runtime.faces.pose import head_poses
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.markup import LEFT_EYE, MARKS, RIGHT_EYE

PUPIL_LIMIT: Final = 0.10
FRONTAL_YAW_DEG: Final = 25.0
LEAST_WIDTH_PX: Final = 60.0
_DRAWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval over persons."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PupilQuality:
    """How well one way finds pupils, of all faces that it was asked for.

    Attributes:
        found: share of the faces in which it says to have found them.
        within: share of all faces whose pupils are off by at most a tenth of the distance of the eyes, on average.
        within_of_found: the same of those that it found; NaN where it found none.
        worse_within: share of all faces whose worse pupil is, too.
        median: error of the two pupils, found or fallen back.
    """

    found: float
    within: float
    within_of_found: float
    worse_within: float
    median: float


@dataclass(frozen=True, slots=True)
class LandmarkEvaluation:
    """On one split.

    Attributes:
        faces, persons: that were marked.
        boxes_found: share of the faces that the detector found by itself; around the others the box is drawn by the
            marks.
        error: over the faces that were not given up.
        displacement: mean of found minus marked, x and y, likewise by the eyes' distance; a network that learned mirror
            images cannot have one of its own in x, so it is the marks'.
        error_without: mean error when that is taken out, 2 numbers for all faces.
        given_up: share of the faces without landmarks, the network being too unsure.
        parts: part of the face → mean error.
        doubt: Spearman's correlation of the confidence with the error, −1 at best.
        frontal: faces that are frontal and at least 60 px wide, on which pupils are judged.
        pupils: way → quality on those.
    """

    faces: int
    persons: int
    boxes_found: float
    error: Interval
    displacement: tuple[float, float]
    error_without: Interval
    given_up: float
    parts: dict[str, float]
    doubt: float
    frontal: int
    pupils: dict[str, PupilQuality]

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return asdict(self)


_PARTS: Final = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}


def evaluate_landmarks(
    finder: LandmarkFinder, faces: MarkedFaces, on_face: Callable[[int, int], None] = lambda done, total: None
) -> LandmarkEvaluation:
    """Marks every face and compares.

    Args:
        finder: to be judged.
        faces: N ≥ 1.
        on_face: called with (faces done, faces in all).
    """
    found = [_find(finder, faces, row, on_face) for row in range(len(faces))]
    points = np.concatenate([item.points_xy for item in found])
    confidence = np.concatenate([item.confidence for item in found])
    offsets = (points[:, :MARKS] - faces.marks_xy) / eye_distance(faces.marks_xy)[:, None, None]
    by_part = np.linalg.norm(offsets, axis=2)
    errors = by_part.mean(axis=1)
    known = np.isfinite(errors)
    displacement = offsets[known].mean(axis=(0, 1))
    without = np.linalg.norm(offsets[known] - displacement, axis=2).mean(axis=1)
    return LandmarkEvaluation(
        len(faces),
        len(np.unique(faces.persons)),
        float(faces.boxes_found.mean()),
        over_persons(errors[known], faces.persons[known]),
        (float(displacement[0]), float(displacement[1])),
        over_persons(without, faces.persons[known]),
        float(1 - known.mean()),
        {name: float(by_part[known, part].mean()) for name, part in _PARTS.items()},
        _spearman(confidence[known], errors[known]),
        int(is_frontal(faces).sum()),
        _pupils(found, faces),
    )


def landmark_errors(finder: LandmarkFinder, faces: MarkedFaces) -> FloatArray:
    """(N,) float32: mean error of each face's points by the distance of its outer eye corners; NaN where given up."""
    points = [_find(finder, faces, row).points_xy[:, :MARKS] for row in range(len(faces))]
    return np.asarray(_errors(np.concatenate(points), faces.marks_xy).mean(axis=1), np.float32)


def over_persons(errors: FloatArray, persons: npt.NDArray[np.str_]) -> Interval:
    """Mean over faces, with an interval from drawing persons anew, with all their faces (seeded)."""
    names, places = np.unique(persons, return_inverse=True)
    sums, counts = np.bincount(places, errors), np.bincount(places)
    drawn = np.random.default_rng(0).integers(len(names), size=(_DRAWS, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(errors.mean()), float(low), float(high))


def is_frontal(faces: MarkedFaces) -> npt.NDArray[np.bool_]:
    """(N,) bool: turned by less than 25° by its marks, and at least 60 px wide in its film."""
    yaw = head_poses(faces.marks_xy).yaw_deg
    return np.asarray((np.abs(yaw) < FRONTAL_YAW_DEG) & (faces.width_px >= LEAST_WIDTH_PX))


def pupil_errors(pupils_xy: FloatArray, marks_xy: FloatArray) -> FloatArray:
    """(N, 2) float32: distance of each pupil from the middle of its lids, by the distance of those middles."""
    truth = np.stack([marks_xy[:, LEFT_EYE].mean(axis=1), marks_xy[:, RIGHT_EYE].mean(axis=1)], axis=1)
    apart = np.linalg.norm(truth[:, 1] - truth[:, 0], axis=1)
    return np.asarray(np.linalg.norm(pupils_xy - truth, axis=2) / apart[:, None], np.float32)


def _find(
    finder: LandmarkFinder,
    faces: MarkedFaces,
    row: int,
    on_face: Callable[[int, int], None] = lambda done, total: None,
) -> Landmarks:
    on_face(row + 1, len(faces))
    return finder.find(faces.images[row], faces.boxes_xyxy[row : row + 1])


def _errors(points: FloatArray, truth: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points - truth, axis=2) / eye_distance(truth)[:, None], np.float32)


def _pupils(found: list[Landmarks], faces: MarkedFaces) -> dict[str, PupilQuality]:
    rows = np.flatnonzero(is_frontal(faces))
    if len(rows) == 0:
        return {}
    haar, marks = PupilFinder(), faces.marks_xy[rows]
    by_haar = [haar.find(faces.images[row], faces.boxes_xyxy[row : row + 1]) for row in rows]
    points = np.concatenate([found[row].points_xy for row in rows])
    irises = np.concatenate([found[row].irises_found for row in rows])
    lids = np.stack([points[:, LEFT_EYE].mean(axis=1), points[:, RIGHT_EYE].mean(axis=1)], axis=1)
    known = np.isfinite(lids).all(axis=(1, 2))
    default = np.concatenate([pupils for pupils, _ in by_haar])
    ways = {
        "Haar eyes": (default, np.concatenate([ok for _, ok in by_haar])),
        "landmarks": (np.where(known[:, None, None], lids, default), known),
        "landmarks and Hough": (np.where(known[:, None, None], points[:, MARKS:], default), irises & known),
    }
    return {name: _quality(pupil_errors(pupils, marks), ok) for name, (pupils, ok) in ways.items()}


def _quality(errors: FloatArray, found: npt.NDArray[np.bool_]) -> PupilQuality:
    both = errors.mean(axis=1)
    good = both <= PUPIL_LIMIT
    return PupilQuality(
        found=float(found.mean()),
        within=float(good.mean()),
        within_of_found=float(good[found].mean()) if found.any() else float("nan"),
        worse_within=float((errors.max(axis=1) <= PUPIL_LIMIT).mean()),
        median=float(np.median(both)),
    )


def _spearman(left: FloatArray, right: FloatArray) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(np.float64) for values in (left, right)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
