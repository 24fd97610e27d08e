"""How a bundle's network reads the faces of a moment: one by one, or by what they did in their last frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Manifest
from edge_runtime.faces.crops import Crops
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.inference.classifier import Classifier, Probabilities
from edge_runtime.inference.engine import NOTHING, Dimensions, Engine, Given, SequenceEngine
from edge_runtime.inference.landmark_engine import no_landmarks
from edge_runtime.inference.sequences import SequenceClassifier, SourcePace
from edge_runtime.profiling.spans import Spans

LANDMARKS_STAGE: Final = "landmarks"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at one moment.

    Attributes:
        crops: of the faces that were read, R of them; of a sequence not always all that are there.
        probabilities: (R, K) float32.
        dimensions: (R, D) float32 in [−1, 1].
    """

    crops: Crops
    probabilities: Probabilities
    dimensions: Dimensions

    def __len__(self) -> int:
        return len(self.crops)


class FaceReader(Protocol):
    """A bundle's network at work on one camera: `SingleReader`, `SequenceReader`.

    Attributes:
        stride_s: time between two moments that the network asks for; None: any will do.
        pace: whether they come so often; None likewise.
    """

    stride_s: float | None
    pace: SourcePace | None

    def read(self, view: FrameView, crops: Crops) -> Reading:
        """Reads the faces of a moment.

        Args:
            view: the frame.
            crops: of its readable faces.

        Raises:
            EngineError: the engine failed.
        """
        ...

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """Forgets all tracks but these."""
        ...


class SingleReader:
    """Reads each face by itself."""

    stride_s: float | None = None
    pace: SourcePace | None = None

    def __init__(self, manifest: Manifest, engine: Engine, max_batch: int) -> None:
        self._classifier = Classifier(
            engine,
            temperature=manifest.temperature,
            classes=len(manifest.labels),
            max_batch=max_batch,
            dimensions=len(manifest.dimensions),
        )

    def read(self, view: FrameView, crops: Crops) -> Reading:
        """See `FaceReader.read`."""
        del view
        return Reading(crops, *self._classifier.read(crops.images))

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """Nothing is remembered."""


class SequenceReader:
    """Reads each face by its last frames.

    Args:
        manifest: of a bundle with a sequence.
        engine: of it.
        max_batch: faces in one call.
        landmarks: where the network wants to see them.
        spans: where the time that they take goes.
        stride_s: see `SequenceClassifier`.

    Raises:
        EngineError: the network wants landmarks, and there are none.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: SequenceEngine,
        max_batch: int,
        *,
        landmarks: LandmarkFinder | None,
        spans: Spans,
        stride_s: float | None = None,
    ) -> None:
        if manifest.wants_landmarks and landmarks is None:
            raise no_landmarks(manifest.name)
        self._landmarks = landmarks if manifest.wants_landmarks else None
        self._spans = spans
        self.classifier = SequenceClassifier(engine, manifest, max_batch=max_batch, stride_s=stride_s)
        self.stride_s: float | None = self.classifier.stride_s
        self.pace: SourcePace | None = self.classifier.pace

    def read(self, view: FrameView, crops: Crops) -> Reading:
        """See `FaceReader.read`."""
        self.classifier.pace.saw(view.timestamp_s)
        ready, *found = self.classifier.read(view.timestamp_s, crops, self._given(view, crops))
        return Reading(crops.only(ready), *found)

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """See `FaceReader.keep_only`."""
        self.classifier.rings.keep_only(track_ids)

    def _given(self, view: FrameView, crops: Crops) -> Given:
        if self._landmarks is None:
            return NOTHING
        with self._spans.measure(LANDMARKS_STAGE):
            found = self._landmarks.find(view.grey, crops.boxes_xyxy)
            return {"landmark_distances": landmark_distances(found.points_xy)}


def reader_of(
    manifest: Manifest,
    engine: Engine,
    max_batch: int,
    *,
    landmarks: LandmarkFinder | None = None,
    spans: Spans | None = None,
    stride_s: float | None = None,
) -> FaceReader:
    """The reader that a bundle's network needs.

    Args:
        manifest: of the bundle.
        engine: of it.
        max_batch: faces in one call.
        landmarks: for a network that wants to see them.
        spans: where the time that they take goes.
        stride_s: of sequences, when it is not the bundle's.

    Raises:
        EngineError: see `SequenceReader`.
    """
    if manifest.sequence is None:
        return SingleReader(manifest, engine, max_batch)
    return SequenceReader(
        manifest,
        cast("SequenceEngine", engine),
        max_batch,
        landmarks=landmarks,
        spans=Spans() if spans is None else spans,
        stride_s=stride_s,
    )
