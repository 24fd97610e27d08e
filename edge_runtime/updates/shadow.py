"""A candidate beside the current bundle, on the same live faces: do they agree, and what does each take?

Only sums leave this module: how many readings, on how many both named the same label, the mean distance of their
probabilities, and times. No crop, face or single reading is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.errors import BundleError, EngineError
from edge_runtime.faces.crops import CropMaker, Crops
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.view import FrameView
from edge_runtime.inference.classifier import Probabilities
from edge_runtime.inference.landmark_engine import landmarks_for
from edge_runtime.inference.opening import Choice
from edge_runtime.inference.pupil_search import pupil_source, pupil_way
from edge_runtime.inference.reading import FaceReader, reader_of
from edge_runtime.pacing import Beat
from edge_runtime.profiling.spans import Spans

_STAGE: Final = "shadow"


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What the comparison showed.

    Attributes:
        faces: readings that both bundles gave.
        agreement: share of them with the same first label, 0 to 1; 0 where there are none.
        distance: mean total variation distance of the probabilities, 0 (the same) to 1.
        candidate_p50_ms: of one moment's faces, crops included where the candidate needs its own.
    """

    faces: int
    agreement: float
    distance: float
    candidate_p50_ms: float


class Shadow:
    """Reads what the current bundle reads, and compares.

    Args:
        candidate, choice: the bundle that may come, its engine checked.
        current: the bundle that runs.
        config: with which both run.

    Attributes:
        problem: why the candidate failed; empty while it did not.
    """

    def __init__(self, candidate: Bundle, choice: Choice, current: Bundle, config: Config) -> None:
        new, old, inference = candidate.manifest, current.manifest, config.inference
        self._reader: FaceReader | None = None
        self._maker: CropMaker | None = None
        self.problem = ""
        # Faces come at the beat of the bundle that runs: a sequence lets those between two strides go, and where
        # they come more seldom than it wants, they are its frames.
        beat_s = old.sequence.stride_s if old.sequence else 1 / inference.classify_rate_hz
        stride_s = max(new.sequence.stride_s, beat_s) if new.sequence else None
        self._beat = None if stride_s is None else Beat(stride_s)
        readable = inference.readable_width_px or new.readable_width_px
        template, way = new.alignment.template(), pupil_way(config.faces, new)
        shares_crops = (template, way) == (old.alignment.template(), pupil_way(config.faces, old))
        try:
            if not shares_crops:
                self._maker = CropMaker(template, readable, pupils=pupil_source(way))
            self._reader = reader_of(
                new,
                choice.engine,
                inference.max_batch,
                landmarks=landmarks_for(candidate, inference.threads),
                stride_s=stride_s,
            )
        except (BundleError, EngineError) as exc:
            self.problem = str(exc)
        # Column of the candidate for each label of the current bundle that it has too.
        columns = {name: index for index, name in enumerate(new.label_names)}
        shared = [(index, columns[name]) for index, name in enumerate(old.label_names) if name in columns]
        self._old_columns, self._new_columns = np.array(shared, np.intp).reshape(-1, 2).T
        self._spans = Spans()
        self._faces = self._agreed = 0
        self._distance = 0.0

    def compare(self, view: FrameView, faces: Faces, crops: Crops, probabilities: Probabilities) -> None:
        """Takes one moment.

        Args:
            view: the frame that the crops come from.
            faces: in it.
            crops: of the current bundle.
            probabilities: (N, K) of the current bundle, a row for each crop.
        """
        if self.problem or self._reader is None:
            return
        if self._beat is not None and not self._beat.strikes(view.timestamp_s):
            return
        with self._spans.measure(_STAGE):
            own = crops if self._maker is None else self._maker.make(view, faces)
            if not len(own):
                return
            try:
                ours = self._reader.read(view, own)
            except EngineError as exc:
                self.problem = str(exc)
                return
        tracks = ours.crops.track_ids
        _, rows, own_rows = np.intersect1d(crops.track_ids, tracks, return_indices=True)
        self._count(probabilities[rows], ours.probabilities[own_rows])

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """Forgets all tracks but these."""
        if self._reader is not None:
            self._reader.keep_only(track_ids)
        if self._beat is not None and not len(track_ids):  # the next face may come at any time
            self._beat.reset()

    def _count(self, old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]) -> None:
        if not len(old) or not len(self._old_columns):
            return
        old, new = old[:, self._old_columns], new[:, self._new_columns]
        self._faces += len(old)
        self._agreed += int((old.argmax(axis=1) == new.argmax(axis=1)).sum())
        self._distance += float(np.abs(old - new).sum()) / 2

    def report(self) -> ShadowReport:
        """What it has shown so far."""
        times = self._spans.percentiles().get(_STAGE)
        count = max(self._faces, 1)
        return ShadowReport(
            self._faces,
            round(self._agreed / count, 4),
            round(self._distance / count, 4),
            round(times.p50_ms, 3) if times is not None else 0.0,
        )
