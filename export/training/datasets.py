"""Training data: labelled pre-cut faces with the pupils that the device would find in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
    """

    images: Image
    labels: npt.NDArray[np.int64]
    located: LocatedFaces
    votes: Image | None = None

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
