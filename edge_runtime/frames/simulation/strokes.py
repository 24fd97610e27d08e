"""Filled shapes and lines with sub-pixel vertices.

Hard borders are for canvases that are averaged or blurred afterwards; they take a fraction of the time.

Convention: points are (P, 2) float pixels (x, y), pixel centres at integers; colours are BGR or one grey
level, 0–255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.controls import FloatArray

_SHIFT: Final = 4
_ONE: Final = 1 << _SHIFT


def _fixed(points: FloatArray) -> npt.NDArray[np.int32]:
    return (points * _ONE).astype(np.int32)


def fill(image: Image, points: FloatArray, colour: Sequence[float]) -> None:
    """Fills a polygon with a hard border."""
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_8, _SHIFT)


def fill_smooth(image: Image, points: FloatArray, colour: Sequence[float]) -> None:
    """Fills a polygon with a smooth border."""
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def lines(image: Image, several: Sequence[FloatArray], colour: Sequence[float], width_px: float) -> None:
    """Draws open lines with hard borders; widths below a pixel become one pixel."""
    fixed = [_fixed(points) for points in several]
    cv2.polylines(image, fixed, False, colour, max(1, round(width_px)), cv2.LINE_8, _SHIFT)


def line_smooth(image: Image, points: FloatArray, colour: Sequence[float], width_px: float) -> None:
    """Draws an open line with smooth borders."""
    cv2.polylines(image, [_fixed(points)], False, colour, max(1, round(width_px)), cv2.LINE_AA, _SHIFT)


def ellipse(image: Image, centre: FloatArray, radii: tuple[float, float], colour: Sequence[float]) -> None:
    """Fills an upright ellipse with a hard border."""
    x, y = _fixed(centre).tolist()
    axes = (max(1, round(radii[0] * _ONE)), max(1, round(radii[1] * _ONE)))
    cv2.ellipse(image, (x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_8, _SHIFT)


def ring(
    image: Image,
    centre: FloatArray,
    radii: tuple[float, float],
    colour: Sequence[float],
    width_px: float,
    angle_deg: float,
) -> None:
    """Draws the border of an ellipse, smooth."""
    x, y = _fixed(centre).tolist()
    axes = (max(1, round(radii[0] * _ONE)), max(1, round(radii[1] * _ONE)))
    cv2.ellipse(image, (x, y), axes, angle_deg, 0, 360, colour, max(1, round(width_px)), cv2.LINE_AA, _SHIFT)
