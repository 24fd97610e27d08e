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
from edge_runtime.faces.precut import LocatedFaces
from edge_runtime.frames.frame import Image
from edge_runtime.inference.pupil_search import locate_precut
from export.training.recipe import device_pupils


@dataclass(frozen=True, slots=True)
class TrainingFaces:
    """One split, ready to be cut.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N,) int64.
        located: pupils in pixels of the images.
        also_xy: (N, 2, 2) float32 pupils that something else found, for half of the crops; None: `located` for all.
        votes: (N, 10) uint8, how many raters chose what; None where the set has no votes.
        taught: (N, K) float32, a teacher's probabilities; None without a teacher.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    located: LocatedFaces
    votes: Image | None = None
    taught: FloatArray | None = None
    also_xy: FloatArray | None = None

    @property
    def pupils_xy(self) -> FloatArray:
        """(N, 2, 2) float32."""
        return self.located.pupils_xy


def locate(
    faces: LabelledFaces,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    pupils: str = "haar",
) -> TrainingFaces:
    """Finds face and pupils in each image; reads them from `cache` where they were found before.

    Args:
        faces: one split.
        cache: folder for the result; made when absent.
        progress: called with (images done, images in all), for each finder anew.
        pupils: what finds them, of `recipe.PUPILS`; where both do, `located` are the landmarks'.

    Raises:
        BundleError, EngineError: the landmark network cannot be opened.
    """
    located = locate_precut(faces.images, device_pupils(pupils), cache=cache, on_progress=progress)
    also_xy = None
    if pupils == "both":
        also_xy = locate_precut(faces.images, "haar", cache=cache, on_progress=progress).pupils_xy
    return TrainingFaces(faces.images, faces.labels, located, faces.votes, also_xy=also_xy)


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
