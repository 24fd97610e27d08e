"""Clips grown from photographs, so that a network does not know drawn faces alone.

A data set of single photographs holds nobody twice. So a clip runs from one photograph to another: from a neutral face
to the most similar of a few dozen, by what their blurred pictures have in common, with dense optical flow between the
two, so that a mouth moves and does not fade. Its course (onset, apex, offset) is that of the simulated lesson.
Valence and arousal follow the same course from 0 to the class's own place; nobody has labelled these faces so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate, FloatArray, similarity
from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.controls import VALENCE_AROUSAL
from edge_runtime.frames.simulation.lesson import LABEL_FROM, unfold
from export.training.datasets import TrainingFaces
from export.training.sequences.clips import Clips
from export.training.sequences.simulated import unknown_landmarks

# Wide enough around the loose template's cut that a disturbed one still lies inside.
FRAME: Final = AlignmentTemplate("grown", 80, 28.0, 28.0)
_CANDIDATES: Final = 48  # neutral faces of which the most similar one is taken
_LOOKS_PX: Final = 12  # side of the picture that faces are compared by
_FLOW_BLUR_PX: Final = 3.0  # faces of two people agree in the large only


def places_of(label_names: tuple[str, ...]) -> FloatArray:
    """(K, 2) float32, valence and arousal of each class at its apex."""
    return np.array([VALENCE_AROUSAL.get(name, (0.0, 0.0)) for name in label_names], np.float32)


def stills(faces: TrainingFaces, shares: FloatArray, label_names: tuple[str, ...]) -> Clips:
    """Each photograph as a clip of one frame.

    Args:
        faces: of any size.
        shares: (N, K) how far each class is true of each face.
        label_names: of the classes.
    """
    count = len(faces.labels)
    dimensions = np.asarray(shares @ places_of(label_names), np.float32)
    return Clips(
        faces.images[:, None],
        faces.pupils_xy[:, None],
        unknown_landmarks(count, 1),
        shares[:, None],
        dimensions[:, None],
    )


def grown_clips(
    faces: TrainingFaces,
    shares: FloatArray,
    count: int,
    label_names: tuple[str, ...],
    frames: int,
    stride_s: float,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Clips:
    """Grows clips; classes take turns by what is true of the newest frame.

    Args:
        faces: photographs; those of the class `neutral` are what clips begin with and end in.
        shares: (N, K) how far each class is true of each face.
        count: of clips.
        label_names: of the classes; `neutral` is one of them.
        frames: M.
        stride_s: from one frame to the next.
        seed: of all choices.
        on_progress: called with (clips done, clips in all).
    """
    rng = np.random.default_rng(seed)
    neutral = label_names.index("neutral")
    by_class = [np.flatnonzero(faces.labels == label) for label in range(len(label_names))]
    places = places_of(label_names)
    images = np.empty((count, frames, FRAME.size_px, FRAME.size_px), np.uint8)
    true = np.empty((count, frames, len(label_names)), np.float32)
    dimensions = np.empty((count, frames, 2), np.float32)
    for index in range(count):
        wanted = index % len(label_names)
        # A clip that ends neutral may have left any expression.
        label = wanted if wanted != neutral else int(rng.integers(len(label_names)))
        peak = int(rng.choice(by_class[label]))
        course = _course(frames, stride_s, rng, ends_neutral=wanted == neutral)
        apex = _framed(faces, peak)
        if label == neutral:
            rest, course = peak, np.zeros(frames)
        else:
            rest = _most_similar(faces, apex, rng.choice(by_class[neutral], _CANDIDATES))
        images[index] = morphed(_matched(_framed(faces, rest), apex), apex, course)
        is_peak = course >= LABEL_FROM
        true[index] = np.where(is_peak[:, None], shares[peak], shares[rest])
        dimensions[index] = course[:, None] * places[label]
        on_progress(index + 1, count)
    pupils = np.array(
        [[FRAME.pupil_x_px, FRAME.pupil_y_px], [FRAME.size_px - FRAME.pupil_x_px, FRAME.pupil_y_px]],
        np.float32,
    )
    everywhere = np.broadcast_to(pupils, (count, frames, 2, 2)).copy()
    return Clips(images, everywhere, unknown_landmarks(count, frames), true, dimensions)


def morphed(rest: Image, apex: Image, course: npt.NDArray[np.float64]) -> Image:
    """Frames on the way from one face to another.

    Args:
        rest: (S, S) uint8.
        apex: (S, S) uint8.
        course: (M,) how far on the way, 0 is `rest` and 1 `apex`.

    Returns:
        (M, S, S) uint8.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(rest, apex, None)  # type: ignore[call-overload]
    flow = cv2.GaussianBlur(flow, (0, 0), _FLOW_BLUR_PX)
    rows, columns = np.mgrid[: rest.shape[0], : rest.shape[1]].astype(np.float32)
    frames = np.empty((len(course), *rest.shape), np.uint8)
    for frame, share in zip(frames, course, strict=True):
        if share in (0, 1):
            frame[:] = apex if share else rest
            continue
        # What is at x on the way came from x − share · flow, and goes to x + (1 − share) · flow.
        before, after = (
            cv2.remap(
                face,
                columns + np.float32(way) * flow[..., 0],
                rows + np.float32(way) * flow[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for face, way in ((rest, -share), (apex, 1 - share))
        )
        cv2.addWeighted(before, 1 - share, after, share, 0, dst=frame)
    return frames


def _course(
    frames: int, stride_s: float, rng: np.random.Generator, *, ends_neutral: bool
) -> npt.NDArray[np.float64]:
    """How far the expression has unfolded in each frame; the newest one bears its label, or none."""
    onset_s, offset_s = rng.uniform(0.4, 0.9), rng.uniform(0.5, 1.1)
    hold_s, strength = rng.uniform(0.8, 5.0), rng.uniform(0.7, 1.0)
    before_s = (frames - 1) * stride_s
    while True:
        length_s = onset_s + hold_s + offset_s
        end_s = (
            rng.uniform(length_s - offset_s, length_s + before_s)
            if ends_neutral
            else rng.uniform(0, length_s)
        )
        times = end_s - before_s + stride_s * np.arange(frames)
        course = np.array([strength * unfold(max(0.0, at), onset_s, hold_s, offset_s) for at in times])
        if (course[-1] < LABEL_FROM) == ends_neutral:
            return course


def _framed(faces: TrainingFaces, index: int) -> Image:
    matrix = similarity(faces.pupils_xy[index : index + 1], FRAME)[0]
    size = (FRAME.size_px, FRAME.size_px)
    framed = cv2.warpAffine(
        faces.images[index], matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(framed, np.uint8)


def _looks(face: Image) -> FloatArray:
    small = cv2.resize(face, (_LOOKS_PX, _LOOKS_PX), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / (np.linalg.norm(small) + 1e-6), np.float32)


def _most_similar(faces: TrainingFaces, apex: Image, candidates: npt.NDArray[np.int64]) -> int:
    wanted = _looks(apex)
    likeness = [float(_looks(_framed(faces, int(row))) @ wanted) for row in candidates]
    return int(candidates[int(np.argmax(likeness))])


def _matched(face: Image, like: Image) -> Image:
    """With the other's mean and contrast."""
    mean, deviation = float(face.mean()), float(face.std()) + 1e-6
    scaled = (face - mean) * (float(like.std()) / deviation) + float(like.mean())
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)
