"""Training data: labelled pre-cut faces with the pupils that the device would find in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.labelled import LabelledFaces
from edge_runtime.faces.locating import locate_all
from edge_runtime.faces.precut import LocatedFaces
from edge_runtime.frames.frame import Image


@dataclass(frozen=True, slots=True)
class TrainingFaces:
    """One split, ready to be cut.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N,) int64.
        located: pupils in pixels of the images.
        votes: (N, 10) uint8, how many raters chose what; None where the set has no votes.
        taught: (N, K) float32, a teacher's probabilities; None without a teacher.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    located: LocatedFaces
    votes: Image | None = None
    taught: FloatArray | None = None

    @property
    def pupils_xy(self) -> FloatArray:
        """(N, 2, 2) float32."""
        return self.located.pupils_xy


def locate(
    faces: LabelledFaces, cache: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> TrainingFaces:
    """Finds face and pupils in each image; reads them from `cache` where they were found before.

    Args:
        faces: one split.
        cache: folder for the result; made when absent.
        progress: called with (images done, images in all).
    """
    located = locate_all(faces.images, cache=cache, on_progress=progress)
    return TrainingFaces(faces.images, faces.labels, located, faces.votes)


def check_sizes(
    batch_size: int, training: TrainingFaces, choosing: TrainingFaces, label_names: tuple[str, ...]
) -> None:
    """Refuses sets that nothing can be learned from.

    Raises:
        ConfigurationError: names every class without a training image, and a split that is too small.
    """
    counts = np.bincount(training.labels, minlength=len(label_names))
    faults = [
        Fault(name, "has no training image: nothing could be learned of it")
        for name, count in zip(label_names, counts, strict=True)
        if count == 0
    ]
    if len(training.labels) < batch_size:
        faults.append(
            Fault("training", f"{len(training.labels)} images are less than one batch of {batch_size}")
        )
    if len(choosing.labels) == 0:
        faults.append(Fault("public", "holds no images, so that nothing tells how good the network is"))
    if faults:
        raise ConfigurationError(
            "the training data", faults, hint="give more images, or a smaller --batch-size"
        )
