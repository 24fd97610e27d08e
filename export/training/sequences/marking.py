"""Landmarks of clips of which nobody knows them, found by the network and in the way of the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from edge_runtime.faces.alignment import FloatArray, boxes_around
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.frames.frame import Image
from edge_runtime.inference.landmark_engine import open_landmark_finder
from edge_runtime.landmark_bundle import open_landmarks, packaged_landmarks_path
from export.training.sequences.clips import Clips

_AT_A_TIME: Final = 16  # frames, as the faces of one image


def marked(clips: Clips, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Clips:
    """The same clips with the landmarks that the network that ships finds; NaN where it doubts.

    Args:
        clips: of any frames; what they say of landmarks is not looked at.
        on_progress: called with (frames done, frames in all).

    Raises:
        BundleError, EngineError: the landmark network cannot be opened.
    """
    finder = open_landmark_finder(packaged_landmarks_path())
    frames = clips.images.reshape(-1, *clips.images.shape[2:])
    boxes = boxes_around(clips.pupils_xy.reshape(-1, 2, 2))
    points = np.empty((len(frames), *clips.landmarks_xy.shape[2:]), np.float32)
    for start in range(0, len(frames), _AT_A_TIME):
        some = slice(start, start + _AT_A_TIME)
        points[some] = _found(finder, frames[some], boxes[some])
        on_progress(min(start + _AT_A_TIME, len(frames)), len(frames))
    return replace(clips, landmarks_xy=points.reshape(clips.landmarks_xy.shape))


def marks_version() -> str:
    """Of the network that `marked` asks; clips that another one marked are made anew."""
    return open_landmarks(packaged_landmarks_path()).manifest.version


def _found(finder: LandmarkFinder, frames: Image, boxes: FloatArray) -> FloatArray:
    """The frames side by side, so far apart that no cut shows a neighbour: borders continue as `align` continues them.

    A point may so lie outside of its frame: a data set's cut ends where no camera's image would.
    """
    margin = frames.shape[1] // 2
    apart = np.pad(frames, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    origins = np.full((len(frames), 2), margin, np.float32)
    origins[:, 0] += apart.shape[2] * np.arange(len(frames))
    found = finder.find(np.concatenate(list(apart), axis=1), boxes + np.tile(origins, 2))
    return found.points_xy - origins[:, None]
