"""Training data: labelled pre-cut faces with the pupils that the device would find in them.

Finding them takes minutes for FER2013, so the result is kept beside the run, under the digest of the images.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.labelled import LabelledFaces
from edge_runtime.faces.precut import LocatedFaces, PrecutLocator
from edge_runtime.frames.frame import Image

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class TrainingFaces:
    """One split, ready to be cut.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N,) int64.
        located: pupils in pixels of the images.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    located: LocatedFaces

    @property
    def pupils_xy(self) -> FloatArray:
        """(N, 2, 2) float32."""
        return self.located.pupils_xy


def locate(
    faces: LabelledFaces, cache: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> TrainingFaces:
    """Finds face and pupils in each image, on all cores; reads them from `cache` where they were found before.

    Args:
        faces: one split.
        cache: folder for the result; made when absent.
        progress: called with (images done, images in all).
    """
    digest = hashlib.sha256(faces.images.tobytes()).hexdigest()[:16]
    file = cache / f"pupils-{digest}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        chunks = [faces.images[start : start + _CHUNK] for start in range(0, len(faces), _CHUNK)]
        parts = []
        # spawn: OpenCV's and torch's thread pools do not survive a fork
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            for part in pool.map(_locate_chunk, chunks):
                parts.append(part)
                progress(min(len(parts) * _CHUNK, len(faces)), len(faces))
        located = LocatedFaces(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        partial = file.with_suffix(".partial.npz")
        np.savez(
            partial, pupils_xy=located.pupils_xy, face_found=located.face_found, pupils_found=located.pupils_found
        )
        os.replace(partial, file)
    with np.load(file, allow_pickle=False) as stored:
        located = LocatedFaces(stored["pupils_xy"], stored["face_found"], stored["pupils_found"])
    return TrainingFaces(faces.images, faces.labels, located)


def _locate_chunk(images: Image) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    cv2.setNumThreads(1)
    located = PrecutLocator()(images)
    return located.pupils_xy, located.face_found, located.pupils_found
