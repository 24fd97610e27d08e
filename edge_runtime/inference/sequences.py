"""From crops to probabilities by a network of sequences: each face's last frames, and how they are read.

    new crops ──encoder, all faces in one batch──▶ features ──▶ ring of each track ──head, full rings──▶ probabilities

A face is read from the moment on that its ring is full; until then it warms up: seen, and not read. Its ring begins
anew when its track breaks, when it was not to be had for longer than `LONGEST_GAP`, or when its box jumps to where
another face must be. One frame that is missing is stood in for by the one before it.
"""

from __future__ import annotations

import logging
from collections import deque
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Manifest, SequencePart
from edge_runtime.errors import EngineError
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.crops import Crops
from edge_runtime.inference.classifier import Probabilities, checked, softmax
from edge_runtime.inference.engine import NOTHING, Dimensions, Features, Given, SequenceEngine

_log = logging.getLogger(__name__)
BoolArray = npt.NDArray[np.bool_]

LONGEST_GAP: Final = 2.5  # strides; a longer one begins the sequence anew
# A face that moved by more than its box, or grew by half, from one stride to the next is another one: the tracker
# gave its id away. Seated people do neither.
_JUMP: Final = 1.0
_GROWTH: Final = 1.5
_SLOW: Final = 1.25  # strides between two frames of the source, from which on it is too slow
_INTERVALS: Final = 8  # of which the median is taken


class FeatureRings:
    """The features of each track's last M frames, one stride apart.

    Args:
        frames: M.
        feature_length: F.
        stride_s: between two frames.

    Attributes:
        restarts: sequences begun anew though their track lived on, in all.
        held: frames that were missing and stood in for, in all.
    """

    def __init__(self, frames: int, feature_length: int, stride_s: float) -> None:
        self._stride_s = stride_s
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []
        self._features = np.empty((0, frames, feature_length), np.float32)
        self._next = np.empty(0, np.intp)  # where the next frame goes, which is where the oldest lies
        self._count = np.empty(0, np.intp)  # frames since the sequence began
        self._last_s = np.empty(0)
        self._boxes = np.empty((0, 4), np.float32)
        self._order = np.arange(frames)
        self.restarts = self.held = 0

    def push(
        self, now_s: float, track_ids: npt.NDArray[np.int64], boxes_xyxy: FloatArray, features: Features
    ) -> None:
        """One frame of each of these faces.

        Args:
            now_s: on the capture clock.
            track_ids: (N,) int64, each at most once.
            boxes_xyxy: (N, 4) float32 in pixels of the frame.
            features: (N, F) float32.
        """
        rows = self._rows(track_ids)
        gaps = (now_s - self._last_s[rows]) / self._stride_s
        known = self._count[rows] > 0
        broken = known & ((gaps > LONGEST_GAP) | (gaps < 0) | self._jumped(rows, boxes_xyxy))
        self.restarts += int(broken.sum())
        self._count[rows[broken]] = 0
        late = rows[known & ~broken & (np.rint(gaps) >= 2)]
        self.held += len(late)
        self._append(late, self._features[late, self._next[late] - 1])
        self._append(rows, features)
        self._last_s[rows], self._boxes[rows] = now_s, boxes_xyxy

    def are_full(self, track_ids: npt.NDArray[np.int64]) -> BoolArray:
        """(N,) bool: whose last M frames are there."""
        return np.asarray(self._count[self._rows(track_ids)] >= len(self._order))

    def sequences(self, track_ids: npt.NDArray[np.int64]) -> Features:
        """(N, M, F) float32, the oldest frame first; of full rings."""
        rows = self._rows(track_ids)
        places = (self._next[rows, None] + self._order) % len(self._order)
        found: Features = self._features[rows[:, None], places]
        return found

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """Forgets all tracks but these."""
        alive = set(track_ids.tolist())
        for track in [track for track in self._row_of if track not in alive]:
            row = self._row_of.pop(track)
            self._count[row] = 0
            self._free.append(row)

    def _append(self, rows: npt.NDArray[np.intp], features: Features) -> None:
        self._features[rows, self._next[rows]] = features
        self._next[rows] = (self._next[rows] + 1) % len(self._order)
        self._count[rows] += 1

    def _jumped(self, rows: npt.NDArray[np.intp], boxes: FloatArray) -> BoolArray:
        before = self._boxes[rows]
        sides, sides_before = boxes[:, 2] - boxes[:, 0], before[:, 2] - before[:, 0]
        way = (boxes[:, :2] + boxes[:, 2:] - before[:, :2] - before[:, 2:]) / 2
        too_far = np.hypot(way[:, 0], way[:, 1]) > _JUMP * sides_before
        return too_far | (sides > _GROWTH * sides_before) | (sides_before > _GROWTH * sides)

    def _rows(self, track_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        tracks = track_ids.tolist()
        for track in tracks:
            if track not in self._row_of:
                if not self._free:
                    self._grow()
                self._row_of[track] = self._free.pop()
        return np.array([self._row_of[track] for track in tracks], np.intp)

    def _grow(self) -> None:
        """Twice as many tracks, at least eight."""
        size = len(self._count)
        more = max(8, size)
        for name in ("_features", "_next", "_count", "_last_s", "_boxes"):
            rows = getattr(self, name)
            setattr(self, name, np.concatenate([rows, np.zeros((more, *rows.shape[1:]), rows.dtype)]))
        self._free.extend(range(size, size + more))


class SourcePace:
    """Whether frames come as often as the sequences want them; told once, in words, when that changes.

    Args:
        stride_s: that the bundle wants.
    """

    def __init__(self, stride_s: float) -> None:
        self._stride_s = stride_s
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._before_s: float | None = None
        self.is_too_slow = False

    @property
    def interval_s(self) -> float | None:
        """Median time between two frames that were read; None: not known yet."""
        return median(self._intervals) if len(self._intervals) == _INTERVALS else None

    def saw(self, now_s: float) -> None:
        """A frame is read, at this time of the capture clock."""
        if self._before_s is not None and now_s > self._before_s:
            self._intervals.append(now_s - self._before_s)
        self._before_s = now_s
        interval_s = self.interval_s
        if interval_s is None or (interval_s > _SLOW * self._stride_s) == self.is_too_slow:
            return
        self.is_too_slow = not self.is_too_slow
        if self.is_too_slow:
            outcome = (
                "no face can be read"
                if interval_s > LONGEST_GAP * self._stride_s
                else "faces are read from sequences that run too fast, and less surely"
            )
            _log.warning(
                "frames come every %.2f s, and the network's sequences want one every %.2f s: %s; give the camera a "
                "rate of %.0f frames/s or more, or use a bundle of single images",
                interval_s,
                self._stride_s,
                outcome,
                np.ceil(1 / self._stride_s),
            )
        else:
            _log.info("frames come often enough for the network's sequences")


class SequenceClassifier:
    """Reads the faces of a moment by what they did in the last frames.

    Args:
        engine: of a bundle with a sequence.
        manifest: of that bundle.
        max_batch: faces in one call.
        stride_s: when it is not the bundle's; for a candidate in the shadow, which is not asked at its own beat.

    Attributes:
        rings: what it remembers.
        pace: whether the source is fast enough.
    """

    def __init__(
        self,
        engine: SequenceEngine,
        manifest: Manifest,
        *,
        max_batch: int,
        stride_s: float | None = None,
    ) -> None:
        part = sequence_of(manifest)
        self._engine, self._max_batch, self._temperature = engine, max_batch, manifest.temperature
        self._classes, self._dimensions = len(manifest.labels), len(manifest.dimensions)
        self.stride_s = part.stride_s if stride_s is None else stride_s
        self.rings = FeatureRings(part.frames, part.feature_length, self.stride_s)
        self.pace = SourcePace(self.stride_s)

    def read(
        self, now_s: float, crops: Crops, given: Given = NOTHING
    ) -> tuple[BoolArray, Probabilities, Dimensions]:
        """Takes one moment's faces in and reads those whose sequence is whole.

        Args:
            now_s: on the capture clock.
            crops: of this moment, N of them; N may be 0.
            given: kind → (N, …) of inputs that are not made of crops.

        Returns:
            (N,) bool, who was read; (R, K) probabilities and (R, D) dimensions in [−1, 1] of those.

        Raises:
            EngineError: the engine failed, or gave something that is no number.
        """
        if len(crops):
            features = [
                self._engine.encode(
                    crops.images[part], {kind: values[part] for kind, values in given.items()}
                )
                for part in self._parts(len(crops))
            ]
            self.rings.push(now_s, crops.track_ids, crops.boxes_xyxy, np.concatenate(features))
        ready = self.rings.are_full(crops.track_ids)
        tracks = crops.track_ids[ready]
        if not len(tracks):
            return (
                ready,
                np.empty((0, self._classes), np.float32),
                np.empty((0, self._dimensions), np.float32),
            )
        found = [self._engine.head(self.rings.sequences(tracks[part])) for part in self._parts(len(tracks))]
        logits, dimensions = (np.concatenate(column) for column in zip(*found, strict=True))
        try:
            logits, dimensions = checked(logits, dimensions)
        except EngineError:
            self.rings.keep_only(np.empty(0, np.int64))  # what is no number would stay in the rings
            raise
        return ready, softmax(logits, self._temperature), dimensions

    def _parts(self, count: int) -> list[slice]:
        return [slice(start, start + self._max_batch) for start in range(0, count, self._max_batch)]


def sequence_of(manifest: Manifest) -> SequencePart:
    """The sequence of a manifest that has one.

    Raises:
        EngineError: it has none.
    """
    if manifest.sequence is None:
        raise EngineError(f"{manifest.name} has no sequence", hint="open it as a network of single crops")
    return manifest.sequence
