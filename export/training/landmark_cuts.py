"""What the landmark network learns from: marked faces, cut as a face box that sits badly would have them cut.

Beside the photographs stand rendered faces, whose marks are exact and whose heads turn further, and cuts beside the
face, which teach the network to say that it sees none.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from edge_runtime.faces.alignment import FloatArray, align, default_pupils, similarity
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE, to_crop
from edge_runtime.faces.marked import MarkedFaces, eye_distance
from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Light, Pose, random_appearance
from edge_runtime.frames.simulation.controls import EXPRESSIONS, expression
from edge_runtime.frames.simulation.face import render_face
from edge_runtime.markup import MIRROR
from export.training.augmentation import erase, lower_resolution

_RENDERED_NOISE: Final = 6.0  # standard deviation of the sensor's noise, at most
_LEAST_SCALE: Final = (
    0.35  # of a profile's eye distance, in half cuts: a hundredth of a face must not count threefold
)


@dataclass(frozen=True, slots=True)
class CutAugmentation:
    """How much of what; zero switches a part off.

    Attributes:
        rotation_deg: standard deviation; the cut is turned around its middle.
        scale: standard deviation of the logarithm of the box's side; of Haar boxes it is 0.07.
        shift: standard deviation on both axes, as a share of the box's side; of Haar boxes it is 0.03.
        flip: probability of a mirror image.
        blur: probability of a loss of resolution, down to a quarter: faces at the back of the room.
        erase: probability of a grey-noise rectangle (hands, hair, neighbours).
        beside: probability that the cut lies beside the face.
    """

    rotation_deg: float = 12.0
    scale: float = 0.10
    shift: float = 0.05
    flip: float = 0.5
    blur: float = 0.4
    erase: float = 0.3
    beside: float = 0.05


@dataclass(frozen=True, slots=True)
class CutBatch:
    """Cuts and what to learn of them.

    Attributes:
        crops: (B, 64, 64) uint8.
        points: (B, 136) float32, see `edge_runtime.faces.landmarks.to_crop`.
        scale: (B,) float32, distance of the outer eye corners in the same unit; 0: no face.
    """

    crops: Tensor
    points: Tensor
    scale: Tensor


def rendered_faces(count: int, size_px: int, rng: np.random.Generator) -> MarkedFaces:
    """Drawn faces of random people with random expressions, turned up to 40°; all of them in images of one size."""
    images, marks, boxes = (
        np.empty((count, size_px, size_px), np.uint8),
        np.empty((count, 68, 2), np.float32),
        np.empty((count, 4), np.float32),
    )
    for row in range(count):
        label = EXPRESSIONS[int(rng.integers(len(EXPRESSIONS)))]
        pose = Pose(float(rng.normal(0, 18)), float(rng.normal(0, 10)), float(rng.normal(0, 8)))
        face = render_face(
            expression(label, float(rng.uniform(0, 1)), variant=int(rng.integers(100))),
            pose,
            random_appearance(rng),
            size_px,
            light=Light(),
            face_px=float(rng.uniform(0.4, 0.6)) * size_px,
            noise=float(rng.uniform(0, _RENDERED_NOISE)),
            rng=rng,
        )
        images[row] = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY)
        marks[row], boxes[row] = face.truth.landmarks_xy, face.truth.box_xyxy
    persons = np.array([f"rendered {row}" for row in range(count)], np.str_)
    return MarkedFaces(images, marks, persons, boxes, np.ones(count, np.bool_), boxes[:, 2] - boxes[:, 0])


def disturbed_cuts(
    faces: MarkedFaces, augmentation: CutAugmentation, rng: np.random.Generator
) -> tuple[Image, FloatArray, FloatArray]:
    """Cuts each face once; see `CutBatch` for what comes out."""
    count = len(faces)
    pupils, is_beside = _disturbed_pupils(faces.boxes_xyxy, augmentation, rng)
    matrices = similarity(pupils, LANDMARK_TEMPLATE)
    points = to_crop(faces.marks_xy, matrices, LANDMARK_TEMPLATE)
    scale = np.maximum(eye_distance(points), _LEAST_SCALE)
    scale[is_beside] = 0.0
    crops = np.empty((count, LANDMARK_TEMPLATE.size_px, LANDMARK_TEMPLATE.size_px), np.uint8)
    for row, image in enumerate(faces.images):
        if rng.random() < augmentation.blur:
            image = lower_resolution(image, rng.uniform(0.25, 0.9))
        align(image, pupils[row : row + 1], LANDMARK_TEMPLATE, out=crops[row : row + 1])
        if rng.random() < augmentation.flip:
            crops[row] = crops[row, :, ::-1].copy()
            points[row] = points[row, MIRROR] * (-1, 1)
        if rng.random() < augmentation.erase:
            erase(crops[row], rng)
    return crops, points.reshape(count, -1), scale


class CutBatches:
    """Draws photographs and rendered faces in epochs; the next batch is cut in a thread meanwhile."""

    def __init__(
        self, faces: list[MarkedFaces], augmentation: CutAugmentation, batch_size: int, seed: int
    ) -> None:
        self._faces, self._augmentation = faces, augmentation
        self._size, self._seed = batch_size, seed
        self._set = np.repeat(np.arange(len(faces)), [len(part) for part in faces])
        self._row = np.concatenate([np.arange(len(part)) for part in faces])

    def __len__(self) -> int:
        """Whole batches in an epoch."""
        return len(self._row) // self._size

    def epoch(self, epoch: int) -> Iterator[CutBatch]:
        """The batches of one epoch, which with the seed decides order and augmentation."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._row))

        def cut(index: int) -> CutBatch:
            chosen = order[index * self._size : (index + 1) * self._size]
            parts = [
                disturbed_cuts(
                    part.rows(self._row[chosen[self._set[chosen] == which]]), self._augmentation, rng
                )
                for which, part in enumerate(self._faces)
            ]
            crops, points, scale = (np.concatenate(column) for column in zip(*parts, strict=True))
            return CutBatch(torch.from_numpy(crops), torch.from_numpy(points), torch.from_numpy(scale))

        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(cut, 0)
            for index in range(len(self)):
                batch = upcoming.result()
                if index + 1 < len(self):
                    upcoming = pool.submit(cut, index + 1)
                yield batch


def _disturbed_pupils(
    boxes: FloatArray, augmentation: CutAugmentation, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray]:
    count = len(boxes)
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]
    side = (boxes[:, 2:] - boxes[:, :2])[:, None]
    arm = default_pupils(boxes) - middle
    angle = np.deg2rad(rng.normal(0, augmentation.rotation_deg, count))
    factor = np.exp(rng.normal(0, augmentation.scale, count))
    cos, sin = factor * np.cos(angle), factor * np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)
    shift = rng.normal(0, augmentation.shift, (count, 1, 2))
    is_beside = rng.random(count) < augmentation.beside
    away = rng.uniform(0.5, 0.9, (count, 1, 2)) * rng.choice([-1, 1], (count, 1, 2))
    shift = np.where(is_beside[:, None, None], away, shift)
    return (middle + shift * side + np.einsum("nij,nkj->nki", turn, arm)).astype(np.float32), is_beside
