"""Outlines of a face's parts as splines through its landmarks.

Every outline is a linear map of landmarks, so all of them together are one matrix: `dense = WEIGHTS @
points + OFFSETS` gives the vertices of all outlines at once, and one projection brings them into the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edge_runtime.frames.simulation.controls import FloatArray

_STEPS: Final = 4  # vertices per piece of a spline


class _Builder:
    """Collects outlines and gives each its rows of the common matrix."""

    def __init__(self) -> None:
        self.weights: list[FloatArray] = []
        self.offsets: list[FloatArray] = []
        self.rows: dict[str, slice] = {}
        self._count = 0

    def add(self, name: str, weights: FloatArray, offsets: FloatArray) -> None:
        self.rows[name] = slice(self._count, self._count + len(weights))
        self._count += len(weights)
        self.weights.append(weights)
        self.offsets.append(offsets)

    def through(
        self, name: str, landmarks: Sequence[int], *, shift: Sequence[Sequence[float]] | None = None
    ) -> None:
        """An open spline through landmarks, each moved by (x, y, z) of `shift`."""
        basis = spline_matrix(len(landmarks))
        selected = np.zeros((len(landmarks), 70), np.float32)
        selected[np.arange(len(landmarks)), landmarks] = 1
        moved = np.zeros((len(landmarks), 3), np.float32) if shift is None else np.array(shift, np.float32)
        self.add(name, basis @ selected, basis @ moved)

    def fixed(self, name: str, points: Sequence[Sequence[float]]) -> None:
        """A spline that moves with the head only."""
        basis = spline_matrix(len(points))
        self.add(name, np.zeros((len(basis), 70), np.float32), basis @ np.array(points, np.float32))

    def blends(
        self, name: str, recipe: Sequence[Mapping[int, float]], shift: Sequence[Sequence[float]]
    ) -> None:
        """A spline through weighted means of landmarks, each moved by (x, y, z) of `shift`."""
        weights = np.zeros((len(recipe), 70), np.float32)
        for row, parts in enumerate(recipe):
            for landmark, weight in parts.items():
                weights[row, landmark] = weight
        basis = spline_matrix(len(recipe))
        self.add(name, basis @ weights, basis @ np.array(shift, np.float32))


def spline_matrix(count: int) -> FloatArray:
    """Catmull–Rom weights from `count` points to (count − 1) · 4 + 1 vertices; ends are repeated.

    Returns:
        (V, count) float32; each row sums to 1, and every fourth vertex is one of the points.
    """
    vertices = np.zeros(((count - 1) * _STEPS + 1, count), np.float32)
    for piece in range(count - 1):
        for step in range(_STEPS):
            t = step / _STEPS
            weights = (
                -0.5 * t**3 + t**2 - 0.5 * t,
                1.5 * t**3 - 2.5 * t**2 + 1,
                -1.5 * t**3 + 2 * t**2 + 0.5 * t,
                0.5 * t**3 - 0.5 * t**2,
            )
            for neighbour, weight in zip(range(piece - 1, piece + 3), weights, strict=True):
                vertices[piece * _STEPS + step, min(max(neighbour, 0), count - 1)] += weight
    vertices[-1, -1] = 1
    return vertices


def _build() -> _Builder:
    b = _Builder()
    b.through("jaw", range(17))
    for side, sign, brow, eye in (
        ("left", -1, (17, 18, 19, 20, 21), (36, 37, 38, 39, 40, 41)),
        ("right", 1, (26, 25, 24, 23, 22), (45, 44, 43, 42, 47, 46)),
    ):  # brows run from their outer to their inner end, eyes from their outer corner over the top
        b.through(f"brow_top_{side}", brow, shift=[(0, 0, 0), *[(0, -0.055, 0)] * 3, (0, -0.05, 0)])
        b.through(
            f"brow_bottom_{side}",
            brow,
            shift=[(0, 0.015, 0), (0, 0.025, 0), (0, 0.05, 0), (0, 0.07, 0), (0, 0.065, 0)],
        )
        b.through(f"brow_ridge_{side}", brow, shift=[(0, 0.10, 0)] * 5)
        b.through(f"lid_top_{side}", eye[:4])
        b.through(f"lid_bottom_{side}", (eye[0], eye[5], eye[4], eye[3]))
        b.through(
            f"crease_{side}",
            eye[:4],
            shift=[(0.04 * sign, -0.03, 0), (0, -0.075, 0), (0, -0.075, 0), (0, -0.04, 0)],
        )
        b.through(
            f"bag_{side}",
            (eye[0], eye[5], eye[4], eye[3]),
            shift=[(-0.06 * sign, 0.13, 0), (0, 0.12, 0), (0, 0.12, 0), (-0.02 * sign, 0.07, 0)],
        )
        wing, corner, inner_corner, alar = (31, 48, 39, 32) if sign < 0 else (35, 54, 42, 34)
        b.blends(
            f"fold_{side}",
            [{wing: 1}, {wing: 0.55, corner: 0.45}, {corner: 1}, {corner: 1}],
            [
                (0.05 * sign, -0.06, -0.05),
                (0.16 * sign, -0.10, -0.08),
                (0.14 * sign, -0.05, -0.05),
                (0.14 * sign, 0.05, -0.05),
            ],
        )
        b.blends(
            f"nose_side_{side}",
            [{27: 0.75, inner_corner: 0.25}, {28: 0.6, inner_corner: 0.4}, {29: 0.7, wing: 0.3}, {wing: 1}],
            [
                (0.03 * sign, -0.02, -0.1),
                (0.05 * sign, 0.02, -0.1),
                (0.08 * sign, 0.02, -0.1),
                (0.03 * sign, -0.07, -0.05),
            ],
        )
        b.blends(
            f"wing_{side}",
            [{wing: 1}, {wing: 1}, {wing: 1}, {alar: 1}],
            [
                (-0.01 * sign, -0.13, 0.02),
                (0.05 * sign, -0.06, -0.02),
                (0.01 * sign, 0.02, 0.02),
                (0.03 * sign, -0.01, 0),
            ],
        )
        b.blends(
            f"nostril_{side}",
            [{wing: 0.55, alar: 0.45}, {alar: 1}],
            [(-0.02 * sign, -0.015, 0.06), (0, -0.015, 0.04)],
        )
        b.blends(
            f"crow_{side}",
            [{eye[0]: 1}] * 4,
            [
                (0.19 * sign, -0.12, -0.12),
                (0.05 * sign, 0.0, -0.02),
                (0.07 * sign, 0.03, -0.02),
                (0.20 * sign, 0.12, -0.12),
            ],
        )
        b.blends(
            f"frown_{side}",
            [{21 if sign < 0 else 22: 1}] * 2,
            [(-0.06 * sign, -0.10, 0.03), (-0.075 * sign, 0.12, 0.03)],
        )
        b.blends(
            f"dimple_{side}", [{corner: 1}] * 2, [(0.05 * sign, -0.05, -0.02), (0.06 * sign, 0.06, -0.02)]
        )
    for number, height in enumerate((-0.28, -0.43, -0.57)):
        b.blends(
            f"forehead_{number}",
            [{18: 0.5}, {20: 0.5, 21: 0.5}, {21: 0.5, 22: 0.5}, {22: 0.5, 23: 0.5}, {25: 0.5}],
            [
                (-0.25, height - 0.16, 0),
                (0, height, 0),
                (0, height + 0.03, 0),
                (0, height, 0),
                (0.25, height - 0.16, 0),
            ],
        )
    b.blends("bridge_wrinkle_0", [{27: 1}] * 3, [(-0.12, 0.03, -0.06), (0, -0.02, 0), (0.12, 0.03, -0.06)])
    b.blends(
        "bridge_wrinkle_1", [{27: 0.6, 28: 0.4}] * 3, [(-0.13, 0.05, -0.08), (0, 0.0, 0), (0.13, 0.05, -0.08)]
    )
    b.through("ridge", (27, 28, 29, 30))
    b.through(
        "nose_base",
        (31, 32, 33, 34, 35),
        shift=[(0, 0.01, 0), (0, 0.03, 0), (0, 0.03, 0), (0, 0.03, 0), (0, 0.01, 0)],
    )
    b.through("lip_top", (48, 49, 50, 51, 52, 53, 54))
    b.through("lip_top_inner", (60, 61, 62, 63, 64))
    b.through("lip_bottom_inner", (60, 67, 66, 65, 64))
    b.through("lip_bottom", (48, 59, 58, 57, 56, 55, 54))
    b.through(
        "teeth_top",
        (60, 61, 62, 63, 64),
        shift=[(0.05, 0, 0), (0, 0.105, 0), (0, 0.12, 0), (0, 0.105, 0), (-0.05, 0, 0)],
    )
    b.blends(
        "lip_line",
        [{60: 1}, {61: 0.5, 67: 0.5}, {62: 0.5, 66: 0.5}, {63: 0.5, 65: 0.5}, {64: 1}],
        [(-0.03, 0, 0), (0, 0, 0), (0, 0.01, 0), (0, 0, 0), (0.03, 0, 0)],
    )
    b.through(
        "under_lip",
        (59, 58, 57, 56, 55),
        shift=[(0.06, 0.07, 0), (0, 0.085, 0), (0, 0.09, 0), (0, 0.085, 0), (-0.06, 0.07, 0)],
    )
    b.through("lip_shine", (58, 57, 56), shift=[(0, -0.08, 0.02)] * 3)
    b.fixed(
        "hairline_high",
        [
            (-1.13, 0.12, -0.8),
            (-1.10, -0.25, -0.9),
            (-0.98, -0.60, -0.60),
            (-0.72, -0.90, -0.28),
            (-0.35, -1.04, -0.05),
            (0, -1.06, 0.0),
            (0.35, -1.04, -0.05),
            (0.72, -0.90, -0.28),
            (0.98, -0.60, -0.60),
            (1.10, -0.25, -0.9),
            (1.13, 0.12, -0.8),
        ],
    )
    b.fixed(
        "hairline_side",
        [
            (-1.13, 0.12, -0.8),
            (-1.08, -0.25, -0.85),
            (-0.93, -0.60, -0.50),
            (-0.55, -0.80, -0.10),
            (-0.1, -0.98, 0.05),
            (0.32, -1.12, -0.05),
            (0.72, -0.92, -0.28),
            (0.98, -0.62, -0.60),
            (1.10, -0.25, -0.9),
            (1.13, 0.12, -0.8),
        ],
    )
    b.fixed(
        "hairline_fringe",
        [
            (-1.13, 0.20, -0.8),
            (-1.06, -0.25, -0.85),
            (-0.93, -0.55, -0.45),
            (-0.60, -0.62, -0.05),
            (-0.2, -0.66, 0.15),
            (0.2, -0.64, 0.15),
            (0.60, -0.63, -0.05),
            (0.93, -0.55, -0.45),
            (1.06, -0.25, -0.85),
            (1.13, 0.20, -0.8),
        ],
    )
    b.fixed(
        "hairline_scarf",
        [
            (-1.02, 1.25, -0.55),
            (-1.08, 0.60, -0.85),
            (-1.08, 0.0, -0.9),
            (-0.95, -0.55, -0.55),
            (-0.55, -0.84, -0.1),
            (0, -0.92, 0.05),
            (0.55, -0.84, -0.1),
            (0.95, -0.55, -0.55),
            (1.08, 0.0, -0.9),
            (1.08, 0.60, -0.85),
            (1.02, 1.25, -0.55),
        ],
    )
    return b


_BUILT: Final = _build()
WEIGHTS: Final = np.concatenate(_BUILT.weights)
OFFSETS: Final = np.concatenate(_BUILT.offsets)
ROWS: Final[Mapping[str, slice]] = _BUILT.rows


def outlines(points: FloatArray) -> FloatArray:
    """The vertices of all outlines.

    Args:
        points: (70, 3) float32 landmarks and pupils in head coordinates.

    Returns:
        (V, 3) float32; `ROWS` says which rows belong to which outline.
    """
    return np.asarray(WEIGHTS @ points + OFFSETS, np.float32)
