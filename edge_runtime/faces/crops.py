"""From the faces of a frame to the crops that are classified, with the quality that each one carries."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate, FloatArray, align
from edge_runtime.faces.detection import HAAR_SIDE_PER_FACE_WIDTH
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.landmark_pupils import PupilSource
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.quality import sharpness as sharpness_of
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Image
from edge_runtime.profiling.spans import Spans

# Eyes move little within the face, and looking for them costs more than classifying the face. On the benchmark
# clip looking each time gives no better pupils and the same classes (tests/bench/agreement.py).
_LOOK_AGAIN_S: Final = {True: 8.0, False: 4.0}  # found or not
_SPREAD: Final = 0.618034  # golden ratio: successive ids lie evenly in 0..1, however many there are
_SIZE_CHANGED: Final = 1.15  # the box then sits otherwise on the face


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops of one moment, as parallel arrays; N = 0 is legal.

    Attributes:
        images: (N, size, size) uint8, aligned and equalised.
        track_ids: (N,) int64.
        age_s: (N,) float64, since the track was born.
        pupils_found: (N,) bool; False: cut by the default pupils of the face box.
        face_width_px: (N,) float32, width of the face itself (not of the box) in the frame.
        boxes_xyxy: (N, 4) float32 in pixels of the frame.
    """

    images: Image
    track_ids: npt.NDArray[np.int64]
    age_s: npt.NDArray[np.float64]
    pupils_found: npt.NDArray[np.bool_]
    face_width_px: FloatArray
    boxes_xyxy: FloatArray

    def __len__(self) -> int:
        return len(self.track_ids)

    def only(self, mask: npt.NDArray[np.bool_]) -> Crops:
        """Those for which the (N,) mask is true."""
        return Crops(*(getattr(self, each.name)[mask] for each in fields(self)))

    @property
    def sharpness(self) -> FloatArray:
        """(N,) float32, see `edge_runtime.faces.quality.sharpness`; computed when asked for."""
        return np.array([sharpness_of(image) for image in self.images], np.float32)


def face_widths_px(faces: Faces) -> FloatArray:
    """(N,) float32: widths of the faces themselves; a Haar box is wider."""
    return (faces.widths_px / HAAR_SIDE_PER_FACE_WIDTH).astype(np.float32)


@dataclass(slots=True)
class _KnownPupils:
    in_box: FloatArray  # (2, 2), as fractions of the box
    side_px: float  # of the box
    found: bool
    due_s: float  # to be looked for again

    def is_stale(self, now_s: float, side_px: float) -> bool:
        ratio = side_px / self.side_px
        return now_s >= self.due_s or not 1 / _SIZE_CHANGED < ratio < _SIZE_CHANGED


class CropMaker:
    """Cuts the crops of readable faces. Remembers where in its box each face has its pupils.

    Args:
        template: of the bundle.
        readable_width_px: faces narrower than this are not cut.
        spans: where stage times go.
        pupils: finds them; Haar eyes when absent.
    """

    def __init__(
        self,
        template: AlignmentTemplate,
        readable_width_px: int,
        spans: Spans | None = None,
        pupils: PupilSource | None = None,
    ) -> None:
        self.template, self.readable_width_px = template, readable_width_px
        self._spans = Spans() if spans is None else spans
        self._pupils: PupilSource = PupilFinder() if pupils is None else pupils
        self._known: dict[int, _KnownPupils] = {}

    def readable(self, faces: Faces) -> npt.NDArray[np.bool_]:
        """(N,) bool: which faces are wide enough to be classified."""
        return face_widths_px(faces) >= self.readable_width_px

    def make(self, view: FrameView, faces: Faces) -> Crops:
        """Cuts the readable ones among the faces of this frame."""
        rows = np.flatnonzero(self.readable(faces))
        ids, boxes = faces.track_ids[rows], faces.boxes_xyxy[rows]
        with self._spans.measure("pupils"):
            pupils, found = self._locate(view, ids, boxes)
        with self._spans.measure("align"):
            images = align(view.grey, pupils, self.template)
        return Crops(images, ids, faces.age_s[rows], found, face_widths_px(faces)[rows], boxes)

    def _locate(
        self, view: FrameView, ids: npt.NDArray[np.int64], boxes: FloatArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        now_s = view.timestamp_s
        known = {int(track): self._known[int(track)] for track in ids if int(track) in self._known}
        sides_px = (boxes[:, 2] - boxes[:, 0]).tolist()
        stale = [
            row
            for row, (track, side_px) in enumerate(zip(ids.tolist(), sides_px, strict=True))
            if track not in known or known[track].is_stale(now_s, side_px)
        ]
        pupils, found = self._pupils.find(view.grey, boxes[stale])
        for row, pair, ok in zip(stale, pupils, found, strict=True):
            track, side = int(ids[row]), boxes[row, 2:] - boxes[row, :2]
            interval_s = _LOOK_AGAIN_S[bool(ok)]
            if track not in known:  # a class that came in together is not looked at together for ever
                interval_s *= 0.25 + 0.75 * (track * _SPREAD % 1)
            known[track] = _KnownPupils(
                (pair - boxes[row, :2]) / side, sides_px[row], bool(ok), now_s + interval_s
            )
        self._known = known  # tracks that are gone are forgotten
        chosen = [known[int(track)] for track in ids]
        corners, sides = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None, :]
        in_box = np.array([item.in_box for item in chosen], np.float32).reshape(-1, 2, 2)
        return (corners + in_box * sides).astype(np.float32), np.array(
            [item.found for item in chosen], np.bool_
        )
