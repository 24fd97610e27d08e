"""The geometry of a simulated face: 68 landmarks and two pupils in space, and how action units move them.

Convention: head coordinates are in units of the distance between the pupils (63 mm in an adult). x points
to the image's right, y down, z to the camera; the origin lies between the pupils. Order of the landmarks:
the usual 68-point mark-up of iBUG (Sagonas et al. 2013), image-left side first, then the image-left and the
image-right pupil. Measures are of our own design after common anthropometric proportions (Farkas 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from edge_runtime.frames.simulation.appearance import Appearance, Pose
from edge_runtime.frames.simulation.controls import CONTROL_INDEX, CONTROL_NAMES, FloatArray
from edge_runtime.markup import MIRROR

PUPIL_DISTANCE_IN_BOX: Final = 0.37  # of the side of a Haar box, as in edge_runtime.faces.alignment
PUPIL_LINE_IN_BOX: Final = 0.405
PIVOT: Final = np.array([0.0, 0.45, -1.0], np.float32)  # the head turns about a point between the ears
_BOX_CENTRE: Final = np.array([0.0, (0.5 - PUPIL_LINE_IN_BOX) / PUPIL_DISTANCE_IN_BOX, 0.1], np.float32)

# The image-right half of the relaxed face and the points on the middle line: landmark (0-based) → x, y, z.
_RELAXED: Final[Mapping[int, tuple[float, float, float]]] = {
    8: (0.00, 1.80, 0.05), 9: (0.29, 1.77, 0.00), 10: (0.55, 1.66, -0.10), 11: (0.77, 1.46, -0.28),
    12: (0.93, 1.20, -0.42), 13: (1.03, 0.90, -0.56), 14: (1.09, 0.58, -0.66), 15: (1.12, 0.26, -0.72),
    16: (1.13, -0.05, -0.75),
    22: (0.21, -0.29, 0.18), 23: (0.39, -0.37, 0.17), 24: (0.58, -0.40, 0.10), 25: (0.76, -0.36, -0.15),
    26: (0.92, -0.25, -0.40),
    27: (0.00, -0.03, 0.20), 28: (0.00, 0.18, 0.30), 29: (0.00, 0.38, 0.42), 30: (0.00, 0.57, 0.52),
    33: (0.00, 0.76, 0.36), 34: (0.12, 0.74, 0.32), 35: (0.24, 0.69, 0.22),
    42: (0.26, 0.035, 0.00), 43: (0.41, -0.072, 0.05), 44: (0.59, -0.078, -0.04), 45: (0.73, -0.005, -0.22),
    46: (0.60, 0.07, -0.05), 47: (0.42, 0.075, 0.04),
    51: (0.00, 1.025, 0.32), 52: (0.10, 0.995, 0.31), 53: (0.26, 1.05, 0.25), 54: (0.43, 1.125, 0.12),
    55: (0.28, 1.245, 0.24), 56: (0.13, 1.305, 0.29), 57: (0.00, 1.32, 0.30),
    62: (0.00, 1.128, 0.30), 63: (0.16, 1.118, 0.28), 64: (0.37, 1.127, 0.15), 65: (0.16, 1.13, 0.27),
    66: (0.00, 1.14, 0.30),
}  # fmt: skip

# What each action unit adds at full intensity: landmark of the image-right half → dx, dy.
_MOVES: Final[Mapping[str, Mapping[int, tuple[float, float]]]] = {
    "inner_brow_raise": {22: (0.02, -0.20), 23: (0.02, -0.13), 24: (0, -0.04), 43: (0, -0.01)},
    "outer_brow_raise": {22: (0, -0.02), 23: (0, -0.08), 24: (0, -0.15), 25: (0, -0.18), 26: (0, -0.15)},
    "brow_lower": {22: (-0.08, 0.15), 23: (-0.06, 0.13), 24: (-0.03, 0.09), 25: (0, 0.04), 26: (0, 0.0),
                   43: (0, 0.03), 44: (0, 0.015)},
    "upper_lid_raise": {43: (0, -0.065), 44: (0, -0.065)},
    "cheek_raise": {46: (0, -0.06), 47: (0, -0.04), 43: (0, 0.015), 44: (0, 0.025), 24: (0, 0.02),
                    25: (0, 0.03)},
    "lid_tighten": {43: (0, 0.035), 44: (0, 0.035), 46: (0, -0.04), 47: (0, -0.04)},
    "nose_wrinkle": {30: (0, -0.04), 33: (0, -0.05), 34: (0.01, -0.07), 35: (0.04, -0.09), 22: (-0.04, 0.10),
                     23: (-0.02, 0.07), 24: (0, 0.03), 47: (0, -0.03), 46: (0, -0.02), 51: (0, -0.05),
                     52: (0, -0.07), 53: (0, -0.05)},
    "upper_lip_raise": {51: (0, -0.09), 52: (0.01, -0.11), 53: (0.03, -0.11), 62: (0, -0.08),
                        63: (0.01, -0.09),
                        35: (0.03, -0.03), 54: (0, 0.0)},
    "lip_corner_pull": {54: (0.17, -0.16), 53: (0.11, -0.05), 52: (0.03, 0.0), 51: (0, 0.02),
                        55: (0.12, -0.03),
                        56: (0.05, 0.015), 57: (0, 0.02), 64: (0.16, -0.15), 63: (0.09, -0.01),
                        65: (0.09, -0.005),
                        62: (0, 0.02), 66: (0, 0.025), 35: (0.03, -0.01)},
    "lip_corner_depress": {54: (0.01, 0.14), 53: (0, 0.03), 55: (0.02, 0.07), 64: (0, 0.13), 63: (0, 0.03),
                           65: (0, 0.03), 51: (0, -0.02), 62: (0, -0.02), 66: (0, -0.02)},
    "chin_raise": {8: (0, -0.05), 9: (0, -0.04), 57: (0, -0.06), 56: (0, -0.05), 55: (0, -0.02),
                   62: (0, -0.04),
                   66: (0, -0.04), 63: (0, -0.02), 65: (0, -0.02), 51: (0, -0.03), 52: (0, -0.03)},
    "lip_stretch": {54: (0.19, 0.05), 53: (0.10, 0.02), 55: (0.11, 0.03), 64: (0.18, 0.05), 63: (0.08, 0.0),
                    65: (0.08, 0.02), 56: (0.04, -0.01), 57: (0, -0.015)},
    "lip_tighten": {51: (0, 0.045), 52: (0, 0.055), 53: (-0.02, 0.025), 54: (-0.05, 0), 55: (-0.03, -0.045),
                    56: (0, -0.065), 57: (0, -0.065), 64: (-0.05, 0)},
    "lip_press": {51: (0, 0.03), 52: (0, 0.04), 53: (0, 0.02), 55: (0, -0.03), 56: (0, -0.05),
                  57: (0, -0.05)},
    "lips_part": {62: (0, -0.035), 63: (0, -0.03), 65: (0, 0.06), 66: (0, 0.075), 56: (0, 0.06),
                  57: (0, 0.065),
                  55: (0, 0.04), 51: (0, -0.02), 52: (0, -0.02)},
    "jaw_drop": {8: (0, 0.34), 9: (-0.01, 0.33), 10: (-0.02, 0.31), 11: (-0.03, 0.25), 12: (-0.02, 0.16),
                 13: (0, 0.06), 54: (-0.07, 0.13), 55: (-0.06, 0.30), 56: (-0.02, 0.34), 57: (0, 0.35),
                 64: (-0.06, 0.13), 65: (-0.02, 0.33), 66: (0, 0.36), 63: (-0.02, -0.01), 53: (-0.04, 0.02)},
}  # fmt: skip

_GAZE_REACH: Final = (0.11, 0.06)  # how far a pupil wanders from the middle of its eye
_UPPER_LIDS: Final = (37, 38, 43, 44)
_LOWER_LIDS: Final = (41, 40, 47, 46)
_UPPER_INNER_LIP: Final = (61, 62, 63)
_LOWER_INNER_LIP: Final = (67, 66, 65)


def _relaxed() -> FloatArray:
    points = np.zeros((70, 3), np.float32)
    for landmark, (x, y, z) in _RELAXED.items():
        points[landmark] = x, y, z
        points[MIRROR[landmark]] = -x, y, z
    points[68], points[69] = (-0.5, 0.0, 0.03), (0.5, 0.0, 0.03)
    return points


def _moves() -> FloatArray:
    """(C, 70, 3): displacement of every point by every control; pupils follow the gaze."""
    moves = np.zeros((len(CONTROL_NAMES), 70, 3), np.float32)
    for name, displacements in _MOVES.items():
        for landmark, (dx, dy) in displacements.items():
            moves[CONTROL_INDEX[name], landmark, :2] = dx, dy
            if MIRROR[landmark] != landmark:
                moves[CONTROL_INDEX[name], MIRROR[landmark], :2] = -dx, dy
    moves[CONTROL_INDEX["gaze_right"], 68:, 0] = _GAZE_REACH[0]
    moves[CONTROL_INDEX["gaze_down"], 68:, 1] = _GAZE_REACH[1]
    moves[CONTROL_INDEX["gaze_down"], _UPPER_LIDS, 1] = 0.05  # lids follow the eye
    return moves


_MOVES_FLAT: Final = _moves().reshape(len(CONTROL_NAMES), -1)
_EYES_CLOSED: Final = CONTROL_INDEX["eyes_closed"]


class FaceShape:
    """The shape of one person's face."""

    def __init__(self, appearance: Appearance) -> None:
        self.relaxed = _proportioned(_relaxed(), appearance)

    def points(self, controls: FloatArray) -> FloatArray:
        """Landmarks and pupils in head coordinates.

        Args:
            controls: (C,) float32 in the order of `CONTROL_NAMES`.

        Returns:
            (70, 3) float32.
        """
        points = self.relaxed + (controls @ _MOVES_FLAT).reshape(70, 3)
        # Lids and lips touch, but never pass through each other.
        _meet(points, _UPPER_LIDS, _LOWER_LIDS)
        _meet(points, _UPPER_INNER_LIP, _LOWER_INNER_LIP)
        # A closing upper lid comes nine tenths of the way down, the lower one hardly rises.
        gap = (points[_LOWER_LIDS, 1] - points[_UPPER_LIDS, 1]) * controls[_EYES_CLOSED]
        points[_UPPER_LIDS, 1] += 0.9 * gap
        points[_LOWER_LIDS, 1] -= 0.08 * gap
        return points


def _meet(points: FloatArray, upper: tuple[int, ...], lower: tuple[int, ...]) -> None:
    """Where a lower point would lie above its upper one, both go to their middle."""
    overlap = np.maximum(points[upper, 1] - points[lower, 1], 0.0) / 2
    points[upper, 1] -= overlap
    points[lower, 1] += overlap


def project(points: FloatArray, pose: Pose, centre_xy: tuple[float, float], scale_px: float) -> FloatArray:
    """Parallel projection of head coordinates into an image.

    Args:
        points: (P, 3) in head coordinates.
        pose: turns the head about `PIVOT`.
        centre_xy: where the middle between the pupils lies while the pose is 0, 0, 0.
        scale_px: pixels of one unit, that is of the distance between the pupils.

    Returns:
        (P, 2) float32 pixels (x, y), pixel centres at integers.
    """
    turned = (points - PIVOT) @ pose.rotation[:2].T + PIVOT[:2]
    return np.asarray(turned * np.float32(scale_px) + np.asarray(centre_xy, np.float32), np.float32)


def face_box(pose: Pose, centre_xy: tuple[float, float], scale_px: float) -> FloatArray:
    """The square that a frontal Haar cascade draws around such a face; (4,) float32 x0, y0, x1, y1.

    Its side is the pupils' distance / 0.37 whatever the pose, and in a frontal face the pupils lie at 0.315
    and 0.685 of its width and 0.405 of its height, as `edge_runtime.faces.alignment.DEFAULT_PUPILS_IN_BOX`
    has it.
    """
    centre = project(_BOX_CENTRE[None], pose, centre_xy, scale_px)[0]
    half = scale_px / PUPIL_DISTANCE_IN_BOX / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _proportioned(points: FloatArray, appearance: Appearance) -> FloatArray:
    """Applies a person's proportions; the pupils stay where they are, as the unit is their distance."""
    points = points.copy()
    lowness = np.clip(points[:17, 1] / 1.8, 0.0, 1.0)
    points[:17, 0] *= appearance.face_width * (1 + (appearance.jaw_width - 1) * lowness * 2)
    for eye in (range(36, 42), range(42, 48)):
        centre = points[68 if eye.start == 36 else 69]
        points[eye, :2] = centre[:2] + (points[eye, :2] - centre[:2]) * appearance.eye_size
    points[27:36, 1] *= appearance.nose_length
    points[48:68, 0] *= appearance.mouth_width
    points[48:68, 1] += 0.5 * (appearance.nose_length - 1)
    return points
