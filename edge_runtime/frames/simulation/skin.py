"""The lit skin of one face as a texture: everything soft that no action unit moves.

A lambertian ellipsoid gives the large shading; sockets, bridge, cheeks, philtrum and chin are soft spots on
it. These are the light and dark regions that Viola–Jones cascades look for, on dark skin as on light.

Convention: the texture covers `EXTENT` of head coordinates; texel (column, row) = ((x − x0), (y − y0)) ·
TEXELS_PER_UNIT.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Appearance, Colour, Light
from edge_runtime.frames.simulation.controls import FloatArray

EXTENT: Final = (-1.6, -1.9, 1.6, 2.4)  # x0, y0, x1, y1 in head coordinates
TEXELS_PER_UNIT: Final = 40
# Folds and highlights are painted in a layer that multiplies the texture; this grey level leaves it as it
# is, and 255 brightens it by a quarter.
NEUTRAL_SHADE: Final = 204

# Soft spots: x, y, width, height, strength. Those off the middle line are mirrored.
_SPOTS: Final = (
    (0.50, -0.04, 0.34, 0.15, -0.30),  # eye socket
    (0.27, -0.06, 0.13, 0.14, -0.16),  # its inner corner
    (0.50, 0.20, 0.26, 0.06, -0.08),  # under the eye
    (0.66, 0.50, 0.26, 0.20, 0.13),  # cheek
    (0.34, 0.80, 0.10, 0.22, -0.06),  # beside the nose
    (0.00, -0.85, 0.55, 0.30, 0.08),  # forehead
    (0.00, 0.05, 0.11, 0.30, 0.14),  # bridge
    (0.00, 0.88, 0.20, 0.06, -0.14),  # under the nose
    (0.00, 1.43, 0.24, 0.06, -0.16),  # under the lower lip
    (0.00, 1.62, 0.22, 0.11, 0.07),  # chin
    (0.55, 1.25, 0.10, 0.14, -0.05),  # beside the mouth
)  # fmt: skip
_SHINE: Final = ((0.0, -0.80, 0.40, 0.16), (0.62, 0.40, 0.18, 0.10), (0.0, 0.30, 0.06, 0.26))
_BLUSH: Final = ((0.66, 0.58, 0.26, 0.18), (0.0, 0.62, 0.16, 0.12))


def skin_texture(appearance: Appearance, light: Light) -> Image:
    """Paints the texture of one person's skin, made for the `NEUTRAL_SHADE` layer.

    Returns:
        (rows, columns, 3) uint8 BGR.
    """
    x, y = _texel_places()
    shade = _lambert(x, y, light)
    for spot in _SPOTS:
        shade = shade * (1 + spot[4] * _soft_spot(x, y, *spot[:4]))
    shade = shade * _pores(appearance.texture_seed, shade.shape)
    # Light under the skin is scattered red: shadows are warmer than highlights.
    channels = [
        np.float32(colour) * np.power(np.maximum(shade, 0.02), power)
        for colour, power in zip(appearance.skin_bgr, (1.15, 1.06, 0.92), strict=True)
    ]
    blush = sum(_soft_spot(x, y, *spot) for spot in _BLUSH)
    channels[0] = channels[0] * (1 - 0.08 * blush)
    channels[1] = channels[1] * (1 - 0.10 * blush)
    # Darker skin reflects as much from its surface as light skin, on less that comes from below.
    gloss = light.strength * (10 + 5 * appearance.skin_tone)
    shine = gloss * sum(_soft_spot(x, y, *spot) for spot in _SHINE)
    texture = np.stack([channel + shine for channel in channels], axis=-1) * light.exposure
    return np.clip(texture, 0, 255).astype(np.uint8)


def lit(colour: Colour, light: Light, gain: float = 1.0) -> Colour:
    """A plain colour in this light."""
    blue, green, red = (min(255.0, value * gain * light.exposure) for value in colour)
    return (blue, green, red)


def _texel_places() -> tuple[FloatArray, FloatArray]:
    x0, y0, x1, y1 = EXTENT
    columns = np.arange(round((x1 - x0) * TEXELS_PER_UNIT), dtype=np.float32) / TEXELS_PER_UNIT + x0
    rows = np.arange(round((y1 - y0) * TEXELS_PER_UNIT), dtype=np.float32) / TEXELS_PER_UNIT + y0
    x, y = np.meshgrid(columns, rows)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _lambert(x: FloatArray, y: FloatArray, light: Light) -> FloatArray:
    """Shading of the head as an ellipsoid; about 1 where it faces both camera and lamp."""
    half_axes = np.array([1.30, 1.95, 1.25], np.float32)
    u, v = x / half_axes[0], (y - 0.2) / half_axes[1]
    w = np.sqrt(np.maximum(1 - u**2 - v**2, 0.0))
    normal = np.stack([u, v, w], axis=-1) / half_axes
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    lamp = np.maximum(normal @ light.direction(), 0.0) * 1.25
    sky = (
        0.82 + 0.18 * normal[..., 2] - 0.10 * normal[..., 1]
    )  # ambient light comes rather from above and in front
    return np.asarray((1 - light.strength) * sky + light.strength * lamp, np.float32)


def _soft_spot(x: FloatArray, y: FloatArray, cx: float, cy: float, width: float, height: float) -> FloatArray:
    """A Gaussian of height 1; off the middle line also its mirror image."""
    squared = ((np.abs(x) - cx) / width) ** 2 + ((y - cy) / height) ** 2
    return np.asarray(np.exp(-0.5 * squared), np.float32)


def _pores(seed: int, shape: tuple[int, ...]) -> FloatArray:
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 0.03, shape).astype(np.float32)
    coarse = cv2.resize(
        rng.normal(0, 0.02, (8, 6)).astype(np.float32), shape[1::-1], interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(1 + cv2.GaussianBlur(fine, (0, 0), 1.0) + coarse, np.float32)
