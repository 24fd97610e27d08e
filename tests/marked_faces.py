"""Sets of marked faces for tests: drawn ones, written as the archive of photographs is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.frames.simulation.appearance import Pose, random_appearance
from edge_runtime.frames.simulation.controls import EXPRESSIONS, expression
from edge_runtime.frames.simulation.face import render_face

PERSONS = 30
FRAMES = 5
SIDE_PX = 144


def write_marked(path: Path, *, persons: int = PERSONS, frames: int = FRAMES, seed: int = 0) -> Path:
    """An archive of `persons` people in `frames` pictures each."""
    rng = np.random.default_rng(seed)
    images, marks = [], []
    for _ in range(persons):
        looks = random_appearance(rng)
        for frame in range(frames):
            face = render_face(
                expression(EXPRESSIONS[frame % len(EXPRESSIONS)]),
                Pose(*rng.normal(0, 8, 3)),
                looks,
                SIDE_PX,
                face_px=75,
                noise=2.0,
                rng=rng,
            )
            images.append(cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY))
            marks.append(face.truth.landmarks_xy)
    np.savez_compressed(
        path,
        images=np.stack(images),
        landmarks=np.stack(marks),
        person=np.repeat(np.arange(persons), frames),
        half_px=np.full(len(images), SIDE_PX / 2, np.float32),
    )
    return path
