"""Sightings of many frames → places: where in the picture heads were, and how readable they were there.

A place is no person: whoever sits there is the same place, and a person who changes seats is two. Places keep
numbers only, nothing of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.survey.readability import Grade
from edge_runtime.survey.scan import Sightings

_NEAR: Final = 0.9  # of the head's side: a head that moved no farther is in the same place
_SIZE_RATIO: Final = 1.7
_FEW_EYES: Final = (
    1 / 3
)  # eyes are found in three of five faces of FER2013; in fewer, the head is bent or turned
_ENOUGH: Final = 3  # sightings from which the share of found eyes means something
_LEAST_SIGHTINGS: Final = 2  # what was seen once in a longer survey was no head
_LEAST_SHARE: Final = 0.05  # of all scans


@dataclass(frozen=True, slots=True)
class Place:
    """Where heads were.

    Attributes:
        x_px, y_px: middle of the head.
        face_px: width of the face.
        grade: what it was good for most of the time.
        seen_share: share of the scans, 0..1, in which a head was seen there.
        counts: sightings for each grade.
        eyes_share: share of the sightings, 0..1, with a pair of eyes.
        brightness, sharpness: medians.
    """

    x_px: float
    y_px: float
    face_px: float
    grade: Grade
    seen_share: float
    counts: dict[Grade, int]
    eyes_share: float
    brightness: float
    sharpness: float


@dataclass(slots=True)
class _Seen:
    centre: FloatArray
    side: float
    scans: list[int] = field(default_factory=list)
    rows: list[tuple[float, int, bool, float, float]] = field(default_factory=list)

    def fits(self, centre: FloatArray, side: float) -> float | None:
        """How far the head is, in sides of the box; None when it is another place."""
        ratio = side / self.side
        away = float(np.linalg.norm(centre - self.centre)) / max(side, self.side)
        return away if away < _NEAR and 1 / _SIZE_RATIO < ratio < _SIZE_RATIO else None


class Places:
    """Collects; one thread."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []
        self.scans = 0

    def add(self, sightings: Sightings) -> None:
        """Takes the sightings of one frame."""
        self.scans += 1
        quality = sightings.quality
        taken: set[int] = set()
        for row, box in enumerate(sightings.boxes_xyxy):
            centre, side = (box[:2] + box[2:]) / 2, float(box[2] - box[0])
            place = self._nearest(centre, side, taken)
            taken.add(id(place))
            count = len(place.rows)
            place.centre = (place.centre * count + centre) / (count + 1)
            place.side = (place.side * count + side) / (count + 1)
            place.scans.append(self.scans)
            place.rows.append(
                (
                    float(quality.width_px[row]),
                    int(sightings.grades[row]),
                    bool(quality.pupils_found[row]),
                    float(quality.brightness[row]),
                    float(quality.sharpness[row]),
                )
            )

    def _nearest(self, centre: FloatArray, side: float, taken: set[int]) -> _Seen:
        found, best = None, float("inf")
        for place in self._seen:
            away = None if id(place) in taken else place.fits(centre, side)
            if away is not None and away < best:
                found, best = place, away
        if found is None:
            found = _Seen(centre, side)
            self._seen.append(found)
        return found

    def result(self) -> tuple[Place, ...]:
        """All places that were more than a glimpse, left to right."""
        least = 1 if self.scans < _ENOUGH else max(_LEAST_SIGHTINGS, _LEAST_SHARE * self.scans)
        places = [_place(seen, self.scans) for seen in self._seen if len(seen.rows) >= least]
        return tuple(sorted(places, key=lambda place: place.x_px))


def _place(seen: _Seen, scans: int) -> Place:
    widths, grades, eyes, brightness, sharpness = map(np.array, zip(*seen.rows, strict=True))
    counts = {grade: int((grades == grade).sum()) for grade in Grade if (grades == grade).any()}
    # Ties go to the worse: an installer should not be promised more than there is.
    grade = max(counts, key=lambda item: (counts[item], item))
    frontal = grades != Grade.TURNED
    eyes_share = float(eyes[frontal].mean()) if frontal.any() else 0.0
    if grade is Grade.READABLE and frontal.sum() >= _ENOUGH and eyes_share < _FEW_EYES:
        grade = Grade.MARGINAL
    return Place(
        x_px=float(seen.centre[0]),
        y_px=float(seen.centre[1]),
        face_px=float(np.median(widths)),
        grade=grade,
        seen_share=len(set(seen.scans)) / scans,
        counts=counts,
        eyes_share=eyes_share,
        brightness=float(np.median(brightness)),
        sharpness=float(np.median(sharpness)),
    )
