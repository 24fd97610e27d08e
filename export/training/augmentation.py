"""Augmentation: each epoch cuts its crops anew, through the device's own alignment with disturbed pupils.

Disturbing the pupils before `align` (rather than warping finished crops) imitates what goes wrong on a
camera: eyes found a little off, a head that the fallback leaves tilted, a face box that breathes. Rotation
within ±30° and flips with p = 0.5 are P5's; here the rotation is what is left after alignment, so the default
is smaller. Histogram equalisation undoes brightness and contrast, so only blur, resolution and occlusion are
left to vary.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.faces.alignment import AlignmentTemplate, FloatArray, align
from edge_runtime.frames.frame import Image


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much of what; zero switches a part off.

    Attributes:
        rotation_deg: pupils are turned by up to ± this angle around their middle.
        scale: pupil distance is multiplied by up to exp(± this).
        shift: the middle moves by up to ± this fraction of the pupil distance, on both axes.
        flip: probability of a mirror image.
        blur: probability of a loss of resolution, down to half.
        erase: probability of a grey-noise rectangle over 2–15 % of the crop (hands, hair, neighbours).
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shift: float = 0.10
    flip: float = 0.5
    blur: float = 0.3
    erase: float = 0.4

    def crops(
        self, images: Image, pupils_xy: FloatArray, template: AlignmentTemplate, rng: np.random.Generator
    ) -> Image:
        """Cuts one disturbed crop of each image.

        Args:
            images: (N, H, W) uint8 pre-cut faces.
            pupils_xy: (N, 2, 2) float32 in their pixels.
            template: of the bundle to be.
            rng: the only source of chance.

        Returns:
            (N, size, size) uint8.
        """
        crops = np.empty((len(images), template.size_px, template.size_px), np.uint8)
        disturbed = self._disturb(pupils_xy, rng)
        for index, image in enumerate(images):
            crop = crops[index]
            if rng.random() < self.blur:
                image = lower_resolution(image, rng.uniform(0.5, 0.9))
            align(image, disturbed[index : index + 1], template, out=crop[None])
            if rng.random() < self.flip:
                crop[:] = crop[:, ::-1].copy()
            if rng.random() < self.erase:
                erase(crop, rng)
        return crops

    def _disturb(self, pupils_xy: FloatArray, rng: np.random.Generator) -> FloatArray:
        count = len(pupils_xy)
        middle = pupils_xy.mean(axis=1, keepdims=True)
        arm = pupils_xy - middle
        distance = np.linalg.norm(pupils_xy[:, 1] - pupils_xy[:, 0], axis=1)[:, None, None]
        angle = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg, count))
        factor = np.exp(rng.uniform(-self.scale, self.scale, count))
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)
        moved = middle + rng.uniform(-self.shift, self.shift, (count, 1, 2)) * distance
        return np.asarray(moved + np.einsum("nij,nkj->nki", turn, arm), np.float32)


def lower_resolution(image: Image, factor: float) -> Image:
    """The image as if it had been taken from farther away: shrunk by the factor, in (0, 1], and enlarged again."""
    height, width = image.shape
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def erase(crop: Image, rng: np.random.Generator) -> None:
    """Writes a rectangle of grey noise over 2–15 % of the crop."""
    size = crop.shape[0]
    area, ratio = rng.uniform(0.02, 0.15) * size * size, np.exp(rng.uniform(-0.9, 0.9))
    height, width = min(size, round(np.sqrt(area * ratio))), min(size, round(np.sqrt(area / ratio)))
    y, x = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    crop[y : y + height, x : x + width] = rng.integers(0, 256, (height, width), np.uint8)
