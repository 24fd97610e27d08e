"""Probe crops: what engines are compared on. Rendered faces and noise, never photographs.

Faces are rendered by the simulated classroom and go through the device's own detection and alignment, so they
look to the network like its input; noise reaches the activations that faces do not. Both come from a seed
alone, so that a bundle can be made again, and its golden inputs carry nobody's face and nobody's licence.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.faces.precut import PrecutLocator, align_precut
from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Pose, random_appearance
from edge_runtime.frames.simulation.controls import EXPRESSIONS, expression
from edge_runtime.frames.simulation.face import render_face

_PICTURE_PX: Final = 128
_HEAD_TURN_DEG: Final = 12.0
_SENSOR_NOISE: Final = 2.0  # standard deviation, grey levels


def rendered_faces(count: int, rng: np.random.Generator) -> Image:
    """Pre-cut pictures of different people, expressions taking turns.

    Returns:
        (count, 128, 128) uint8 grey.
    """
    pictures = np.empty((count, _PICTURE_PX, _PICTURE_PX), np.uint8)
    for index, picture in enumerate(pictures):
        face = render_face(
            expression(EXPRESSIONS[index % len(EXPRESSIONS)], variant=index // len(EXPRESSIONS)),
            Pose(*rng.uniform(-_HEAD_TURN_DEG, _HEAD_TURN_DEG, 3)),
            random_appearance(rng),
            _PICTURE_PX,
            noise=_SENSOR_NOISE,
            rng=rng,
        )
        picture[:] = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY)
    return pictures


def face_crops(count: int, template: AlignmentTemplate, rng: np.random.Generator) -> Image:
    """Rendered faces as the device would cut them: (count, size, size) uint8."""
    pictures = rendered_faces(count, rng)
    return align_precut(pictures, PrecutLocator()(pictures), template)


def noise_crops(count: int, template: AlignmentTemplate, rng: np.random.Generator) -> Image:
    """Pixels drawn evenly from 0 … 255, as a histogram-equalised crop has them: (count, size, size) uint8."""
    return rng.integers(0, 256, (count, template.size_px, template.size_px), np.uint8)
