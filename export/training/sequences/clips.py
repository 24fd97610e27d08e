"""Clips: frames of one face, with what is true of each frame."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.frames.frame import Image

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clips:
    """N clips of M frames, the oldest first; M = 1 are stills.

    Convention: points are (x, y) in pixels of the frame, pixel centres at integers; of two pupils the image-left one
        comes first.

    Attributes:
        images: (N, M, S, S) uint8 grey, the face in the middle.
        pupils_xy: (N, M, 2, 2) float32.
        landmarks_xy: (N, M, 70, 2) float32; NaN where unknown.
        shares: (N, M, K) float32, how far each class is true of each frame; sum to 1.
        valence_arousal: (N, M, 2) float32 in [−1, 1].

    Raises:
        ValueError: the arrays do not describe the same clips.
    """

    images: Image
    pupils_xy: FloatArray
    landmarks_xy: FloatArray
    shares: FloatArray
    valence_arousal: FloatArray

    def __post_init__(self) -> None:
        shapes = {entry.name: getattr(self, entry.name).shape for entry in fields(self)}
        count = self.images.shape[:2]
        ends = {"pupils_xy": (2, 2), "landmarks_xy": (70, 2), "valence_arousal": (2,)}
        for name, end in ends.items():
            if shapes[name] != (*count, *end):
                raise ValueError(f"{name} is {shapes[name]}; {count} clips and frames need {(*count, *end)}")
        if self.images.ndim != 4 or self.shares.ndim != 3 or self.shares.shape[:2] != count:
            raise ValueError(f"images are {shapes['images']}, shares {shapes['shares']}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int:
        """M."""
        return int(self.images.shape[1])

    @property
    def labels(self) -> _Rows:
        """(N,) the class that is truest of the newest frame."""
        return np.asarray(self.shares[:, -1].argmax(axis=1), np.int64)

    def rows(self, rows: _Rows) -> Clips:
        """Some of them."""
        return Clips(*(getattr(self, entry.name)[rows] for entry in fields(self)))

    def frame(self, rows: _Rows, frames: _Rows) -> Clips:
        """One frame of each of some clips, as stills; `frames` has one number for each of the rows."""
        return Clips(*(getattr(self, entry.name)[rows, frames][:, None] for entry in fields(self)))


def stacked(clips: Sequence[Clips]) -> Clips:
    """Several sets as one, in their order; their frames are of one size."""
    return Clips(*(np.concatenate([getattr(part, entry.name) for part in clips]) for entry in fields(Clips)))


def save_clips(path: Path, clips: Clips) -> None:
    """Writes a `.npz`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    arrays: dict[str, Any] = {entry.name: getattr(clips, entry.name) for entry in fields(clips)}
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial, path)


def load_clips(path: Path) -> Clips:
    """Reads what `save_clips` wrote.

    Raises:
        ConfigurationError: it is no such file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return Clips(*(stored[entry.name] for entry in fields(Clips)))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as exc:
        hint = "delete it: it is made anew"
        raise ConfigurationError(
            str(path), [Fault("", f"cannot be read as clips: {exc}")], hint=hint
        ) from exc
