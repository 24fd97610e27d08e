"""Clips of the simulated classroom: every action unit, label, valence and arousal in them is known.

What a student does is the lesson's own (`edge_runtime.frames.simulation.lesson`): expressions with onset, apex and
offset, blinks, glances, turns of the head. Every clip shows another person, in another light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from edge_runtime.faces.alignment import FloatArray
from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Light, random_appearance
from edge_runtime.frames.simulation.face import FINER, FacePainter, FaceTruth
from edge_runtime.frames.simulation.lesson import LESSON_S, Student, StudentState
from edge_runtime.frames.simulation.shape import PUPIL_DISTANCE_IN_BOX
from export.training.sequences.clips import Clips

SIDE_PX: Final = 96  # of a frame
_FACE_PX: Final = (34.0, 68.0)  # width of the face in it
_MOMENTS: Final = 60  # of a lesson that are looked at before another student is taken
_SKIN_TONES: Final = 6


def simulated_clips(
    count: int,
    label_names: tuple[str, ...],
    frames: int,
    stride_s: float,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Clips:
    """Paints clips; classes take turns by what is true of the newest frame, skin tones take turns too.

    Args:
        count: of clips.
        label_names: of `edge_runtime.frames.simulation.controls.EXPRESSIONS`, in the order of the classes.
        frames: M.
        stride_s: from one frame to the next.
        seed: another seed gives other people.
        on_progress: called with (clips done, clips in all).
    """
    images = np.empty((count, frames, SIDE_PX, SIDE_PX), np.uint8)
    pupils = np.empty((count, frames, 2, 2), np.float32)
    landmarks = np.empty((count, frames, 70, 2), np.float32)
    shares = np.zeros((count, frames, len(label_names)), np.float32)
    dimensions = np.empty((count, frames, 2), np.float32)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        states = _take(label_names[index % len(label_names)], frames, stride_s, rng)
        tone = index // len(label_names) % _SKIN_TONES
        for at, (image, truth) in enumerate(_painted(states, tone, rng)):
            images[index, at] = image
            pupils[index, at] = truth.pupils_xy
            landmarks[index, at] = np.concatenate([truth.landmarks_xy, truth.pupils_xy])
            shares[index, at, label_names.index(states[at].label)] = 1
            dimensions[index, at] = states[at].valence, states[at].arousal
        on_progress(index + 1, count)
    return Clips(images, pupils, landmarks, shares, dimensions)


def _take(label: str, frames: int, stride_s: float, rng: np.random.Generator) -> list[StudentState]:
    """Some student of some lesson, at moments of which the last one bears the label."""
    back_s = (frames - 1) * stride_s
    while True:
        student = Student(int(rng.integers(2**31)), 0, lesson_s=LESSON_S)
        for end_s in rng.uniform(back_s, LESSON_S, _MOMENTS):
            if student.at(end_s).label == label:
                return [student.at(end_s - back_s + at * stride_s) for at in range(frames)]


def _painted(
    states: list[StudentState], skin_tone: int, rng: np.random.Generator
) -> list[tuple[Image, FaceTruth]]:
    person = random_appearance(rng, skin_tone=skin_tone)
    light = Light(
        azimuth_deg=float(rng.uniform(-60, 60)),
        elevation_deg=float(rng.uniform(15, 55)),
        strength=float(rng.uniform(0.2, 0.65)),
        exposure=float(rng.uniform(0.7, 1.1)),
    )
    unit_px = float(rng.uniform(*_FACE_PX)) * PUPIL_DISTANCE_IN_BOX
    painter = FacePainter(person, light, unit_px)
    wall = tuple(rng.uniform(60, 220, 3).tolist())
    noise, blur_px = rng.uniform(0.5, 6.0), rng.uniform(0.0, 0.8)
    middle = (SIDE_PX - 1) / 2
    canvas = np.empty((FINER * SIDE_PX, FINER * SIDE_PX, 3), np.uint8)
    painted = []
    for state in states:
        canvas[:] = wall
        centre = (middle + state.sway[0] * unit_px, middle + (state.sway[1] - 0.3) * unit_px)
        collar = (middle, middle + 2.05 * unit_px)
        truth = painter.paint(canvas, state.controls, state.pose, centre, collar)
        image = cv2.resize(canvas, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if blur_px > 0.2:
            grey = cv2.GaussianBlur(grey, (0, 0), blur_px)
        noisy = grey + rng.normal(0, noise, grey.shape)
        painted.append((np.clip(np.rint(noisy), 0, 255).astype(np.uint8), truth))
    return painted


def unknown_landmarks(count: int, frames: int) -> FloatArray:
    """(N, M, 70, 2) NaN, for clips of which nobody knows them."""
    return np.full((count, frames, 70, 2), np.nan, np.float32)
