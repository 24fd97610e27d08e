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
        disturbed = self.disturbed(pupils_xy, rng)
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

    def clip(
        self, images: Image, pupils_xy: FloatArray, template: AlignmentTemplate, rng: np.random.Generator
    ) -> tuple[Image, bool]:
        """Cuts the frames of one face, all disturbed alike.

        Args:
            images: (M, H, W) uint8.
            pupils_xy: (M, 2, 2) float32, disturbed already.
            template: of the bundle to be.
            rng: the only source of chance.

        Returns:
            (M, size, size) uint8, and whether they are mirror images.
        """
        crops = np.empty((len(images), template.size_px, template.size_px), np.uint8)
        factor = rng.uniform(0.5, 0.9) if rng.random() < self.blur else 1.0
        for image, pupils, crop in zip(images, pupils_xy, crops, strict=True):
            seen = lower_resolution(image, factor) if factor < 1 else image
            align(seen, pupils[None], template, out=crop[None])
        is_mirrored = bool(rng.random() < self.flip)
        if is_mirrored:
            crops = np.ascontiguousarray(crops[:, :, ::-1])
        if rng.random() < self.erase:
            erase(crops, rng)
        return crops, is_mirrored

    def disturbed(self, pupils_xy: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Turned, scaled and shifted: (N, ..., 2, 2) float32 pupils → the same shape, one disturbance for each of N."""
        count, ones = len(pupils_xy), (1,) * (pupils_xy.ndim - 1)
        middle = pupils_xy.mean(axis=-2, keepdims=True)
        arm = pupils_xy - middle
        distance = np.linalg.norm(pupils_xy[..., 1, :] - pupils_xy[..., 0, :], axis=-1)[..., None, None]
        angle = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg, count))
        factor = np.exp(rng.uniform(-self.scale, self.scale, count))
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)
        moved = middle + rng.uniform(-self.shift, self.shift, (count, *ones[:-1], 2)) * distance
        return np.asarray(moved + np.einsum("nij,n...kj->n...ki", turn, arm), np.float32)


def lower_resolution(image: Image, factor: float) -> Image:
    """Down by `factor` and up again."""
    height, width = image.shape
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def erase(crops: Image, rng: np.random.Generator) -> None:
    """Covers a rectangle of a (size, size) crop, or the same one of (M, size, size), by grey noise, in place."""
    size = crops.shape[-1]
    area, ratio = rng.uniform(0.02, 0.15) * size * size, np.exp(rng.uniform(-0.9, 0.9))
    height, width = min(size, round(np.sqrt(area * ratio))), min(size, round(np.sqrt(area / ratio)))
    y, x = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    crops[..., y : y + height, x : x + width] = rng.integers(0, 256, (height, width), np.uint8)
